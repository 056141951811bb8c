/** What must not be taken for a deletion in the bucket, nor lost on the way to it. */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import type { FeedItem } from '../../src/store/contract/types.ts'
import { faulty } from '../../src/store/faulty.ts'
import { backup, memoryBuckets, restore, target } from '../transfer/backup/histories.ts'
import { changed, openWorld, settle, type Folder, type World } from '../sync/world.ts'

let world: World
let a: Folder
let b: Folder
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a')
  b = await world.folder('b')
})
afterEach(() => world.close())

async function alive(store = world.store): Promise<string[]> {
  return (await store.list()).items.map(({ key }) => key)
}
function many(folder: Folder, count: number): void {
  for (let n = 0; n < count; n++) folder.write(`many/file-${String(n).padStart(3, '0')}.txt`, `number ${n}`)
}
const expired = new BlobsError('CursorExpired', 'that history is not kept any more')
/** The bucket no longer knows the history since the last sync: it has to be listed. */
const forgetful = (store: BlobStore): BlobStore =>
  faulty(store, ({ method, count }) =>
    method === 'changes' && count === 1 ? { type: 'before', error: expired } : null,
  )

test('S5 a bucket deleted and made again under its name takes nothing away from a folder', async () => {
  many(a, 30)
  await settle(a, b)
  await world.buckets.remove('team')
  await world.buckets.create('team')
  const anew = await world.buckets.open('team')
  a.events.length = 0
  const summary = await a.sync({ wrap: () => anew, maxDelete: { percent: 100 } })
  expect(summary).toMatchObject({ deletedLocal: 0, uploaded: 30, conflicts: 0 })
  expect(a.events.map(({ type }) => type)).toContain('relinked')
  expect(await b.sync({ wrap: () => anew })).toMatchObject({ deletedLocal: 0, uploaded: 0, conflicts: 0 })
  await anew.close()
})

/** What a sees of a bucket that went back in time, after b wrote past the old position or before, and that all of its newest bytes stay. */
async function comeBack(
  free: Parameters<Folder['sync']>[0],
  { past, edited }: { readonly past: boolean; readonly edited: string },
): Promise<void> {
  if (past) {
    for (let n = 0; n < 12; n++) {
      b.write(`by b ${n}`, `${n}`)
      await b.sync(free)
    }
  }
  a.events.length = 0
  expect(await a.sync(free)).toMatchObject({ deletedLocal: 0, deletedRemote: 0 })
  expect(a.events.map(({ type }) => type)).toContain('relinked')
  expect(a.read('after')).toBe('after')
  // Nothing tells the bucket's old `edited` from an edit: the newer bytes may have become a sibling, but they are there.
  for (let turn = 0; turn < 3; turn++) for (const folder of [b, a]) await folder.sync(free)
  expect(Object.values(a.tree())).toEqual(expect.arrayContaining(['before', edited, 'after', 'to be removed']))
  expect(b.tree()).toEqual(a.tree())
}

describe('a server that was restored from a backup', () => {
  /** The bucket's data, that can be put back to what it was. */
  async function restorable(): Promise<{
    store(): BlobStore
    snapshot(): Promise<void>
    restore(): Promise<void>
    close(): Promise<void>
  }> {
    const directory = join(world.directory, 'server')
    const open = async (): Promise<{ buckets: Buckets; store: BlobStore }> => {
      const buckets = openBuckets({
        backend: await openLocal({ directory, clock: systemClock }),
        clock: systemClock,
        ids: systemIds,
      })
      return {
        buckets,
        store: await buckets.open('team').catch(async () => (await buckets.create('team'), buckets.open('team'))),
      }
    }
    let now = await open()
    const close = async (): Promise<void> => {
      await now.store.close()
      await now.buckets.close()
    }
    const swap = async (from: string, to: string): Promise<void> => {
      await close()
      rmSync(to, { recursive: true, force: true })
      cpSync(from, to, { recursive: true })
      now = await open()
    }
    return {
      store: () => now.store,
      snapshot: () => swap(directory, `${directory}-backup`),
      restore: () => swap(`${directory}-backup`, directory),
      close,
    }
  }

  test.each([
    ['at once', false],
    ['after another device wrote past the old position', true],
  ])('S10 a folder that comes back %s keeps its newer files, and deletes nothing', async (_, past) => {
    const server = await restorable()
    const wrap = (): BlobStore => server.store()
    const free = { wrap, maxDelete: { percent: 100 } }
    a.write('before', 'before')
    a.write('edited', 'old')
    a.write('removed', 'to be removed')
    await a.sync(free)
    await b.sync(free)
    await server.snapshot()
    a.write('edited', 'new')
    a.write('after', 'after')
    a.remove('removed')
    await a.sync(free)
    await server.restore()
    await comeBack(free, { past, edited: 'new' })
    await server.close()
  })
})

