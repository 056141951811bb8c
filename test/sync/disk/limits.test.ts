import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FileSystem } from '../../../src/platform/ports.ts'
import { disk, testFolder, type TestFolder } from './folder.ts'
import { bucket, conflict, contents, download, file, openTestDisk, removal, split } from './steps.ts'

const NOBODY = 65_534
const root = process.getuid?.() === 0

describe.runIf(root)('without privileges (needs root to become another user)', () => {
  let folder: TestFolder
  const isReadable = ((): boolean => {
    try {
      run(new URL('folder.ts', import.meta.url))
      return true
    } catch {
      return false
    }
  })()
  beforeEach(async (context) => {
    folder = await testFolder()
    if (!isReadable) context.skip('another user may not read this project here')
    fs.chownSync(folder.state, NOBODY, NOBODY)
  })
  afterEach(() => folder.remove())

  /** Everything to the other user but what the test keeps. */
  const handOver = () => execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, folder.path])
  function run(script: URL, ...args: string[]): string {
    return execFileSync(process.execPath, [fileURLToPath(script), ...args], {
      uid: NOBODY,
      gid: NOBODY,
      env: {},
      encoding: 'utf8',
      stdio: 'pipe',
    })
  }
  const asNobody = (task: string, path = ''): unknown =>
    JSON.parse(run(new URL('as-nobody.ts', import.meta.url), folder.path, folder.state, task, path))

  test('S33 a folder that may not be written to: nothing changes, and the reason is told', () => {
    folder.write('dir/old', 'old')
    handOver()
    fs.chmodSync(folder.at('dir'), 0o555)
    const before = contents(folder)
    for (const [task, path] of Object.entries({
      create: 'dir/x',
      replace: 'dir/old',
      delete: 'dir/old',
      conflict: 'dir/old',
    })) {
      expect(asNobody(task, path), task).toEqual({ type: 'failed', reason: 'not-writable' })
    }
    expect(contents(folder)).toEqual(before)
  })

  test('S9 a folder that may not be listed: nothing in it is absent', () => {
    folder.write('dir/old', 'old')
    folder.write('half/old', 'old')
    handOver()
    fs.chmodSync(folder.at('dir'), 0)
    fs.chmodSync(folder.at('half'), 0o444)
    expect(asNobody('scan', 'dir/old,half/old')).toEqual([
      '?dir unreadable',
      '?dir/old unreadable',
      '?half unreadable',
      '?half/old unreadable',
    ])
    expect(asNobody('delete', 'dir/old')).toEqual({ type: 'failed', reason: 'not-writable' })
    fs.chmodSync(folder.at('dir'), 0o755)
    expect(fs.readFileSync(folder.at('dir/old'), 'utf8')).toBe('old')
  })

  test('a file of another user that may not be read is unknown, and left alone', () => {
    folder.write('old', 'old', 0o600)
    handOver()
    fs.chownSync(folder.at('old'), 0, 0)
    expect(asNobody('scan', 'old')).toEqual(['?old unreadable'])
    expect(asNobody('replace', 'old')).toEqual({ type: 'failed', reason: 'unreadable' })
    expect(contents(folder)).toEqual({ old: 'old' })
  })

  test('a file of another user that may be read is replaced, or kept as a copy, as the folder allows', () => {
    folder.write('old', 'old', 0o644)
    folder.write('mine', 'old', 0o644)
    folder.write('run', 'old', 0o644)
    handOver()
    for (const name of ['old', 'mine', 'run']) fs.chownSync(folder.at(name), 0, 0)
    expect(asNobody('replace', 'old')).toMatchObject({ type: 'done' })
    expect(asNobody('conflict', 'mine')).toMatchObject({ type: 'done' })
    expect(asNobody('mode', 'run')).toEqual({ type: 'failed', reason: 'not-writable' })
    const { files, tmp } = split(folder)
    expect(files).toMatchObject({ old: 'new', mine: 'new', run: 'old' })
    expect(Object.values(files).sort()).toEqual(['new', 'new', 'old', 'old'])
    expect(tmp).toEqual([])
  })

  test('S4 a root that may not be listed is refused', () => {
    handOver()
    fs.chmodSync(folder.path, 0o311)
    expect(() => asNobody('scan')).toThrow(/not the synced folder it was|may this user read/)
  })
})

describe.runIf(root)('on a disk of one mebibyte (needs root to mount one)', () => {
  let folder: TestFolder | null
  beforeEach(async (context) => {
    const base = fs.mkdtempSync(join(tmpdir(), 'blobs-small-'))
    folder = null
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', base], { stdio: 'ignore' })
    } catch {
      context.skip('mounting is not permitted here')
    }
    folder = await testFolder(base)
  })
  afterEach(() => {
    if (!folder) return
    execFileSync('umount', ['-l', folder.path])
    folder.remove()
  })
  const big = 'x'.repeat(900_000)
  const small = (): TestFolder => {
    if (!folder) throw new Error('not mounted')
    return folder
  }

  test('what does not fit is told, and nothing is half done', async () => {
    small().write('keep', 'k'.repeat(300_000))
    const before = contents(small())
    const results = await openTestDisk(small()).apply([
      download('new', big, null),
      download('keep', big, file('k'.repeat(300_000))),
      conflict('keep', 'k'.repeat(300_000), big),
    ])
    expect(results).toMatchObject(results.map(() => ({ type: 'failed', reason: 'disk-full' })))
    expect(contents(small())).toEqual(before)
  })

  test('D9 a sibling that finds no room leaves the name as it is', async () => {
    const text = 'm'.repeat(400_000)
    small().write('doc', text)
    small().write('fill', 'f'.repeat(400_000))
    const before = contents(small())
    const noLinks: FileSystem = {
      ...disk,
      link: () => {
        throw Object.assign(new Error('no links'), { code: 'EPERM' })
      },
    }
    expect(await openTestDisk(small(), noLinks).apply([conflict('doc', text, 'theirs')])).toMatchObject([
      { type: 'failed', reason: 'disk-full' },
    ])
    expect(contents(small())).toEqual(before)
  })

  test('what fits is done beside what does not', async () => {
    small().write('gone', 'old')
    const results = await openTestDisk(small()).apply([
      download('a', 'small', null),
      download('b', big + big, null, { source: bucket(big, big) }),
      removal('gone', file('old')),
    ])
    expect(results.map((result) => result.type)).toEqual(['done', 'failed', 'done'])
    expect(split(small())).toEqual({ files: { a: 'small' }, trash: ['old'], tmp: [] })
  })
})

if (!root) test.skip('unprivileged users and a full disk: needs root', () => {})
