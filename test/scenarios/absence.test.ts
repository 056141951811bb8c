/** What must not be taken for a deletion in the folder. */
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { openDatabase } from '../../src/platform/sqlite.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import { faulty } from '../../src/store/faulty.ts'
import { pair, readPairing } from '../../src/sync/agent.ts'
import { dieAt } from '../sync/dying.ts'
import { changed, openWorld, settle, type Folder, type World } from '../sync/world.ts'
import { errno, telling, until } from './between.ts'

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

async function alive(store = world.store): Promise<string[]> {
  return (await store.list()).items.map(({ key }) => key)
}
function many(folder: Folder, count: number): void {
  for (let n = 0; n < count; n++) folder.write(`many/file-${String(n).padStart(3, '0')}.txt`, `number ${n}`)
}
const idOf = (folder: Folder): string => readPairing(disk, folder.root)?.id ?? ''
const expired = new BlobsError('CursorExpired', 'that history is not kept any more')
/** The bucket no longer knows the history since the last sync: it has to be listed. */
const forgetful = (store: BlobStore): BlobStore =>
  faulty(store, ({ method, count }) =>
    method === 'changes' && count === 1 ? { type: 'before', error: expired } : null,
  )

describe('a folder that is excluded, there being no other selective sync', () => {
  test('S1 an agent killed at any step of excluding a folder in .blobsignore deletes nothing', async () => {
    for (let at = 1, over = false; !over; at++) {
      const here = await openWorld()
      const [x, y] = [await here.folder('a'), await here.folder('b')]
      for (const path of ['dir/one', 'dir/two', 'kept']) x.write(path, path)
      await settle(x, y)
      x.write('.blobsignore', 'dir/\n')
      const death = dieAt(at, at % 2 === 0)
      await x.sync({ fs: death.fs(disk), wrap: death.store }).catch(() => undefined)
      over = !death.happened()
      // What is excluded may be removed, and is still nobody's deletion.
      x.remove('dir')
      await settle(x, y)
      expect(await alive(here.store), `killed at ${at}`).toEqual(['.blobsignore', 'dir/one', 'dir/two', 'kept'])
      expect(y.read('dir/one')).toBe('dir/one')
      x.remove('.blobsignore')
      await settle(x, y)
      expect(x.read('dir/two')).toBe('dir/two')
      await here.close()
    }
  })

  test('S1 a folder that --exclude leaves alone on one machine, and that is removed there, is deleted nowhere', async () => {
    for (const path of ['dir/one', 'kept']) a.write(path, path)
    await settle(a, b)
    const death = dieAt(1, true)
    await a.sync({ exclude: ['dir/'], fs: death.fs(disk), wrap: death.store }).catch(() => undefined)
    a.remove('dir')
    expect(await a.sync({ exclude: ['dir/'] })).toMatchObject({ deletedRemote: 0 })
    expect(await a.sync()).toMatchObject({ deletedRemote: 0, downloaded: 1 })
    expect(await alive()).toEqual(['dir/one', 'kept'])
  })
})

describe('a root that is not there', () => {
  test('S4 a root that was moved away deletes nothing, and goes on when it is back', async () => {
    many(a, 30)
    await settle(a, b)
    await a.with(
      async (agent) => {
        renameSync(a.root, `${a.root}-away`)
        await expect(agent.syncOnce()).rejects.toMatchObject({ code: 'Refused' })
        mkdirSync(a.root)
        await expect(agent.syncOnce()).rejects.toMatchObject({ code: 'Refused' })
        rmSync(a.root, { recursive: true })
        renameSync(`${a.root}-away`, a.root)
        expect(changed(await agent.syncOnce())).toBe(0)
      },
      { maxDelete: { percent: 100 } },
    )
    expect(await alive()).toHaveLength(30)
  })

  test.each(['EACCES', 'EIO', 'EMFILE'])('S4 a root that answers %s deletes nothing', async (code) => {
    many(a, 30)
    await settle(a, b)
    const broken = telling(disk, (call, path) => {
      if (call === 'list' && path === a.root) throw errno(code)
    })
    await a
      .with(
        async (agent) => {
          await expect(agent.syncOnce()).rejects.toMatchObject({ code: 'Refused' })
        },
        { fs: broken, maxDelete: { percent: 100 } },
      )
      .catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'Refused' })
      })
    expect(await alive()).toHaveLength(30)
    expect(changed(await a.sync())).toBe(0)
  })

  test('S5 a root folder made anew at the same path is filled, not taken for emptied', async () => {
    many(a, 30)
    await settle(a, b)
    rmSync(a.root, { recursive: true })
    mkdirSync(a.root)
    await pair(a.root, { location: '', bucket: 'team', prefix: '' }, { fs: disk, clock: systemClock, ids: systemIds })
    expect(await a.sync({ maxDelete: { percent: 100 } })).toMatchObject({ deletedRemote: 0, downloaded: 30 })
    expect(await alive()).toHaveLength(30)
  })

  test('S5 a root made anew around the old marker is filled, not taken for emptied', async () => {
    many(a, 30)
    await settle(a, b)
    renameSync(a.root, `${a.root}-old`)
    mkdirSync(a.root)
    cpSync(join(`${a.root}-old`, '.blobs'), join(a.root, '.blobs'), { recursive: true })
    rmSync(`${a.root}-old`, { recursive: true })
    expect(await a.sync({ maxDelete: { percent: 100 } })).toMatchObject({ deletedRemote: 0, downloaded: 30 })
  })
})

