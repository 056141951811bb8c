import * as fs from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FileSystem } from '../../../src/platform/ports.ts'
import { systemClock } from '../../../src/platform/system.ts'
import { disk, short, tell, testFolder, type TestFolder } from './folder.ts'
import { bucket, conflict, contents, download, file, folderComes, openTestDisk, removal, split } from './steps.ts'

let folder: TestFolder
beforeEach(async () => {
  folder = await testFolder()
})
afterEach(() => folder.remove())

const later = { ...systemClock, now: () => Date.now() + 60_000 }

describe('a download', () => {
  test('makes a file with its folders, time and executable bit, and says what is there', async () => {
    const mtimeNs = 1_600_000_000_123_456_789n
    const [result] = await openTestDisk(folder).apply([download('a/b/run', 'x', null, { mtimeNs, executable: true })])
    expect(result).toMatchObject({ type: 'done', sibling: null })
    expect(split(folder)).toEqual({ files: { 'a/b/run': 'x' }, trash: [], tmp: [] })
    expect(disk.lstat(folder.at('a/b/run'))).toMatchObject({ mtimeNs, mode: 0o755 & ~process.umask() })
    if (result?.type === 'done') folder.tree.record(result.now)
    expect(await folder.look()).toEqual([])
  })

  test('replaces what the plan saw, which goes to the trash, and keeps its permissions', async () => {
    folder.write('doc', 'old', 0o640)
    const now = openTestDisk(folder)
    const [result] = await now.apply([download('doc', 'new', file('old'))])
    expect(result).toMatchObject({ type: 'done', sibling: null })
    expect(contents(folder)).toEqual({
      doc: 'new',
      [`.blobs/trash/${new Date().toISOString().slice(0, 10)}/doc`]: 'old',
    })
    expect(fs.statSync(folder.at('doc')).mode & 0o777).toBe(0o640)
    if (result?.type === 'done') folder.tree.record(result.now)
    expect(await folder.look()).toEqual([])
    await now.apply([download('doc', 'newer', file('new'))])
    expect(split(folder)).toEqual({ files: { doc: 'newer' }, trash: ['new', 'old'], tmp: [] })
  })

  test('is dropped when the disk is not what the plan saw, whatever it is now', async () => {
    folder.write('edited', 'mine')
    folder.write('new', 'mine')
    fs.mkdirSync(folder.at('folder'))
    folder.write('folder/in', 'mine')
    fs.symlinkSync('/etc/passwd', folder.at('link'))
    const before = contents(folder)
    const results = await openTestDisk(folder).apply([
      download('edited', 'theirs', file('old!')),
      download('new', 'theirs', null),
      download('gone', 'theirs', file('old')),
      download('folder', 'theirs', file('old')),
      download('folder', 'theirs', null),
      download('link', 'theirs', file('old')),
      download('link', 'theirs', null),
    ])
    expect(results.map((result) => result.type)).toEqual(Array(7).fill('dropped'))
    expect(contents(folder)).toEqual(before)
  })

  test('trusts a known identity, but not one that is old, and reads the file when there is none', async () => {
    folder.write('a', 'old')
    fs.utimesSync(folder.at('a'), 1, 1)
    await folder.look(undefined, { clock: later })
    const known = folder.tree.nodes.get('a')
    const identity = known?.kind === 'file' ? known.identity : ''
    const unread: FileSystem = {
      ...disk,
      open: async (path) => ({ ...(await disk.open(path)), read: () => Promise.reject(new Error('it was read')) }),
    }
    const now = openTestDisk(folder, unread)
    expect(await now.apply([download('a', 'new', file('old'), { identity })])).toMatchObject([{ type: 'done' }])
    await expect(now.apply([download('a', 'newer', file('new'), { identity })])).rejects.toThrow('it was read')
  })

  test('of equal bytes sets the mode alone, and of a file that nobody may write does nothing', async () => {
    folder.write('run', 'x')
    folder.write('locked', 'x', 0o444)
    const before = fs.statSync(folder.at('run'))
    const results = await openTestDisk(folder).apply([
      download('run', 'x', file('x'), { executable: true, source: null }),
      download('locked', 'y', file('x')),
    ])
    expect(results).toMatchObject([{ type: 'done' }, { type: 'failed', reason: 'not-writable' }])
    const after = fs.statSync(folder.at('run'))
    expect([after.ino, after.mtimeMs, after.mode & 0o777]).toEqual([before.ino, before.mtimeMs, 0o755])
    expect(split(folder)).toEqual({ files: { run: 'x', locked: 'x' }, trash: [], tmp: [] })
    if (results[0]?.type === 'done') expect(results[0].now).toMatchObject([{ path: 'run', node: { executable: true } }])
  })

  test.each([
    ['cut short', bucket('ne')],
    ['too long', bucket('new', 'er')],
    ['other bytes', bucket('NEW')],
    ['an error page', bucket('<html>')],
    ['a lost connection', bucket('n', new Error('reset'))],
  ])('S6 never takes the name before its digest is right: %s', async (_, source) => {
    folder.write('a', 'old')
    const results = await openTestDisk(folder).apply([
      download('a', 'new', file('old'), { source }),
      download('b', 'new', null, { source }),
    ])
    expect(results).toMatchObject([
      { type: 'failed', reason: 'download-failed' },
      { type: 'failed', reason: 'download-failed' },
    ])
    expect(split(folder)).toEqual({ files: { a: 'old' }, trash: [], tmp: [] })
  })

  test('takes its bytes from a file here that has them, or else from the bucket', async () => {
    folder.write('old name', 'same')
    folder.write('changed', 'other')
    const here = (path: string, text: string) => ({ from: 'disk', path, orElse: bucket(text).open }) as const
    const results = await openTestDisk(folder).apply([
      download('new name', 'same', null, { source: here('old name', 'must not be asked') }),
      removal('old name', file('same')),
      download('b', 'text', null, { source: here('changed', 'text') }),
      download('c', 'more', null, { source: here('never/was', 'more') }),
    ])
    expect(results.map((result) => result.type)).toEqual(Array(4).fill('done'))
    expect(split(folder).files).toEqual({ 'new name': 'same', changed: 'other', b: 'text', c: 'more' })
  })

  test('keeps the Unicode form that a name has on disk', async () => {
    folder.write('e\u0301/u\u0308', 'old')
    const results = await openTestDisk(folder).apply([
      download('\u00e9/\u00fc', 'new', file('old')),
      download('\u00e9/\u00f6', 'more', null),
    ])
    expect(results.map((result) => result.type)).toEqual(['done', 'done'])
    expect(split(folder).files).toEqual({ 'e\u0301/u\u0308': 'new', 'e\u0301/\u00f6': 'more' })
  })

  test('waits for a file that somebody has open for writing', async () => {
    folder.write('a', 'old')
    await folder.look(undefined, { clock: later })
    const node = folder.tree.nodes.get('a')
    const writer = fs.openSync(folder.at('a'), 'a')
    const work = [
      download('a', 'new', file('old'), { identity: node?.kind === 'file' ? node.identity : '' }),
      download('a', 'new', file('old')),
      removal('a', file('old')),
      conflict('a', 'old', 'new'),
    ]
    for (const item of work) {
      expect(await openTestDisk(folder).apply([item])).toMatchObject([{ type: 'failed', reason: 'busy' }])
    }
    fs.closeSync(writer)
    expect(split(folder)).toEqual({ files: { a: 'old' }, trash: [], tmp: [] })
  })
})

