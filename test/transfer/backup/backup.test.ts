import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BlobStore } from '../../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../../src/store/contract/errors.ts'
import { collect, put, putChange, remove, textOf } from '../../store/acts.ts'
import { noise } from '../../store/noise.ts'
import { backup, deeds, historyOf, memoryBuckets, perform, restore, target } from './histories.ts'

async function opened(): Promise<{ readonly buckets: ReturnType<typeof memoryBuckets>; readonly team: BlobStore }> {
  const buckets = memoryBuckets()
  await buckets.create('team', { maxBlobSize: 10_000_000 })
  return { buckets, team: await buckets.open('team') }
}

test('a history that was backed up in parts and restored is the history that it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(deeds, { minLength: 1, maxLength: 3 }), async (parts) => {
      const { buckets, team } = await opened()
      const away = memoryBuckets()
      for (const [index, part] of parts.entries()) {
        await perform(team, part, index)
        await backup(team, target(away, 'copy'))
      }
      const copy = await away.open('copy')
      expect(await historyOf(copy)).toEqual(await historyOf(team))
      await restore(copy, target(away, 'back'))
      const back = await away.open('back')
      expect(await historyOf(back)).toEqual(await historyOf(team))
      const [before, after] = [await team.info(), await back.info()]
      expect([after.options, after.blobs, after.bytes]).toEqual([before.options, before.blobs, before.bytes])
      expect(after.epoch).not.toBe(before.epoch)
      await Promise.all([buckets.close(), away.close()])
    }),
    { numRuns: 20 },
  )
})

test('what is there already is neither asked for nor sent', async () => {
  const { buckets, team } = await opened()
  await put(team, 'small', 'small')
  await put(team, 'large', noise(3_000_000))
  const first = await backup(team, target(buckets, 'copy'))
  expect(first).toMatchObject({ created: true, entries: 2, versions: 2 })
  await put(team, 'again', 'small')
  await put(team, 'large', Buffer.concat([noise(2_900_000), Buffer.from('another end')]))
  const read: string[] = []
  let asked = 0
  const watched: BlobStore = {
    ...team,
    fetch: (wants) => (read.push(...wants.map(({ key }) => key)), team.fetch(wants)),
    get: async (key, options) => {
      const [from, to] = options?.range ?? [0, Infinity]
      asked += to - from + 1
      return team.get(key, options)
    },
  }
  expect(await backup(watched, target(buckets, 'copy'))).toMatchObject({ created: false, entries: 2, versions: 2 })
  expect(read).toEqual([])
  expect(asked).toBeLessThan(600_000)
  expect(await backup(watched, target(buckets, 'copy'))).toMatchObject({ entries: 0, versions: 0 })
  expect(await historyOf(await buckets.open('copy'))).toEqual(await historyOf(team))
  await buckets.close()
})

test('a backup and a bucket that is being restored take nothing from anybody else, and the latter cannot be read', async () => {
  const { buckets, team } = await opened()
  await put(team, 'a', 'a')
  await backup(team, target(buckets, 'copy'))
  const copy = await buckets.open('copy')
  await expect(put(copy, 'b', 'b')).rejects.toMatchObject({ code: 'Refused' })
  await expect(
    team.commit([{ id: '0'.repeat(32), time: 1, changes: [await putChange(team, 'b', 'b')] }]),
  ).rejects.toMatchObject({
    code: 'InvalidRequest',
  })
  const half = target(buckets, 'half')
  const broken: BlobStore = { ...copy, list: () => Promise.reject(new BlobsError('Unavailable', 'gone')) }
  await expect(restore(broken, half)).rejects.toThrow('gone')
  const store = await buckets.open('half')
  for (const read of [store.head('a'), store.list(), store.get('a'), put(store, 'c', 'c')])
    await expect(read).rejects.toBeInstanceOf(BlobsError)
  await expect(store.list()).rejects.toMatchObject({ code: 'Unavailable' })
  await expect(backup(team, half)).rejects.toMatchObject({ code: 'Refused' })
  await restore(copy, half)
  expect(await textOf(store, 'a')).toBe('a')
  await put(store, 'c', 'c')
  await buckets.close()
})

