import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { sha256 } from '../../../src/content/hash.ts'
import type { BlobStore } from '../../../src/store/contract/blob-store.ts'
import type { ListOptions, Page } from '../../../src/store/contract/types.ts'
import { act, deleteChange, entry, listAll, put, putChange, remove } from '../acts.ts'
import type { Laws } from '../conformance.ts'

// U+E000 and U+FFFD come before U+10000 by UTF-8, after it by UTF-16.
const KEYS = [
  'B',
  'a',
  'a b',
  'a-b',
  'a/',
  'a/b',
  'a/b/c',
  'a/b/d',
  'a/z',
  'a0',
  'b/x',
  'é',
  'ﬀx',
  '\ufffd',
  '𐀀',
  '😀/x',
]

export function listingLaws({ open }: Laws): void {
  it('says of an empty bucket that it is complete', async () => {
    const { store } = await open()
    const { head } = await store.info()
    expect(await store.list()).toEqual({ items: [], prefixes: [], complete: true, cursor: head })
  })

  it('sorts by UTF-8 bytes', async () => {
    const { store, writer } = await open()
    await fill(writer, KEYS.toReversed())
    const page = await store.list()
    expect(page.items.map((item) => item.key)).toEqual(KEYS)
    expect(page).toMatchObject({ complete: true, prefixes: [] })
    expect(page.items[3]).toEqual(await store.head('a-b'))
  })

  it.each<[string, ListOptions, string[], string[]]>([
    ['a prefix', { prefix: 'a' }, ['a', 'a b', 'a-b', 'a/', 'a/b', 'a/b/c', 'a/b/d', 'a/z', 'a0'], []],
    ['a folder', { prefix: 'a/' }, ['a/', 'a/b', 'a/b/c', 'a/b/d', 'a/z'], []],
    ['a prefix that nothing has', { prefix: 'zz' }, [], []],
    [
      'the top level',
      { delimiter: '/' },
      ['B', 'a', 'a b', 'a-b', 'a0', 'é', 'ﬀx', '\ufffd', '𐀀'],
      ['a/', 'b/', '😀/'],
    ],
    ['a level below', { prefix: 'a/', delimiter: '/' }, ['a/', 'a/b', 'a/z'], ['a/b/']],
    ['a level by part of a name', { prefix: 'a/b', delimiter: '/' }, ['a/b'], ['a/b/']],
    ['what follows a key', { after: 'a/b/d' }, ['a/z', 'a0', 'b/x', 'é', 'ﬀx', '\ufffd', '𐀀', '😀/x'], []],
    ['what follows no key', { after: 'a/c', prefix: 'a/' }, ['a/z'], []],
    ['what follows a folder', { after: 'a/', delimiter: '/' }, ['a0', 'é', 'ﬀx', '\ufffd', '𐀀'], ['b/', '😀/']],
    [
      'what follows a key in a folder',
      { after: 'a/b/c', delimiter: '/' },
      ['a0', 'é', 'ﬀx', '\ufffd', '𐀀'],
      ['b/', '😀/'],
    ],
    ['what follows above U+FFFF', { after: '\ufffd' }, ['𐀀', '😀/x'], []],
    ['after what comes before the prefix', { prefix: 'a/b/', after: 'B' }, ['a/b/c', 'a/b/d'], []],
    ['after all that have the prefix', { prefix: 'a/b/', after: 'b' }, [], []],
  ])('lists %s', async (_, options, keys, prefixes) => {
    const { store, writer } = await open()
    await fill(writer, KEYS)
    const page = await store.list(options)
    expect(page.items.map((item) => item.key)).toEqual(keys)
    expect(page.prefixes).toEqual(prefixes)
    expect(page.complete).toBe(true)
  })

  it('gives the same by pages of any size, and only the last says that it is complete', async () => {
    const { store, writer } = await open()
    await fill(writer, KEYS)
    await put(writer, 'a/b', 'second')
    await remove(writer, 'a-b')
    const ways: ListOptions[] = [
      {},
      { delimiter: '/' },
      { prefix: 'a/', delimiter: '/' },
      { deleted: true },
      { versions: true, deleted: true },
    ]
    for (const way of ways) {
      const whole = await store.list(way)
      for (const limit of [1, 2, 5]) {
        const pages = await listAll(store, { ...way, limit })
        expect(pages.flatMap((page) => page.items)).toEqual(whole.items)
        expect(pages.flatMap((page) => page.prefixes)).toEqual(whole.prefixes)
        expect(pages.map((page) => page.complete)).toEqual(pages.map((_, index) => index === pages.length - 1))
        for (const page of pages) expect(page.items.length + page.prefixes.length).toBeLessThanOrEqual(limit)
      }
    }
  })

  it('pages a thousand at a time unless told', async () => {
    const { store, writer } = await open()
    await fill(
      writer,
      Array.from({ length: 1001 }, (_, index) => `k${String(index).padStart(4, '0')}`),
    )
    const pages = await listAll(store, {})
    expect(pages.length).toBeGreaterThan(1)
    expect(pages[0]?.items.length).toBeLessThanOrEqual(1000)
    expect(pages.flatMap((page) => page.items)).toHaveLength(1001)
  })

  it.each([0, -1, 1.5])('refuses a limit of %d', async (limit) => {
    const { store } = await open()
    await expect(store.list({ limit })).rejects.toMatchObject({ code: 'InvalidRequest' })
  })

  it('shows tombstones only when asked', async () => {
    const { store, writer } = await open()
    await fill(writer, ['a', 'gone/x', 'z'])
    const tombstone = await remove(writer, 'gone/x')
    expect(names(await store.list())).toEqual(['a', 'z'])
    expect((await store.list({ delimiter: '/' })).prefixes).toEqual([])
    const page = await store.list({ deleted: true })
    expect(page.items[1]).toEqual(tombstone)
    expect((await store.list({ deleted: true, delimiter: '/' })).prefixes).toEqual(['gone/'])
    await put(writer, 'gone/x', 'back')
    expect(names(await store.list())).toEqual(['a', 'gone/x', 'z'])
  })

  it('shows every version, newest first', async () => {
    const { store, writer } = await open()
    await put(writer, 'a', '1')
    await put(writer, 'b', '1')
    await put(writer, 'a', '2')
    await remove(writer, 'a')
    await put(writer, 'a', '4')
    const shown = (page: Page): string[] =>
      page.items.map((item) => `${item.key}${item.version}${item.deleted ? 'x' : ''}`)
    expect(shown(await store.list({ versions: true }))).toEqual(['a4', 'a2', 'a1', 'b1'])
    expect(shown(await store.list({ versions: true, deleted: true }))).toEqual(['a4', 'a3x', 'a2', 'a1', 'b1'])
    expect(shown(await store.list({ versions: true, prefix: 'b' }))).toEqual(['b1'])
    const pages = await listAll(store, { versions: true, limit: 2 })
    expect(pages.flatMap(shown)).toEqual(['a4', 'a2', 'a1', 'b1'])
  })

  it('shows the bucket as it was at a time', async () => {
    const { store, writer } = await open()
    const first = await put(writer, 'a', '1')
    await sleep(5)
    const second = await put(writer, 'a', '2')
    await put(writer, 'f/b', '1')
    await sleep(5)
    const gone = await remove(writer, 'a')
    await sleep(5)
    await put(writer, 'a', '4')
    const at = async (time: string, more: ListOptions = {}): Promise<unknown> =>
      (await store.list({ at: time, ...more })).items.map((item) => `${item.key} ${item.version}`)
    expect(await at('2001-01-01T00:00:00Z')).toEqual([])
    expect(await at(first.modified)).toEqual(['a 1'])
    expect((await store.list({ at: first.modified, delimiter: '/' })).prefixes).toEqual([])
    expect((await store.list({ at: gone.modified, delimiter: '/' })).prefixes).toEqual(['f/'])
    expect(await at(gone.modified)).toEqual(['f/b 1'])
    expect(await at(gone.modified, { deleted: true })).toEqual(['a 3', 'f/b 1'])
    expect(await at(second.modified, { versions: true, prefix: 'a' })).toEqual(['a 2', 'a 1'])
    expect(await at('2100-01-01T00:00:00Z')).toEqual(['a 4', 'f/b 1'])
    await expect(store.list({ at: 'yesterday' })).rejects.toMatchObject({ code: 'InvalidRequest' })
  })

  it('adds the digests of older versions', async () => {
    const { store, writer } = await open()
    for (const text of ['one', 'two', 'one', 'three']) await put(writer, 'a', text)
    await put(writer, 'b', 'only')
    await put(writer, 'c', 'was')
    await remove(writer, 'c')
    const digest = (text: string): string => sha256(Buffer.from(text))
    const { items } = await store.list({ digests: true, deleted: true })
    expect(items.map((item) => item.history)).toEqual([[digest('one'), digest('two')], [], [digest('was')]])
    expect((await store.list()).items[0]?.history).toBeUndefined()
  })

  it('gives at most a hundred digests, the newest', async () => {
    const { store, writer } = await open()
    const changes = await Promise.all(Array.from({ length: 105 }, (_, index) => putChange(writer, 'a', `${index}`)))
    await writer.commit(changes.map((change) => entry(change)))
    const [item] = (await store.list({ digests: true })).items
    expect(item?.history).toHaveLength(100)
    expect(item?.history?.[0]).toBe(sha256(Buffer.from('103')))
  })

  it('names the cursor that a page shows', async () => {
    const { store, writer } = await open()
    const info = await put(writer, 'a', '1')
    expect((await store.list()).cursor).toBe(info.position)
    const gone = await act(writer, deleteChange('a'))
    expect((await store.list()).cursor).toBe(gone.position)
  })
}

async function fill(store: BlobStore, keys: readonly string[]): Promise<void> {
  const first = await putChange(store, 'x', 'the same for all')
  const outcomes = await store.commit(keys.map((key) => entry({ ...first, key })))
  expect(outcomes.every((outcome) => outcome.ok)).toBe(true)
}

function names(page: Page): string[] {
  return page.items.map((item) => item.key)
}