describe('a bucket that was made anew of a backup', () => {
  test.each([
    ['at once', false],
    ['after another device wrote past the old position', true],
  ])('S10 a folder that comes back %s notices, keeps its newer files, and deletes nothing', async (_, past) => {
    const away = memoryBuckets()
    a.write('before', 'before')
    a.write('edited', 'first')
    a.write('removed', 'to be removed')
    await settle(a, b)
    a.write('edited', 'second')
    await settle(a, b)
    await backup(world.store, target(away, 'team'))
    a.write('edited', 'third')
    a.write('after', 'after')
    a.remove('removed')
    await a.sync()
    await restore(await away.open('team'), target(world.buckets, 'team'), { replace: true })
    const anew = await world.buckets.open('team')
    const free = { wrap: () => anew, maxDelete: { percent: 100 } }
    await comeBack(free, { past, edited: 'third' })
    await anew.close()
    await away.close()
  })

  test('S10 a folder that was in sync with the backup sees no conflict, and what it lacks of it is brought up to date', async () => {
    const away = memoryBuckets()
    a.write('edited', 'old')
    a.write('kept', 'kept')
    await settle(a, b)
    b.write('edited', 'new')
    await b.sync()
    await backup(world.store, target(away, 'team'))
    await restore(await away.open('team'), target(world.buckets, 'team'), { replace: true })
    const anew = await world.buckets.open('team')
    // What `a` has is an older version that the backup knows: it is stale, not edited.
    expect(await a.sync({ wrap: () => anew })).toMatchObject({
      conflicts: 0,
      uploaded: 0,
      downloaded: 1,
      deletedLocal: 0,
    })
    expect(await b.sync({ wrap: () => anew })).toMatchObject({
      conflicts: 0,
      uploaded: 0,
      downloaded: 0,
      deletedLocal: 0,
    })
    expect(a.tree()).toEqual({ edited: 'new', kept: 'kept' })
    await anew.close()
    await away.close()
  })

  test('S10 an agent that looks while the bucket is being restored waits, and takes nothing for deleted or new', async () => {
    const away = memoryBuckets()
    many(a, 30)
    await settle(a)
    await backup(world.store, target(away, 'team'))
    const copy = await away.open('team')
    const looks: string[] = []
    const watched: BlobStore = {
      ...copy,
      list: async (options) => {
        const half = await world.buckets.open('team')
        const summary = await a.sync({ wrap: () => half }).catch((error: unknown) => (error as BlobsError).code)
        looks.push(typeof summary === 'string' ? summary : JSON.stringify(summary))
        await half.close()
        return copy.list(options)
      },
    }
    await world.buckets.remove('team')
    await restore(watched, target(world.buckets, 'team'))
    expect(looks).toEqual(['Unavailable'])
    const anew = await world.buckets.open('team')
    expect(await a.sync({ wrap: () => anew })).toMatchObject({ uploaded: 0, conflicts: 0, deletedLocal: 0 })
    expect((await alive(anew)).length).toBe(30)
    await anew.close()
    await away.close()
  })
})