test('versions that the bucket keeps no more are restored as such, and stay in a backup that had them', async () => {
  const buckets = memoryBuckets()
  await buckets.create('team', { keepVersions: 1 })
  const team = await buckets.open('team')
  for (const text of ['one', 'two']) await put(team, 'a', text)
  await backup(team, target(buckets, 'early'))
  await put(team, 'a', 'three')
  await remove(team, 'a')
  expect(await buckets.collect?.('team')).toMatchObject({ dropped: 3 })
  await put(team, 'a', 'four')
  await backup(team, target(buckets, 'early'))
  await backup(team, target(buckets, 'late'))
  const [early, late] = [await buckets.open('early'), await buckets.open('late')]
  expect(await historyOf(late)).toEqual(await historyOf(team))
  const texts = (store: BlobStore) => Promise.all([1, 2, 3, 4, 5].map((version) => textOf(store, 'a', { version })))
  expect(await texts(early)).toEqual(['one', 'two', null, null, 'four'])
  await restore(late, target(buckets, 'back'))
  const back = await buckets.open('back')
  expect(await texts(back)).toEqual([null, null, null, null, 'four'])
  expect(await back.head('a', { version: 3 })).toMatchObject({ dropped: true, size: 5, version: 3 })
  expect((await back.info()).options).toEqual({ keepVersions: 1 })
  await buckets.close()
})

test('a backup goes to one bucket alone: not to one of its own, nor to the backup of another', async () => {
  const { buckets, team } = await opened()
  await put(team, 'a', 'a')
  await buckets.create('other')
  await expect(backup(team, target(buckets, 'other'))).rejects.toMatchObject({ code: 'Refused' })
  await backup(team, target(buckets, 'copy'))
  await put(await buckets.open('other'), 'b', 'b')
  await expect(backup(await buckets.open('other'), target(buckets, 'copy'))).rejects.toMatchObject({ code: 'Refused' })
  await expect(restore(await buckets.open('other'), target(buckets, 'new'))).rejects.toMatchObject({ code: 'Refused' })
  await expect(restore(await buckets.open('copy'), target(buckets, 'other'))).rejects.toMatchObject({
    code: 'AlreadyExists',
  })
  const given = { replace: true }
  await backup(await buckets.open('other'), target(buckets, 'copy-2'))
  await expect(restore(await buckets.open('copy'), target(buckets, 'copy-2'), given)).rejects.toMatchObject({
    code: 'Refused',
  })
  await buckets.close()
})

test('a bucket that was restored goes on in the same backup, unless the backup has more than it', async () => {
  const { buckets, team } = await opened()
  for (const text of ['one', 'two']) await put(team, 'a', text)
  const moment = Date.parse((await put(team, 'b', 'b')).modified)
  await new Promise((done) => setTimeout(done, 5))
  await put(team, 'late', 'late')
  await backup(team, target(buckets, 'copy'))
  const copy = await buckets.open('copy')
  const done = await restore(copy, target(buckets, 'then'), { until: moment })
  expect(done).toMatchObject({ versions: 3, lost: [] })
  const then = await buckets.open('then')
  expect((await then.list()).items.map(({ key }) => key)).toEqual(['a', 'b'])
  await expect(backup(then, target(buckets, 'copy'))).rejects.toMatchObject({ code: 'Refused' })
  await restore(copy, target(buckets, 'team'), { replace: true })
  const back = await buckets.open('team')
  await put(back, 'new', 'new')
  expect(await backup(back, target(buckets, 'copy'))).toMatchObject({ entries: 1 })
  expect(await historyOf(copy)).toEqual(await historyOf(back))
  expect(await backup(back, target(buckets, 'copy'))).toMatchObject({ entries: 0 })
  await buckets.close()
})

