/** Edits that meet: with others, with the agent at work, with a crash. */
import { existsSync, lstatSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import type { FileSystem } from '../../src/platform/ports.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { faulty } from '../../src/store/faulty.ts'
import { pair } from '../../src/sync/agent.ts'
import { testFolder } from '../sync/disk/folder.ts'
import { file, openTestDisk, removal, split } from '../sync/disk/steps.ts'
import { changed, openWorld, settle, type Folder, type World } from '../sync/world.ts'
import { before, beforeEach as beforeEachCall, errno, telling, until } from './between.ts'

let world: World
let a: Folder
let b: Folder
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a')
  b = await world.folder('b')
})
afterEach(() => world.close())

const disk = systemFileSystem()
const texts = (folder: Folder): (string | null)[] => Object.values(folder.tree()).sort()

/** Something happens right before the n-th call to the disk. */
function atCall(n: number, act: () => void): { fs: FileSystem; calls(): number } {
  let calls = 0
  const fs = telling(disk, () => {
    if (++calls === n) act()
  })
  return { fs, calls: () => calls }
}

describe('a save that no scan has seen', () => {
  test('S2 a new file that is not scanned yet is not overwritten by one that comes in', async () => {
    b.write('a.txt', 'remote')
    await b.sync()
    await a.sync({ wrap: (store) => before(store, 'fetch', () => a.write('a.txt', 'local')) })
    await settle(a, b)
    expect(texts(a)).toEqual(['local', 'remote'])
    expect(b.tree()).toEqual(a.tree())
  })

  test('S2 an edit of the same size and time that is not scanned yet is not overwritten', async () => {
    a.write('doc', 'old')
    utimesSync(join(a.root, 'doc'), 1, 1)
    await settle(a, b)
    b.write('doc', 'by b')
    await b.sync()
    const edit = (): void => {
      writeFileSync(join(a.root, 'doc'), 'new')
      utimesSync(join(a.root, 'doc'), 1, 1)
    }
    await a.sync({ wrap: (store) => before(store, 'fetch', edit) })
    await settle(a, b)
    expect(texts(a)).toEqual(['by b', 'new'])
  })
})

test.each([
  ['in place', true],
  ['by renaming over', false],
])('S30 a save at any call to the disk is not lost when a delete comes in: %s', async (_, inPlace) => {
  for (let n = 1, calls = Infinity; n <= calls; n++) {
    const folder = await testFolder()
    folder.write('doc', 'base')
    utimesSync(folder.at('doc'), 1, 1)
    const racing = atCall(n, () => {
      writeFileSync(folder.at(inPlace ? 'doc' : '.blobs/save~'), 'save')
      if (!inPlace) renameSync(folder.at('.blobs/save~'), folder.at('doc'))
    })
    await openTestDisk(folder, racing.fs).apply([removal('doc', file('base'))])
    calls = racing.calls()
    expect(split(folder), `saved before call ${n} of ${calls}`).toMatchObject({ files: { doc: 'save' }, tmp: [] })
    folder.remove()
  }
})

describe('a file that changes while it is sent', () => {
  test.each(['missing', 'stage', 'commit'] as const)(
    'S19 before `%s`: what was sent is recorded, not what is there by then',
    async (method) => {
      // A small one is sent without asking for it.
      a.write('doc', 'first'.repeat(20_000))
      await a.sync({ wrap: (store) => before(store, method, () => a.write('doc', 'other')) })
      await settle(a, b)
      expect(b.tree()).toEqual({ doc: 'other' })
      expect(a.tree()).toEqual({ doc: 'other' })
    },
  )

  test('S19 after it was sent and before that is recorded, with the same size and time', async () => {
    a.write('doc', 'first')
    utimesSync(join(a.root, 'doc'), 1, 1)
    const after = (store: BlobStore): BlobStore => ({
      ...store,
      commit: async (entries, options) => {
        const outcomes = await store.commit(entries, options)
        writeFileSync(join(a.root, 'doc'), 'other')
        utimesSync(join(a.root, 'doc'), 1, 1)
        return outcomes
      },
    })
    await a.sync({ wrap: after })
    await settle(a, b)
    expect(b.tree()).toEqual({ doc: 'other' })
  })
})