describe('a delete', () => {
  test('moves the file to the trash and takes folders along that became empty', async () => {
    folder.write('a/b/c/x', 'x')
    folder.write('a/y', 'y')
    const [result] = await openTestDisk(folder).apply([removal('a/b/c/x', file('x'))])
    expect(split(folder)).toEqual({ files: { 'a/y': 'y' }, trash: ['x'], tmp: [] })
    expect(result?.type === 'done' && tell(result.now)).toEqual(['-a/b/', '-a/b/c/', '-a/b/c/x'])
  })

  test('keeps a folder that is to stay, and says that it is empty', async () => {
    folder.write('a/b/x', 'x')
    const [result] = await openTestDisk(folder).apply([removal('a/b/x', file('x'))], {
      keepFolder: (path) => path === 'a/b',
    })
    expect(split(folder).files).toEqual({ 'a/b/': '' })
    expect(result?.type === 'done' && tell(result.now)).toEqual(['+a/b/', '-a/b/x'])
  })

  test('is dropped when the file changed or is gone, and keeps a folder with something new in it', async () => {
    folder.write('a', 'edited')
    folder.write('d/x', 'x')
    folder.write('d/new', 'n')
    const results = await openTestDisk(folder).apply([
      removal('a', file('old')),
      removal('b', file('old')),
      removal('d/x', file('x')),
    ])
    expect(results.map((result) => result.type)).toEqual(['dropped', 'dropped', 'done'])
    expect(split(folder).files).toEqual({ a: 'edited', 'd/new': 'n' })
  })

  test('of many files with one name finds room in the trash for each', async () => {
    const now = openTestDisk(folder)
    for (const text of ['1', '2', '3']) {
      folder.write('a', text)
      await now.apply([removal('a', file(text))])
    }
    folder.write('a/below', '4')
    await now.apply([removal('a/below', file('4'))])
    expect(split(folder)).toEqual({ files: {}, trash: ['1', '2', '3', '4'], tmp: [] })
  })
})