test('what was broken off anywhere goes on, and what is to be replaced is there until its successor is', async () => {
  const { buckets, team } = await opened()
  await perform(team, [
    [['a', 5]],
    [['b', 900_000]],
    [
      ['a', 'delete'],
      ['c', 70_000],
    ],
    [['a', 1]],
  ])
  for (let calls = 0, whole = false; !whole; calls++) {
    const copy = breaking(team, calls)
    whole = await backup(copy, target(buckets, 'copy')).then(
      () => true,
      () => false,
    )
  }
  const copy = await buckets.open('copy')
  expect(await historyOf(copy)).toEqual(await historyOf(team))
  await buckets.create('old')
  await put(await buckets.open('old'), 'kept', 'kept')
  const old = target(buckets, 'old')
  let restored = false
  for (let calls = 0; !restored; calls++) {
    restored = await restore(breaking(copy, calls), old, { replace: true }).then(
      () => true,
      () => false,
    )
    const names = (await collect(buckets.list())).map(({ name }) => name)
    if (!restored) expect(names).toEqual(expect.arrayContaining(['old']))
  }
  expect(await historyOf(await buckets.open('old'))).toEqual(await historyOf(team))
  expect((await collect(buckets.list())).map(({ name }) => name)).toEqual(['copy', 'old', 'team'])
  await buckets.close()
})

test('a backup that is stopped does not say that it was finished, and one whose cursor expired goes on where it was', async () => {
  const { buckets, team } = await opened()
  await perform(team, [[['a', 5]], [['b', 900_000]]])
  const stop = new AbortController()
  const stopping: BlobStore = {
    ...team,
    changes: async function* (options) {
      for await (const item of team.changes(options)) {
        yield item
        stop.abort(new Error('stopped'))
      }
    },
  }
  await expect(backup(stopping, target(buckets, 'copy'), { signal: stop.signal })).rejects.toThrow()
  const copy = await buckets.open('copy')
  expect((await copy.info()).options.copyOf?.at).toBeUndefined()
  await backup(team, target(buckets, 'copy'))
  await put(team, 'c', 'c')
  const forgetful: BlobStore = {
    ...team,
    changes: async function* (options) {
      if (options.since !== undefined) throw new BlobsError('CursorExpired', 'too long ago')
      yield* team.changes(options)
    },
  }
  expect(await backup(forgetful, target(buckets, 'copy'))).toMatchObject({ entries: 1 })
  expect(await historyOf(copy)).toEqual(await historyOf(team))
  await buckets.close()
})

/** Fails from the call with this number on. */
function breaking(store: BlobStore, after: number): BlobStore {
  let calls = 0
  const check = (): void => {
    if (calls++ >= after) throw new BlobsError('Unavailable', 'broken off')
  }
  return {
    ...store,
    get: async (key, options) => (check(), store.get(key, options)),
    fetch: (wants) => (check(), store.fetch(wants)),
    list: async (options) => (check(), store.list(options)),
    info: async () => (check(), store.info()),
    chunksOf: async (key, version) => (check(), store.chunksOf(key, version)),
    changes: async function* (options) {
      for await (const item of store.changes(options)) {
        check()
        yield item
      }
    },
  }
}

test('damaged bytes end a backup before they are copied, or are left out and told', async () => {
  const { buckets, team } = await opened()
  await put(team, 'first', 'first')
  await put(team, 'small', 'small')
  await put(team, 'large', noise(2_000_000))
  await put(team, 'small', 'smaller')
  await put(team, 'last', 'last')
  const damaged: BlobStore = {
    ...team,
    get: async (key, options) => {
      const blob = await team.get(key, options)
      const isBad = key === 'large' || (key === 'small' && options?.version === 1)
      return blob === null || !isBad ? blob : { ...blob, stream: spoiled(blob.stream) }
    },
    fetch: (wants) => team.fetch(wants.filter(({ key, version }) => key !== 'small' || version !== 1)),
  }
  await expect(backup(damaged, target(buckets, 'copy'))).rejects.toMatchObject({ code: 'Corrupt', key: 'small' })
  const done = await backup(damaged, target(buckets, 'copy'), { skipDamaged: true })
  expect(done.damaged.map(({ info }) => `${info.key} ${info.version}`)).toEqual(['small 1', 'large 1'])
  const copy = await buckets.open('copy')
  expect(await copy.head('large')).toMatchObject({ size: 2_000_000, dropped: true })
  const { lost } = await restore(copy, target(buckets, 'back'))
  expect(lost.map(({ key }) => key)).toEqual(['large'])
  const back = await buckets.open('back')
  expect((await back.list()).items.map(({ key }) => key)).toEqual(['first', 'last', 'small'])
  expect(await back.head('large')).toMatchObject({ version: 2, deleted: true })
  await buckets.close()
})

async function* spoiled(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let first = true
  for await (const bytes of stream) {
    if (!first) yield bytes
    first = false
  }
}