test('S21 an edit of the same size, with the time set back, is seen', async () => {
  a.write('doc', 'one')
  await settle(a, b)
  const { atime, mtime } = lstatSync(join(a.root, 'doc'))
  writeFileSync(join(a.root, 'doc'), 'two')
  utimesSync(join(a.root, 'doc'), atime, mtime)
  expect(await a.sync()).toMatchObject({ uploaded: 1 })
  await settle(a, b)
  expect(b.tree()).toEqual({ doc: 'two' })
})

test('S22 two devices that resolve a conflict in opposite ways at once do not both delete it', async () => {
  a.write('doc', 'base')
  await settle(a, b)
  b.write('doc', 'theirs')
  await b.sync()
  a.write('doc', 'mine')
  await settle(a, b)
  await a.with((agent) => agent.resolveConflict('doc', 'mine'))
  await b.with((agent) => agent.resolveConflict('doc', 'theirs'))
  await settle(a, b)
  expect(texts(a)).toContain('mine')
  expect(b.tree()).toEqual(a.tree())
})

test('S22 an edit made before the agent starts does not overwrite what others made meanwhile', async () => {
  a.write('doc', 'base')
  await settle(a, b)
  b.write('doc', 'by b')
  await b.sync()
  a.write('doc', 'by a, before its agent starts')
  await settle(a, b)
  expect(texts(b)).toEqual(['by a, before its agent starts', 'by b'])
})

test('S23 an empty note made before the first pull does not win over the full one', async () => {
  b.write('2026-10-04.md', 'a day full of thoughts')
  await b.sync()
  a.write('2026-10-04.md', '')
  await settle(a, b)
  expect(a.read('2026-10-04.md')).toBe('a day full of thoughts')
  expect(b.tree()).toEqual(a.tree())
})

test('S24 a file written while it is hashed is taken as it is in the end', async () => {
  a.write('doc', 'x'.repeat(3_000_000))
  let writes = 0
  const racing: FileSystem = {
    ...disk,
    open: async (path) => {
      const file = await disk.open(path)
      return {
        ...file,
        read: async (buffer, position) => {
          if (path.endsWith('/doc') && position > 0 && writes < 2) {
            a.write('doc', `${writes++}`.repeat(3_000_000))
          }
          return file.read(buffer, position)
        },
      }
    },
  }
  await a.sync({ fs: racing })
  expect(writes).toBe(2)
  await settle(a, b)
  expect(b.tree()).toEqual({ doc: '1'.repeat(3_000_000) })
})

describe('conflict files', () => {
  test('S28 twenty conflicts on one path in one second are all kept', async () => {
    a.write('doc.txt', 'base')
    await settle(a, b)
    for (let n = 0; n < 20; n++) {
      b.write('doc.txt', `theirs ${n}`)
      a.write('doc.txt', `mine ${n}`)
      utimesSync(join(a.root, 'doc.txt'), 1_800_000_000, 1_800_000_000)
      await b.sync()
      await a.sync()
      await b.sync()
    }
    const all = texts(b)
    for (let n = 0; n < 20; n++) expect(all).toContain(`mine ${n}`)
    expect(a.tree()).toEqual(b.tree())
  })

  test('S28 a conflict on a conflict file keeps both, and its name does not grow', async () => {
    a.write('doc.txt', 'base')
    await settle(a, b)
    b.write('doc.txt', 'theirs')
    await b.sync()
    a.write('doc.txt', 'mine')
    await settle(a, b)
    const sibling = Object.keys(a.tree()).find((path) => path.includes('.conflict-')) ?? ''
    b.write(sibling, 'sibling by b')
    await b.sync()
    a.write(sibling, 'sibling by a')
    await settle(a, b)
    expect(texts(a)).toEqual(['sibling by a', 'sibling by b', 'theirs'])
    for (const path of Object.keys(b.tree())) expect(path.split('.conflict-').length).toBeLessThan(3)
  })
})

test('S29 edits that could not be sent for long are not reverted by what comes in meanwhile', async () => {
  a.write('doc.txt', 'base')
  await settle(a, b)
  a.write('doc.txt', 'three hours of work')
  const noUpload = (store: BlobStore): BlobStore =>
    faulty(store, ({ method }) => (method === 'commit' || method === 'stage' ? { type: 'before' } : null))
  for (let n = 0; n < 4; n++) {
    await a.sync({ wrap: noUpload }).catch(() => undefined)
    b.write('doc.txt', `theirs ${n}`)
    await b.sync()
    expect(texts(a)).toContain('three hours of work')
  }
  await settle(a, b)
  expect(texts(b)).toEqual(['theirs 3', 'three hours of work'])
})