describe('empty folders', () => {
  test('come and go, and a folder is empty no more when something comes into it', async () => {
    const now = openTestDisk(folder)
    const [made] = await now.apply([folderComes('e/f/')])
    expect(made?.type === 'done' && tell(made.now)).toEqual(['+e/f/', '-e/'])
    if (made?.type === 'done') folder.tree.record(made.now)
    expect(await folder.look()).toEqual([])
    const [filled] = await now.apply([download('e/f/g/x', 'x', null)])
    if (filled?.type === 'done') folder.tree.record(filled.now)
    expect(folder.tree.plain()).toEqual({ 'e/f/g/x': short('x') })
    expect((await now.apply([removal('e/f/', { ...file(''), kind: 'folder' })]))[0]).toMatchObject({ type: 'done' })
    expect(split(folder).files).toEqual({ 'e/f/g/x': 'x' })
    await now.apply([removal('e/f/g/x', file('x'))])
    expect(split(folder).files).toEqual({})
  })

  test('change places with files in one batch, both ways', async () => {
    folder.write('a/b', '1')
    folder.write('c', '2')
    const results = await openTestDisk(folder).apply([
      download('a', '3', null),
      removal('a/b', file('1')),
      download('c/d', '4', null),
      removal('c', file('2')),
    ])
    expect(results.map((result) => result.type)).toEqual(Array(4).fill('done'))
    expect(split(folder)).toEqual({ files: { a: '3', 'c/d': '4' }, trash: ['1', '2'], tmp: [] })
    for (const result of results) if (result.type === 'done') folder.tree.record(result.now)
    expect(folder.tree.plain()).toEqual({ a: short('3'), 'c/d': short('4') })
  })
})

describe('a folder that is not the one it was', () => {
  const marker = '.blobs/root.json'
  const other = (text: string): string => text.replace(/"id": "[0-9a-f]+"/, `"id": "${'0'.repeat(32)}"`)

  test.each<[string, () => void]>([
    ['has no marker', () => fs.unlinkSync(folder.at(marker))],
    ['has the marker of another', () => folder.write(marker, other(fs.readFileSync(folder.at(marker), 'utf8')))],
  ])('and %s is left alone', async (_, act) => {
    folder.write('doc', 'old')
    folder.write('gone', 'old')
    act()
    const work = [download('doc', 'new', file('old')), removal('gone', file('old'))]
    await expect(openTestDisk(folder).apply(work)).rejects.toMatchObject({ code: 'Refused' })
    expect(split(folder)).toEqual({ files: { doc: 'old', gone: 'old' }, trash: [], tmp: [] })
  })
})

