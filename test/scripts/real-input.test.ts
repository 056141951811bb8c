import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  ROOT,
  makeToken,
  openPlace,
  startServer,
  type Machine,
  type Place,
  type Server,
} from '../../scripts/harness.ts'
import { differences, manifestOf } from '../../scripts/manifest.ts'

const MINUTES = 60_000

let place: Place
let server: Server
let token: string
beforeAll(async () => {
  place = openPlace('blobs-real-')
  const host = place.machine('server')
  server = await startServer(host)
  token = await makeToken(host, server, '*')
})
afterAll(() => place.dispose())

/** Sends a folder to a bucket and fetches it into an empty second one; returns that one. */
async function through(folder: string, bucket: string, exclude: readonly string[] = []): Promise<string> {
  const flags = exclude.flatMap((pattern) => ['--exclude', pattern])
  const [sender, receiver] = ['sender', 'receiver'].map((name) =>
    place.machine(`${name}-${bucket}`, { BLOBS_TOKEN_FILE: token }),
  ) as [Machine, Machine]
  const target = `${server.url}/${bucket}`
  await sender.must(['sync', folder, target, '--quiet', ...flags])
  const copy = join(receiver.home, 'copy')
  mkdirSync(copy)
  await receiver.must(['sync', copy, target, '--quiet', ...flags])
  const again = await sender.must(['sync', folder, '--json', ...flags])
  const summary = JSON.parse(again.out.trim().split('\n').at(-1) ?? '')
  expect(summary).toMatchObject({ type: 'summary', uploaded: 0, downloaded: 0, deletedLocal: 0, deletedRemote: 0 })
  return copy
}

describe('a folder through a server into a second folder is the same to the byte, the mode and the empty folder', () => {
  it("the project's own packages, twice: over 10,000 files", { timeout: 10 * MINUTES }, async () => {
    const folder = join(place.folder, 'packages')
    mkdirSync(folder)
    // A copy of links to the same bytes: the sync writes its marker into the folder, and tests around it use the packages.
    for (const name of ['once', 'again'])
      execFileSync('cp', ['-a', '--link', join(ROOT, 'node_modules'), join(folder, name)])
    const before = await manifestOf(folder)
    expect(before.size).toBeGreaterThan(10_000)
    const copy = await through(folder, 'packages')
    expect(differences(before, await manifestOf(copy))).toEqual([])
    expect(differences(before, await manifestOf(folder))).toEqual([])
  })

  it("the project's own history, a .git", { timeout: 5 * MINUTES }, async () => {
    const folder = join(place.folder, 'history')
    execFileSync('git', ['clone', '--quiet', '--no-local', ROOT, folder])
    const before = await manifestOf(folder)
    const copy = await through(folder, 'history')
    expect(differences(before, await manifestOf(copy))).toEqual([])
    execFileSync('git', ['-C', copy, 'fsck', '--strict'], { stdio: 'pipe' })
  })

  it('odd names, sizes and modes', { timeout: 2 * MINUTES }, async () => {
    const folder = join(place.folder, 'odd')
    makeOddTree(folder)
    const before = await manifestOf(folder)
    const copy = await through(folder, 'odd')
    expect(differences(before, await manifestOf(copy))).toEqual([])
  })
})

const ODD_NAMES = [
  'with space',
  ' leading and trailing ',
  'tab\tand\nnewline',
  "quote\"s and 'apostrophes'",
  '100% ?query #fragment &and=more',
  '--flag',
  '~tilde',
  '.hidden',
  '...',
  'back\\slash',
  'colon:star*pipe|less<more>',
  'CON',
  'trailing dot.',
  'Größe é ñ',
  '日本語のファイル',
  'emoji 👩‍👩‍👧 𝔸',
  'rtl \u202Ecod.exe',
  'zero\u200Bwidth',
  'control \u0001\u001B[31m',
  'constructor',
  '__proto__',
  `long ${'n'.repeat(240)}`,
]

function makeOddTree(folder: string): void {
  mkdirSync(folder)
  for (const [index, name] of ODD_NAMES.entries()) {
    writeFileSync(join(folder, name), `${index}: ${name}`)
    const inside = join(folder, `folder ${index}`, name)
    mkdirSync(inside, { recursive: true })
    if (index % 2 === 0) writeFileSync(join(inside, 'file'), name)
  }
  for (const size of [0, 1, 65_535, 65_536, 65_537, 1_048_576, 5_000_001])
    writeFileSync(join(folder, `size ${size}`), Buffer.alloc(size, size % 251))
  writeFileSync(join(folder, 'script'), '#!/bin/sh\n')
  chmodSync(join(folder, 'script'), 0o755)
  writeFileSync(join(folder, 'read only'), 'no writing\n', { mode: 0o444 })
  writeFileSync(join(folder, 'old'), 'from before 1970\n')
  utimesSync(join(folder, 'old'), -86_400, -86_400)
  mkdirSync(join(folder, 'deep', ...Array.from({ length: 60 }, (_, i) => `level ${i}`)), { recursive: true })
  symlinkSync('script', join(folder, 'link'))
}