describe('state that is not what it seems', () => {
  test('S9 the state of another root makes no deletions in this one', async () => {
    const other = await world.folder('other', { prefix: 'elsewhere' })
    many(a, 30)
    await settle(a, b)
    other.write('one', '1')
    await other.sync()
    const [from, to] = [join(a.state, idOf(a)), join(other.state, idOf(other))]
    rmSync(to, { recursive: true })
    cpSync(from, to, { recursive: true })
    other.events.length = 0
    const summary = await other.sync({ maxDelete: { percent: 100 } })
    expect(summary).toMatchObject({ deletedRemote: 0, deletedLocal: 0, conflicts: 0 })
    expect(other.events.map(({ type }) => type)).toContain('relinked')
    expect(await alive()).toHaveLength(31)
  })

  test('S9 a first download that is cut in the middle deletes nothing when it goes on', async () => {
    many(a, 30)
    await a.sync()
    const cut = (store: BlobStore): BlobStore =>
      faulty(store, ({ method }) => (method === 'fetch' ? { type: 'cut', items: 7 } : null))
    await b.sync({ wrap: cut }).catch(() => undefined)
    for (const at of [3, 9, 20]) {
      const death = dieAt(at, true)
      await b.sync({ fs: death.fs(disk), wrap: death.store }).catch(() => undefined)
    }
    expect(await b.sync({ maxDelete: { percent: 100 } })).toMatchObject({ deletedRemote: 0, uploaded: 0, conflicts: 0 })
    expect(b.tree()).toEqual(a.tree())
    expect(await alive()).toHaveLength(30)
  })

  test('S9 a folder that cannot be listed is not empty (the disk answers EACCES)', async () => {
    many(a, 30)
    await settle(a, b)
    const closed = telling(disk, (call, path) => {
      if (call === 'list' && path.endsWith('/many')) throw errno('EACCES')
    })
    const summary = await a.sync({ fs: closed, maxDelete: { percent: 100 } })
    expect(summary).toMatchObject({ deletedRemote: 0 })
    expect(summary.skipped[0]).toMatchObject({ code: 'unreadable' })
    expect(await alive()).toHaveLength(30)
  })

  test('S26 the state of a later version is refused, and nothing is deleted', async () => {
    many(a, 30)
    await settle(a, b)
    const db = openDatabase(join(a.state, idOf(a), 'state.db'), { synchronous: 'full' })
    db.exec('PRAGMA user_version = 99')
    db.close()
    a.remove('many')
    await expect(a.sync({ maxDelete: { percent: 100 } })).rejects.toMatchObject({ code: 'NotSupported' })
    expect(await alive()).toHaveLength(30)
  })

  test.each([
    ['has no format number, as after a crash in a migration', 'PRAGMA user_version = 0'],
    ['lacks its tables', 'DROP TABLE paths'],
  ])('S26 state that %s is set aside, and nothing is deleted', async (_, damage) => {
    many(a, 30)
    await settle(a, b)
    const db = openDatabase(join(a.state, idOf(a), 'state.db'), { synchronous: 'full' })
    db.exec(damage)
    db.close()
    a.remove('many')
    const summary = await a.sync({ maxDelete: { percent: 100 } })
    expect(summary).toMatchObject({ deletedRemote: 0, downloaded: 30, conflicts: 0 })
    expect(readdirSync(join(a.state, idOf(a)))).toContain('lost-1')
  })
})

test('S22 a device that was away for long deletes nothing that others made, and keeps what it made', async () => {
  for (const name of ['kept', 'gone', 'edited there', 'edited here', 'both.txt', 'gone but edited']) a.write(name, name)
  await settle(a, b)
  for (let n = 0; n < 40; n++) a.write(`new/${n}`, `${n}`)
  a.remove('gone')
  a.remove('gone but edited')
  a.write('edited there', 'by a')
  a.write('both.txt', 'by a')
  await a.sync()
  b.write('edited here', 'by b')
  b.write('both.txt', 'by b')
  b.write('gone but edited', 'by b')
  for (const wrap of [(store: BlobStore) => store, forgetful]) {
    expect(await b.sync({ wrap, maxDelete: { percent: 100 } })).toMatchObject({ deletedRemote: 0 })
  }
  await settle(a, b)
  const { 'both.txt': both, 'gone but edited': edited, gone, ...rest } = b.tree()
  expect({ both, edited, gone }).toEqual({ both: 'by a', edited: 'by b', gone: undefined })
  expect(rest).toMatchObject({ kept: 'kept', 'edited there': 'by a', 'edited here': 'by b', 'new/39': '39' })
  expect(Object.values(rest)).toContain('by b')
  expect(a.tree()).toEqual(b.tree())
})

