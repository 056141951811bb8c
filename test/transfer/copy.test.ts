import { expect, test } from 'vitest'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { planCopy, type CopyEnd, type CopyOptions, type CopyResult } from '../../src/transfer/copy.ts'
import { readBlob } from '../../src/transfer/get.ts'
import { requireBlob } from '../../src/transfer/listing.ts'
import { putItems } from '../../src/transfer/put.ts'
import { collect, openPlace, type Place } from './place.ts'

const COPY: CopyOptions = { recursive: false, move: false, expect: 'any' }
const MOVE: CopyOptions = { recursive: true, move: true, expect: 'any' }

async function put(place: Place, key: string, content: string | Uint8Array): Promise<void> {
  const source = (async function* () {
    yield Buffer.from(content)
  })()
  await collect(putItems(place.context(), [{ kind: 'stream', path: key, key, source }], { expect: 'any' }))
}
function end(place: Place, key: string, store?: BlobStore): CopyEnd {
  return { context: place.context(store ? { store } : {}), place: place.folder, key }
}
async function copy(source: CopyEnd, target: CopyEnd, options: CopyOptions): Promise<CopyResult[]> {
  return collect((await planCopy(source, target, options)).results)
}
async function bytesAt(place: Place, key: string): Promise<Buffer> {
  return Buffer.concat(await collect(readBlob(place.context(), await requireBlob(place.context(), key))))
}
async function keys(place: Place): Promise<string[]> {
  return (await place.store.list()).items.map(({ key }) => key)
}

test('within a bucket no bytes travel', async () => {
  await using place = await openPlace()
  await put(place, 'a', Buffer.alloc(3_000_000, 'large '))
  const refuse = (): never => {
    throw new Error('bytes travelled')
  }
  const still = { ...place.store, stage: refuse, get: refuse, fetch: refuse }
  expect(await copy(end(place, 'a', still), end(place, 'b', still), COPY)).toMatchObject([{ kind: 'copied' }])
  expect((await bytesAt(place, 'b')).equals(Buffer.alloc(3_000_000, 'large '))).toBe(true)
})

test('a move is one entry for each key', async () => {
  await using place = await openPlace()
  await put(place, 'x/a', '1')
  await put(place, 'x/b', '2')
  const results = await copy(end(place, 'x'), end(place, 'y'), MOVE)
  for (const result of results) {
    if (result.kind !== 'copied') throw result.error
    expect(await place.store.head(result.from.key)).toMatchObject({ deleted: true, entry: result.info.entry })
  }
  expect(await keys(place)).toEqual(['y/a', 'y/b'])
})

test('a move leaves what somebody changed meanwhile, in a bucket and between two', async () => {
  await using place = await openPlace()
  await using other = await openPlace()
  for (const target of [place, other]) {
    await put(place, 'x/a', '1')
    const late: BlobStore = {
      ...place.store,
      list: async (options) => {
        const page = await place.store.list(options)
        if (options?.limit === undefined) await put(place, 'x/a', 'late')
        return page
      },
    }
    const results = await copy(end(place, 'x', late), end(target, 'y', target === place ? late : target.store), MOVE)
    const failed = results.find((result) => result.kind === 'failed')
    expect(failed && isBlobsError(failed.error, 'VersionConflict')).toBe(true)
    expect((await bytesAt(place, 'x/a')).toString()).toBe('late')
    expect(await keys(other)).toEqual(target === place ? [] : ['y/a'])
  }
})

test('between buckets many small and some large blobs come over as they are, and a second time nothing is sent', async () => {
  await using place = await openPlace()
  await using other = await openPlace()
  const large = Buffer.from(Array.from({ length: 2_500_000 }, (_, index) => (index * index) % 251))
  for (let index = 0; index < 50; index++) await put(place, `x/${index}`, `blob ${index}`)
  await put(place, 'x/large', large)
  await put(place, 'x/empty', '')
  let staged = 0
  const counting: BlobStore = {
    ...other.store,
    stage: async (chunks) => {
      staged += chunks.length
      await other.store.stage(chunks)
    },
  }
  const options = { ...COPY, recursive: true }
  const results = await copy(end(place, ''), end(other, '', counting), options)
  expect(results.filter(({ kind }) => kind === 'copied')).toHaveLength(52)
  expect(await keys(other)).toEqual(await keys(place))
  expect((await bytesAt(other, 'x/large')).equals(large)).toBe(true)
  expect((await bytesAt(other, 'x/7')).toString()).toBe('blob 7')
  staged = 0
  await copy(end(place, ''), end(other, '', counting), options)
  expect(staged).toBe(0)
})

test('a folder that goes up to its parent is not met twice', async () => {
  await using place = await openPlace()
  await put(place, 'a/b/x', '1')
  await put(place, 'a/b/b/y', '2')
  await copy(end(place, 'a/b'), end(place, 'a'), { ...COPY, recursive: true })
  expect(await keys(place)).toEqual(['a/b/b/y', 'a/b/x', 'a/b/y', 'a/x'])
})