describe('a server that lists what it does not have', () => {
  test('S11 a blob without bytes is listed as failed, and stays wherever it is', async () => {
    a.write('hollow', 'hollow')
    a.write('whole', 'whole')
    await a.sync()
    const hollow = (store: BlobStore): BlobStore => ({
      ...store,
      fetch: (wants) => store.fetch(wants.filter(({ key }) => key !== 'hollow')),
      get: async (key, options) => (key === 'hollow' ? null : store.get(key, options)),
    })
    const summary = await b.sync({ wrap: hollow })
    expect(summary).toMatchObject({ downloaded: 1, deletedLocal: 0, deletedRemote: 0 })
    expect(summary.failed).toMatchObject([{ path: 'hollow', code: 'download-failed' }])
    expect(await a.sync({ wrap: hollow })).toMatchObject({ deletedLocal: 0 })
    expect(a.read('hollow')).toBe('hollow')
    expect(await b.sync()).toMatchObject({ downloaded: 1, failed: [] })
  })

  test('S11 a blob that was acknowledged and is forgotten is not deleted here', async () => {
    a.write('kept', 'kept')
    a.write('forgotten', 'forgotten')
    await a.sync()
    const forgets = (store: BlobStore): BlobStore => {
      const without = <T extends { key?: string }>(items: readonly T[]): T[] =>
        items.filter(({ key }) => key !== 'forgotten')
      return {
        ...forgetful(store),
        list: async (options) => {
          const page = await store.list(options)
          return { ...page, items: without(page.items) }
        },
        head: async (key, options) => (key === 'forgotten' ? null : store.head(key, options)),
      }
    }
    await a.sync({ wrap: forgets, maxDelete: { percent: 100 } })
    expect(a.read('forgotten')).toBe('forgotten')
  })
})

describe('a listing of the bucket that is not whole', () => {
  test.each(['error', 'cut short', 'no mark of its end'])('S12 with %s on any page deletes nothing', async (kind) => {
    many(a, 30)
    await settle(a, b)
    for (let page = 1; page <= 4; page++) {
      const paged = (store: BlobStore): BlobStore =>
        faulty(
          { ...forgetful(store), list: (options) => store.list({ ...options, limit: 10 }) },
          ({ method, count }) => {
            if (method !== 'list' || count !== page) return null
            return kind === 'error' ? { type: 'before' } : { type: 'truncate', items: kind === 'cut short' ? 3 : 10 }
          },
        )
      const summary = await a.sync({ wrap: paged, maxDelete: { percent: 100 } }).catch((error: unknown) => error)
      if (page <= 3) expect(summary).toMatchObject({ code: 'Unavailable' })
      expect(Object.keys(a.tree())).toHaveLength(30)
      expect(await alive()).toHaveLength(30)
    }
    expect(changed(await a.sync())).toBe(0)
  })

  test('S12 one that is empty, and says that it is whole, deletes nothing', async () => {
    many(a, 30)
    await settle(a, b)
    const empty = (store: BlobStore): BlobStore => ({
      ...forgetful(store),
      list: async (options) => ({ ...(await store.list({ ...options, limit: 1 })), items: [], complete: true }),
    })
    const summary = await a.sync({ wrap: empty, maxDelete: { percent: 100 } })
    expect(summary).toMatchObject({ deletedLocal: 0, deletedRemote: 0, conflicts: 0 })
    expect(Object.keys(a.tree())).toHaveLength(30)
  })
})

describe('the first link', () => {
  test('S14 of a full folder with an empty bucket deletes nothing', async () => {
    many(a, 30)
    expect(await a.sync({ maxDelete: { percent: 100 } })).toMatchObject({ deletedLocal: 0, uploaded: 30 })
    expect(Object.keys(a.tree())).toHaveLength(30)
  })

  test('S14 of a full folder with an equal bucket moves nothing', async () => {
    many(a, 30)
    many(b, 30)
    await a.sync()
    expect(changed(await b.sync())).toBe(0)
  })

  test('S14 of a full folder with another bucket is a union', async () => {
    a.write('shared', 'same')
    a.write('only a', 'a')
    a.write('differs.txt', 'of a')
    b.write('shared', 'same')
    b.write('only b', 'b')
    b.write('differs.txt', 'of b')
    await a.sync()
    const summary = await b.sync({ maxDelete: { percent: 100 } })
    expect(summary).toMatchObject({ deletedLocal: 0, deletedRemote: 0, conflicts: 1 })
    await settle(a, b)
    expect(Object.values(b.tree()).sort()).toEqual(['a', 'b', 'of a', 'of b', 'same'])
    expect(a.tree()).toEqual(b.tree())
  })

  test('S14 of a full folder with a bucket in which all its files were deleted brings them back', async () => {
    many(a, 30)
    await a.sync()
    a.remove('many')
    await a.sync({ maxDelete: { percent: 100 } })
    many(b, 30)
    expect(await b.sync({ maxDelete: { percent: 100 } })).toMatchObject({ deletedLocal: 0, uploaded: 30 })
  })
})