describe('files of ours, and rules', () => {
  test('S25 a download that dies half way is never uploaded as a version', async () => {
    a.write('big.bin', 'x'.repeat(2_500_000))
    a.write('small', 'small')
    await a.sync()
    for (let at = 1; at < 12; at++) {
      const death = dieAt(at, false)
      const dying = (store: BlobStore): BlobStore =>
        faulty(death.store(store), ({ method }) => (method === 'get' ? { type: 'cut', items: at % 4 } : null))
      await b.sync({ fs: death.fs(disk), wrap: dying }).catch(() => undefined)
      expect(b.read('big.bin')).toBeNull()
    }
    expect(await b.sync()).toMatchObject({ uploaded: 0, deletedRemote: 0, conflicts: 0 })
    expect(b.tree()).toEqual(a.tree())
    expect(await world.store.head('big.bin')).toMatchObject({ version: 1 })
  })

  test('S25 what others move into a folder that is ignored here stays at its new place', async () => {
    a.write('doc', 'doc')
    await settle(a, b)
    b.mkdir('private')
    renameSync(join(b.root, 'doc'), join(b.root, 'private/doc'))
    await b.sync()
    await a.sync({ exclude: ['private/'] })
    await a.sync({ exclude: ['private/'], maxDelete: { percent: 100 } })
    await b.sync()
    expect(b.tree()).toEqual({ 'private/doc': 'doc' })
    expect(await alive()).toEqual(['private/doc'])
  })

  test('S25 a move whose first half fails does not do the second, now or later', async () => {
    const slow = await openWorld(systemClock)
    const [x, y] = [await slow.folder('a'), await slow.folder('b')]
    x.write('old', 'the only copy')
    await settle(x, y)
    renameSync(join(x.root, 'old'), join(x.root, 'new'))
    let refused = 0
    const forbids = (store: BlobStore): BlobStore => ({
      ...store,
      commit: async (entries, options) => {
        const puts = entries.flatMap(({ changes }) => changes).filter(({ type }) => type === 'put')
        if (puts.length > 0) {
          refused++
          throw new BlobsError('Forbidden', 'not there', { key: 'new' })
        }
        return store.commit(entries, options)
      },
    })
    const agent = await x.open({ wrap: forbids })
    const stopping = new AbortController()
    const done = agent.watch(stopping.signal)
    // Between the tries, while the put waits by itself, there is other news to act on.
    await until(async () => {
      y.write('other', `${performance.now()}`)
      await y.sync()
      return refused >= 4
    })
    stopping.abort()
    await done
    await agent.close()
    expect(refused).toBeGreaterThan(3)
    expect(await alive(slow.store)).toEqual(['old', 'other'])
    await settle(x, y)
    expect(y.tree()).toMatchObject({ new: 'the only copy' })
    expect(y.tree()).toEqual(x.tree())
    await slow.close()
  })
})

test('S27 a device that comes back after the tombstones are gone deletes nothing, and loses nothing', async () => {
  a.write('deleted meanwhile', 'x')
  a.write('kept', 'y')
  await settle(a, b)
  a.remove('deleted meanwhile')
  await a.sync()
  const noTombstones = (store: BlobStore): BlobStore => ({
    ...forgetful(store),
    list: (options) => store.list({ ...options, deleted: false }),
  })
  expect(await b.sync({ wrap: noTombstones, maxDelete: { percent: 100 } })).toMatchObject({ deletedRemote: 0 })
  expect(await alive()).toContain('kept')
  await settle(a, b)
  expect(a.tree()).toEqual(b.tree())
})

test('S27 a file whose version is deleted while it comes down does not come back half', async () => {
  a.write('doc', 'x'.repeat(2_000_000))
  await a.sync()
  const deletes = (store: BlobStore): BlobStore => ({
    ...store,
    get: async (key, options) => {
      const blob = await store.get(key, options)
      if (blob === null) return null
      const cut = async function* (): AsyncGenerator<Uint8Array, void> {
        for await (const bytes of blob.stream) {
          yield bytes.subarray(0, 128)
          a.remove('doc')
          await a.sync()
          return
        }
      }
      return { ...blob, stream: cut() }
    },
  })
  await b.sync({ wrap: deletes })
  expect(b.tree()).toEqual({})
  await settle(a, b)
  expect(b.tree()).toEqual({})
  expect(await alive()).toEqual([])
})
