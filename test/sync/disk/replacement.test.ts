import * as fs from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FileSystem } from '../../../src/platform/ports.ts'
import { disk, short, testFolder, type TestFolder } from './folder.ts'
import { conflict, download, file, openTestDisk, removal, split } from './steps.ts'

let folder: TestFolder
beforeEach(async () => {
  folder = await testFolder()
})
afterEach(() => folder.remove())

const noExchange: FileSystem = { ...disk, exchange: () => false }

describe('a conflict', () => {
  test('gives the local bytes a name of their own and the bucket the old name', async () => {
    folder.write('doc.txt', 'mine')
    fs.utimesSync(folder.at('doc.txt'), 1_700_000_000, 1_700_000_000)
    const [result] = await openTestDisk(folder).apply([conflict('doc.txt', 'mine', 'theirs')])
    const sibling = `doc.conflict-20231114T221320Z-laptop-${short('mine')}.txt`
    expect(result).toMatchObject({ type: 'done', sibling })
    expect(split(folder)).toEqual({ files: { 'doc.txt': 'theirs', [sibling]: 'mine' }, trash: [], tmp: [] })
    expect(fs.statSync(folder.at(sibling)).nlink).toBe(1)
    if (result?.type === 'done') folder.tree.record(result.now)
    expect(await folder.look()).toEqual([])
  })

  test('D4 that was half done goes on with the same sibling', async () => {
    folder.write('doc', 'mine')
    fs.utimesSync(folder.at('doc'), 1_700_000_000, 1_700_000_000)
    const sibling = `doc.conflict-20231114T221320Z-laptop-${short('mine')}`
    fs.linkSync(folder.at('doc'), folder.at(sibling))
    expect(await openTestDisk(folder).apply([conflict('doc', 'mine', 'theirs')])).toMatchObject([
      { type: 'done', sibling },
    ])
    expect(split(folder)).toEqual({ files: { doc: 'theirs', [sibling]: 'mine' }, trash: [], tmp: [] })
    fs.writeFileSync(folder.at('doc'), 'mine')
    fs.utimesSync(folder.at('doc'), 1_700_000_000, 1_700_000_000)
    expect(await openTestDisk(folder).apply([conflict('doc', 'mine', 'theirs')])).toMatchObject([
      { type: 'done', sibling },
    ])
    expect(split(folder)).toEqual({ files: { doc: 'theirs', [sibling]: 'mine' }, trash: ['mine'], tmp: [] })
  })

  test('S19 never takes a name that other bytes have', async () => {
    folder.write('doc', 'mine')
    fs.utimesSync(folder.at('doc'), 1_700_000_000, 1_700_000_000)
    const taken = `doc.conflict-20231114T221320Z-laptop-${short('mine')}`
    folder.write(taken, 'else')
    const [result] = await openTestDisk(folder).apply([conflict('doc', 'mine', 'theirs')])
    const sibling = result?.type === 'done' ? (result.sibling ?? '') : ''
    expect(sibling.length).toBeGreaterThan(taken.length)
    expect(split(folder).files).toEqual({ doc: 'theirs', [taken]: 'else', [sibling]: 'mine' })
  })

  test('can leave the name free for a folder', async () => {
    folder.write('a', 'mine')
    const results = await openTestDisk(folder).apply([conflict('a', 'mine', null), download('a/b', 'theirs', null)])
    expect(results.map((result) => result.type)).toEqual(['done', 'done'])
    const { files, tmp } = split(folder)
    expect(Object.values(files).sort()).toEqual(['mine', 'theirs'])
    expect(files['a/b']).toBe('theirs')
    expect(tmp).toEqual([])
  })

  test('copies where the file system has no hard links', async () => {
    folder.write('doc', 'mine', 0o640)
    const noLinks: FileSystem = {
      ...disk,
      link: () => {
        throw Object.assign(new Error('no links'), { code: 'EPERM' })
      },
    }
    const [result] = await openTestDisk(folder, noLinks).apply([conflict('doc', 'mine', 'theirs')])
    expect(result).toMatchObject({ type: 'done' })
    const sibling = result?.type === 'done' ? (result.sibling ?? '') : ''
    expect(split(folder)).toEqual({ files: { doc: 'theirs', [sibling]: 'mine' }, trash: ['mine'], tmp: [] })
    expect(fs.statSync(folder.at(sibling)).mode & 0o777).toBe(0o640)
  })

  test('is dropped when the local bytes are others by now', async () => {
    folder.write('doc', 'edited')
    expect(await openTestDisk(folder).apply([conflict('doc', 'mine', 'theirs')])).toMatchObject([{ type: 'dropped' }])
    expect(split(folder)).toEqual({ files: { doc: 'edited' }, trash: [], tmp: [] })
  })

  test('S28 makes twenty siblings of one path in one second, none lost', async () => {
    const now = openTestDisk(folder)
    for (let i = 0; i < 20; i++) {
      folder.write('doc', `mine ${i}`)
      await now.apply([conflict('doc', `mine ${i}`, `theirs ${i}`)])
    }
    const texts = Object.values(split(folder).files)
    for (let i = 0; i < 20; i++) expect(texts).toContain(`mine ${i}`)
  })
})