test('S31 a file saved at any gap of the loop is found without a rescan', { timeout: 60_000 }, async () => {
  const live = await openWorld(systemClock)
  const [x, y] = [await live.folder('a'), await live.folder('b')]
  let n = 0
  const save = (): void => {
    if (n < 60) x.write(`gap-${++n}`, `${n}`)
  }
  let busy = false
  const fs = telling(disk, (call) => {
    if (call !== 'list' && call !== 'isShared' && call !== 'openFolder') return
    if (busy) return
    busy = true
    save()
    busy = false
  })
  const wrap = (store: BlobStore): BlobStore =>
    (['changes', 'commit', 'stage', 'missing'] as const).reduce(
      (now, method) => beforeEachCall(now, method, save),
      store,
    )
  const agent = await x.open({ fs, wrap })
  const stopping = new AbortController()
  const done = agent.watch(stopping.signal)
  let turn = 0
  await until(async () => {
    // Something to do, so that the loop turns.
    if (turn++ % 20 === 0) {
      y.write('other', `${turn}`)
      await y.sync()
    }
    return (await live.store.list()).items.length > 60
  }, 20_000)
  const keys = (await live.store.list()).items.map(({ key }) => key)
  stopping.abort()
  await done
  await live.close()
  expect(keys.filter((key) => key.startsWith('gap-'))).toHaveLength(n)
  expect(n).toBeGreaterThan(10)
})

test('S32 a folder that is unlinked and linked again is in sync at once, without a sibling', async () => {
  for (let n = 0; n < 30; n++) a.write(`file-${n}`, `${n}`)
  await settle(a, b)
  rmSync(join(a.root, '.blobs'), { recursive: true })
  rmSync(a.state, { recursive: true })
  await pair(a.root, { location: '', bucket: 'team', prefix: '' }, { fs: disk, clock: systemClock, ids: systemIds })
  expect(changed(await a.sync({ maxDelete: { percent: 100 } }))).toBe(0)
  expect(changed(await b.sync())).toBe(0)
})

describe('a file that may not be written here', () => {
  test('S33 is listed, keeps its old bytes, and never sends them over the newer ones', async () => {
    a.write('doc', 'old')
    await settle(a, b)
    b.chmod('doc', 0o444)
    await settle(a, b)
    a.write('doc', 'newer')
    await a.sync()
    for (let times = 0; times < 3; times++) {
      const summary = await b.sync()
      expect(summary).toMatchObject({ uploaded: 0, conflicts: 0, failed: [{ path: 'doc', code: 'not-writable' }] })
    }
    expect(b.read('doc')).toBe('old')
    expect(changed(await a.sync())).toBe(0)
    expect(a.read('doc')).toBe('newer')
    b.chmod('doc', 0o644)
    await settle(a, b)
    expect(b.read('doc')).toBe('newer')
  })
})

test.each(['renameNew', 'exchange', 'link', 'rename', 'unlink', 'chmod'] as const)(
  'S13 a conflict in which `%s` is not permitted loses neither side',
  async (refused) => {
    for (let n = 1, over = false; !over; n++) {
      const here = await openWorld()
      const [x, y] = [await here.folder('a'), await here.folder('b')]
      x.write('doc.txt', 'base')
      await settle(x, y)
      y.write('doc.txt', 'theirs')
      await y.sync()
      x.write('doc.txt', 'mine')
      let calls = 0
      const fs = telling(disk, (call) => {
        if (call === refused && ++calls >= n) throw errno('EPERM')
      })
      await x.sync({ fs }).catch(() => undefined)
      over = calls < n
      const everywhere = [...texts(x), ...texts(y), (await y.sync(), texts(y))].flat()
      if (existsSync(join(x.root, 'doc.txt'))) expect(everywhere).toContain('mine')
      await settle(x, y)
      expect(texts(x), `${refused} ${n}`).toEqual(['mine', 'theirs'])
      expect(y.tree()).toEqual(x.tree())
      await here.close()
      if (n > 8) break
    }
  },
)