test('S17 the delete of an old version, told late, does not remove a newer one', async () => {
  a.write('doc', '1')
  await a.sync()
  a.remove('doc')
  await a.sync()
  const old: FeedItem[] = []
  for await (const item of world.store.changes({})) if (item.type === 'delete') old.push(item)
  for (const text of ['3', '4', '5']) {
    a.write('doc', text)
    await settle(a, b)
  }
  expect(old).toMatchObject([{ version: 2 }])
  const late = (store: BlobStore): BlobStore => ({
    ...store,
    changes: async function* (options) {
      yield* old
      yield* store.changes(options)
    },
  })
  expect(await b.sync({ wrap: late, maxDelete: { percent: 100 } })).toMatchObject({ deletedLocal: 0 })
  expect(b.read('doc')).toBe('5')
})

test('S17 a blob that is missing for a moment is not deleted, and is taken once it is back', async () => {
  a.write('doc', '1')
  await settle(a, b)
  a.write('doc', '2')
  await a.sync()
  const missing = (store: BlobStore): BlobStore => ({
    ...store,
    fetch: async function* () {},
    get: async () => null,
    head: async () => null,
  })
  expect(await b.sync({ wrap: missing, maxDelete: { percent: 100 } })).toMatchObject({ deletedLocal: 0 })
  expect(b.read('doc')).toBe('1')
  await settle(a, b)
  expect(b.read('doc')).toBe('2')
})

test('D6 a push stream that is lost for long: what happened meanwhile is caught up with from the cursor', async () => {
  many(a, 30)
  await settle(a, b)
  b.remove('many/file-003.txt')
  b.write('many/file-004.txt', 'edited')
  b.write('new', 'new')
  await b.sync()
  const lists: unknown[] = []
  const noListing = (store: BlobStore): BlobStore => ({
    ...store,
    list: (options) => (lists.push(options), store.list(options)),
  })
  expect(await a.sync({ wrap: noListing })).toMatchObject({ downloaded: 2, deletedLocal: 1 })
  expect(lists).toEqual([])
  expect(a.tree()).toEqual(b.tree())
})

test('D6 a cursor that has expired: a whole listing, and no delete without a tombstone', async () => {
  many(a, 30)
  await settle(a, b)
  b.write('new', 'new')
  b.remove('many/file-003.txt')
  await b.sync()
  const summary = await a.sync({ wrap: forgetful, maxDelete: { percent: 100 } })
  expect(summary).toMatchObject({ deletedLocal: 0, conflicts: 0 })
  expect(a.read('new')).toBe('new')
  expect(a.read('many/file-003.txt')).toBe('number 3')
})

test('S20 uploads that fail again and again are pending, and told, until they are done', async () => {
  a.write('doc', 'written back')
  const down = (store: BlobStore): BlobStore =>
    faulty(store, ({ method }) => (method === 'commit' || method === 'stage' ? { type: 'before' } : null))
  for (let times = 0; times < 3; times++) {
    await expect(a.sync({ wrap: down })).rejects.toMatchObject({ code: 'Unavailable' })
    expect(await a.with(async (agent) => agent.status())).toMatchObject({ synced: 0, pending: { files: 1, bytes: 12 } })
  }
  expect(a.read('doc')).toBe('written back')
  expect(await a.sync()).toMatchObject({ uploaded: 1, synced: 1 })
})

test('S20 an agent that is stopped with uploads pending lists them, and the next one sends them', async () => {
  for (let n = 0; n < 40; n++) a.write(`file-${n}`, `${n}`.repeat(300_000))
  const stopping = new AbortController()
  const stops = (store: BlobStore): BlobStore => ({
    ...store,
    commit: (entries, options) => (stopping.abort(), store.commit(entries, options)),
  })
  const { pending, synced } = await a.with(
    async (agent) => {
      await agent.syncOnce(stopping.signal)
      return agent.status()
    },
    { wrap: stops },
  )
  expect(pending.files).toBeGreaterThan(0)
  expect(pending.files + synced).toBe(40)
  expect(await a.sync()).toMatchObject({ uploaded: pending.files, synced: 40 })
})