describe('a save in the very instant of a replacement', () => {
  /** Does something right before the given call has its effect. */
  const before = (call: 'exchange' | 'renameNew', act: () => void, base: FileSystem = disk): FileSystem => {
    let done = false
    return {
      ...base,
      [call]: (a: string, b: string) => {
        if (!done && (call === 'exchange' || a.includes('/proc/self/fd') || a.startsWith(folder.path))) {
          done = true
          act()
        }
        return base[call](a, b)
      },
    }
  }
  const saveOver = () => {
    fs.writeFileSync(folder.at('doc.save'), 'saved')
    fs.renameSync(folder.at('doc.save'), folder.at('doc'))
  }
  const saveInPlace = () => fs.writeFileSync(folder.at('doc'), 'saved')

  test.each([
    ['over the name', saveOver],
    ['in place', saveInPlace],
    ['in place with the same size', () => fs.writeFileSync(folder.at('doc'), 'OLD')],
  ])('%s is kept as a sibling', async (_, save) => {
    folder.write('doc', 'old')
    const [result] = await openTestDisk(folder, before('exchange', save)).apply([download('doc', 'new', file('old'))])
    const { files, tmp } = split(folder)
    expect(files['doc']).toBe('new')
    expect(Object.values(files).some((text) => /saved|OLD/.test(text))).toBe(true)
    expect(result).toMatchObject({ type: 'done', sibling: expect.stringContaining('.conflict-') })
    expect(tmp).toEqual([])
    if (result?.type === 'done') folder.tree.record(result.now)
    expect(Object.keys(folder.tree.plain()).sort()).toEqual(Object.keys(files).sort())
  })

  test('of the very bytes that come is no conflict', async () => {
    folder.write('doc', 'old')
    const save = () => fs.writeFileSync(folder.at('doc'), 'new')
    const [result] = await openTestDisk(folder, before('exchange', save)).apply([download('doc', 'new', file('old'))])
    expect(result).toMatchObject({ type: 'done', sibling: null })
    expect(split(folder)).toEqual({ files: { doc: 'new' }, trash: ['new'], tmp: [] })
  })

  test.each([
    ['over the name', saveOver],
    ['in place', saveInPlace],
  ])('%s stands where the system cannot exchange', async (_, save) => {
    folder.write('doc', 'old')
    const [result] = await openTestDisk(folder, before('renameNew', save, noExchange)).apply([
      download('doc', 'new', file('old')),
    ])
    expect(result).toMatchObject({ type: 'dropped' })
    expect(split(folder)).toMatchObject({ files: { doc: 'saved' }, tmp: [] })
  })

  test('that comes while the name is free wins it, where the system cannot exchange', async () => {
    folder.write('doc', 'old')
    let calls = 0
    const racing: FileSystem = {
      ...noExchange,
      renameNew: (a, b) => {
        if (++calls === 2) fs.writeFileSync(folder.at('doc'), 'saved')
        disk.renameNew(a, b)
      },
    }
    const [result] = await openTestDisk(folder, racing).apply([download('doc', 'new', file('old'))])
    expect(result).toMatchObject({ type: 'dropped' })
    expect(split(folder)).toEqual({ files: { doc: 'saved' }, trash: ['old'], tmp: [] })
  })

  test.each([
    ['a folder', () => (fs.rmSync(folder.at('doc')), folder.write('doc/in', 'x')), { 'doc/in': 'x' }],
    [
      'a link',
      () => (fs.rmSync(folder.at('doc')), fs.symlinkSync('/nowhere', folder.at('doc'))),
      { doc: '-> /nowhere' },
    ],
  ])('that puts %s there leaves it there', async (_, act, files) => {
    folder.write('doc', 'old')
    const results = await openTestDisk(folder, before('exchange', act)).apply([download('doc', 'new', file('old'))])
    expect(results).toMatchObject([{ type: 'dropped' }])
    expect(split(folder)).toMatchObject({ files, tmp: [] })
  })

  test('S30 stands when the file was to be deleted', async () => {
    folder.write('doc', 'old')
    const now = openTestDisk(folder, before('renameNew', saveOver))
    expect(await now.apply([removal('doc', file('old'))])).toMatchObject([{ type: 'dropped' }])
    expect(split(folder)).toEqual({ files: { doc: 'saved' }, trash: [], tmp: [] })
  })

  test('that was planned as a conflict makes two siblings', async () => {
    folder.write('doc', 'mine')
    const [result] = await openTestDisk(folder, before('exchange', saveOver)).apply([conflict('doc', 'mine', 'theirs')])
    expect(result?.type).toBe('done')
    expect(Object.values(split(folder).files).sort()).toEqual(['mine', 'saved', 'theirs'])
  })

  describe.each([
    ['a replacement', () => download('doc', 'new', file('old'))],
    ['a deletion', () => removal('doc', file('old'))],
  ])('at a name that %s had cleared', (_, work) => {
    test('leaves what cannot be read to the next recovery, and makes no conflict of it', async () => {
      folder.write('doc', 'old')
      // Times ahead of the clock are not trusted: it is read however slow this machine is.
      const ahead = Date.now() / 1000 + 3600
      fs.utimesSync(folder.at('doc'), ahead, ahead)
      const failing: FileSystem = {
        ...noExchange,
        open: async (path) => {
          const file = await disk.open(path)
          if (!path.endsWith('.old')) return file
          saveOver()
          return { ...file, read: async () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) }
        },
      }
      const first = openTestDisk(folder, failing)
      expect(await first.apply([work()])).toEqual([{ type: 'dropped', sibling: null }])
      expect(split(folder)).toEqual({ files: { doc: 'saved' }, trash: [], tmp: ['old'] })
      await openTestDisk(folder).recover((_path, hash) => hash === file('old').hash)
      const { files, trash, tmp } = split(folder)
      expect({ files, trash, tmp }).toEqual({ files: { doc: 'saved' }, trash: ['old'], tmp: [] })
    })
  })
})
