import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BUCKET, type Acknowledged } from '../../scripts/kill-writer.ts'
import { put } from '../store/acts.ts'
import { noise } from '../store/noise.ts'
import { examine, fillSample, openSample, scratch } from './sample-store.ts'

const WRITER = fileURLToPath(new URL('../../scripts/kill-writer.ts', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../../bin/run.js', import.meta.url))

let folder: string
let store: string
let backup: string
beforeEach(async () => {
  folder = await scratch()
  store = join(folder, 'store')
  backup = join(folder, 'backup', 'new')
  mkdirSync(dirname(backup))
})
afterEach(() => rm(folder, { recursive: true }))

/** Runs the lines that docs/operations.md tells an operator to run, with these directories in the place of its own. */
function backUp(): { readonly status: number | null; readonly output: string } {
  const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const block = /```sh\n((?:(?!```).)*VACUUM INTO(?:(?!```).)*)```/s.exec(page)?.[1] ?? ''
  const script = block.replaceAll('/srv/blobs', store).replaceAll('/backup/new', backup)
  const tools = join(folder, 'tools')
  mkdirSync(tools, { recursive: true })
  writeFileSync(join(tools, 'blobs'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`, { mode: 0o755 })
  const env = {
    ...process.env,
    HOME: folder,
    PATH: `${tools}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
  }
  const { status, stdout, stderr } = spawnSync('sh', ['-e', '-c', script], { env, encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

/** Hashes of all versions in a store. */
async function versionsIn(directory: string): Promise<ReadonlySet<string>> {
  const buckets = await openSample(directory)
  const bucket = await buckets.open(BUCKET)
  const found = new Set<string>()
  for (let after: string | undefined; ;) {
    const page = await bucket.list({ versions: true, limit: 1000, ...(after === undefined ? {} : { after }) })
    for (const { key, version, hash } of page.items) found.add(`${key} ${version} ${hash}`)
    if (page.complete) break
    after = page.next
  }
  await bucket.close()
  await buckets.close()
  return found
}

test('a backup of a store that others write to is whole, and has what was acknowledged before it began', async () => {
  const filled = await openSample(store)
  await fillSample(filled)
  await filled.close()
  writeFileSync(join(store, 'secret'), 'secret', { mode: 0o600 })
  // Parsed when used: the last line of a writer that was killed is cut.
  const told: string[] = []
  const writers = ['versions', 'crowd', 'batches'].map((kind, seed) =>
    spawn(process.execPath, [WRITER, store, kind, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  for (const { stdout } of writers) createInterface(stdout).on('line', (line) => told.push(line))
  try {
    await expect.poll(() => told.length, { timeout: 20_000 }).toBeGreaterThan(150)
    for (let turn = 0; turn < 3; turn++) {
      rmSync(backup, { recursive: true, force: true })
      const before = told.map((line) => JSON.parse(line) as Acknowledged)
      const { status, output } = backUp()
      expect(status, output).toBe(0)
      // They write thousands a second: the next backup need not be of all that comes while this one is read.
      for (const writer of writers) writer.kill('SIGSTOP')
      const found = await versionsIn(backup)
      for (const writer of writers) writer.kill('SIGCONT')
      const puts = before
        .filter(([kind]) => kind === 'put')
        .map(([, key, version, hash]) => `${key} ${version} ${hash}`)
      expect(puts.filter((put) => !found.has(put))).toEqual([])
    }
    expect(writers.map(({ exitCode }) => exitCode)).toEqual([null, null, null])
  } finally {
    for (const writer of writers) writer.kill('SIGKILL')
    await Promise.all(writers.map(async (writer) => writer.signalCode ?? once(writer, 'close')))
  }
  // It is a store like any other.
  const buckets = await openSample(backup)
  const team = await buckets.open('team')
  await put(team, 'after the restore', noise(100_000, 9))
  await team.close()
  await buckets.close()
  expect((await examine(backup)).damage).toEqual([])
}, 90_000)

test('a backup whose end is missing is known by its heads', async () => {
  const buckets = await openSample(store)
  await buckets.create('team')
  const team = await buckets.open('team')
  await put(team, 'a', noise(10))
  mkdirSync(backup, { mode: 0o700 })
  await team.close()
  await buckets.close()
  await cp(join(store, 'store.db'), join(backup, 'store.db'))
  const again = await openSample(store)
  const more = await again.open('team')
  await put(more, 'b', noise(20))
  await more.close()
  await again.close()
  await cp(join(store, 'heads'), join(backup, 'heads'), { recursive: true })
  const { damage } = await examine(backup)
  expect(damage.map(({ message }) => message)).toEqual(['the log of bucket team lacks entry 3, which was acknowledged'])
})