describe('late writes', () => {
  test('into a file that was replaced are brought back once its writer is done', async () => {
    folder.write('doc', 'old')
    let writer = 0
    const opening: FileSystem = {
      ...disk,
      exchange: (a, b) => {
        writer ||= fs.openSync(folder.at('doc'), 'r+')
        return disk.exchange(a, b)
      },
    }
    const now = openTestDisk(folder, opening)
    const work = download('doc', 'new', file('old'))
    fs.utimesSync(folder.at('doc'), 1, 1)
    expect(await now.apply([work])).toMatchObject([{ type: 'done', sibling: null }])
    expect(await now.lateWrites()).toEqual([])
    fs.writeSync(writer, 'late text')
    expect(await now.lateWrites()).toEqual([])
    fs.closeSync(writer)
    const again = openTestDisk(folder)
    await again.recover(() => true)
    expect(tell(await again.lateWrites())).toEqual([expect.stringContaining('+doc.conflict-')])
    expect(Object.values(split(folder).files).sort()).toEqual(['late text', 'new'])
    expect(await again.lateWrites()).toEqual([])
    expect(fs.readdirSync(join(again.state, 'journal'))).toEqual([])
  })
})

describe('the trash', () => {
  test('is pruned by age, then by size from the oldest, and only when asked', async () => {
    const now = openTestDisk(folder)
    for (const name of ['a', 'b/c', 'b/d']) {
      folder.write(name, 'x'.repeat(10))
      await now.apply([removal(name, file('x'.repeat(10)))])
    }
    expect(await now.pruneTrash({ maxAgeMs: 3_600_000, maxBytes: 1000 })).toBe(0)
    expect(await now.pruneTrash({ maxAgeMs: 3_600_000, maxBytes: 15 })).toBe(20)
    expect(split(folder).trash).toHaveLength(1)
    expect(await openTestDisk(folder, disk, later).pruneTrash({ maxAgeMs: 1000, maxBytes: 1000 })).toBe(10)
    expect(fs.readdirSync(folder.at('.blobs/trash'))).toEqual([])
  })
})

test('a folder that is moved away while its names are made durable is no failure', async () => {
  for (const moment of [1, 2]) {
    folder.write('dir/doc', 'mine')
    let calls = 0
    const moving: FileSystem = {
      ...disk,
      syncGroup: async (path, files) => {
        if (++calls === moment) fs.renameSync(folder.at('dir'), folder.at(`moved${moment}`))
        return disk.syncGroup(path, files)
      },
    }
    const [result] = await openTestDisk(folder, moving).apply([conflict('dir/doc', 'mine', 'theirs')])
    expect(result?.type).toBe(moment === 1 ? 'dropped' : 'done')
    expect(Object.values(split(folder).files)).toContain('mine')
    expect(split(folder).tmp).toEqual([])
    fs.rmSync(folder.at(`moved${moment}`), { recursive: true })
  }
})

test('an abort drops what was not begun and leaves nothing behind', async () => {
  folder.write('a', 'old')
  const stop = new AbortController()
  const source = {
    from: 'bucket',
    open: async function* () {
      yield Buffer.from('n')
      stop.abort()
      yield Buffer.from('ew')
    },
  } as const
  const results = await openTestDisk(folder).apply(
    [download('a', 'new', file('old'), { source }), removal('a', file('old'))],
    { signal: stop.signal },
  )
  expect(results.map((result) => result.type)).toEqual(['dropped', 'dropped'])
  expect(split(folder)).toEqual({ files: { a: 'old' }, trash: [], tmp: [] })
})

test('a batch of two thousand files costs one group, not two thousand', async () => {
  let syncs = 0
  const counting: FileSystem = {
    ...disk,
    syncGroup: (path, files) => (syncs++, disk.syncGroup(path, files)),
    syncFolder: (path) => (syncs++, disk.syncFolder(path)),
  }
  const work = Array.from({ length: 2000 }, (_, i) => download(`d${i % 50}/f${i}`, `text ${i}`, null))
  const started = performance.now()
  const results = await openTestDisk(folder, counting).apply(work)
  expect(performance.now() - started).toBeLessThan(10_000)
  expect(results.every((result) => result.type === 'done')).toBe(true)
  expect(syncs).toBeLessThan(6)
})
