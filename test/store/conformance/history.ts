import { expect, it } from 'vitest'
import type { BlobStore, ChangesOptions } from '../../../src/store/contract/blob-store.ts'
import type { Cursor, FeedItem } from '../../../src/store/contract/types.ts'
import { collect, commit, deleteChange, entry, newId, put, putChange, remove, told } from '../acts.ts'
import type { Laws } from '../conformance.ts'

export function historyLaws({ open }: Laws): void {
  it('tells all that happened, in order, and ends with a bookmark', async () => {
    const { store, writer } = await open()
    const first = await put(writer, 'a', '1')
    await put(writer, 'b', '1')
    await put(writer, 'a', '2')
    const gone = await remove(writer, 'b')
    const items = await collect(store.changes({}))
    expect(items.map(told)).toEqual(['put a 1', 'put b 1', 'put a 2', 'delete b 2', 'bookmark'])
    expect(items[0]).toEqual({ type: 'put', ...first })
    expect(items[3]).toEqual({ type: 'delete', ...gone })
    expect(items[4]).toEqual({ type: 'bookmark', cursor: (await store.info()).head })
  })

  it('tells of an empty bucket a bookmark', async () => {
    const { store } = await open()
    const { head } = await store.info()
    expect(await collect(store.changes({}))).toEqual([{ type: 'bookmark', cursor: head }])
    expect(await collect(store.changes({ since: head }))).toEqual([{ type: 'bookmark', cursor: head }])
  })

  it('goes on from any cursor without a gap', async () => {
    const { store, writer } = await open()
    const cursors: Cursor[] = [(await store.info()).head]
    for (let round = 0; round < 4; round++) {
      const outcome = await commit(
        writer,
        entry(await putChange(writer, 'a', `${round}`), await putChange(writer, `b${round}`, `${round}`)),
      )
      if (outcome.ok) cursors.push(outcome.cursor)
      await remove(writer, `b${round}`)
      await commit(writer, entry(deleteChange('never')))
      cursors.push((await store.info()).head)
    }
    const all = (await collect(store.changes({}))).filter((item) => item.type !== 'bookmark')
    for (const since of cursors) {
      const rest = (await collect(store.changes({ since }))).filter((item) => item.type !== 'bookmark')
      expect(rest).toEqual(all.slice(all.length - rest.length))
      expect(rest.every((item) => item.position !== since)).toBe(true)
    }
    const counts = await Promise.all(cursors.map(async (since) => (await collect(store.changes({ since }))).length - 1))
    expect(counts).toEqual([12, 10, 9, 7, 6, 4, 3, 1, 0])
  })

  it('tells a long history whole', async () => {
    const { store, writer } = await open()
    const change = await putChange(writer, 'k', 'same')
    const keys = Array.from({ length: 1500 }, (_, index) => `k${index % 700}`)
    await writer.commit(keys.map((key) => entry({ ...change, key })))
    const items = await collect(store.changes({}))
    expect(items.slice(0, -1).map((item) => item.type === 'put' && item.key)).toEqual(keys)
  })

  it('tells what the last command of a device made, and nothing else', async () => {
    const { store, writer } = await open()
    const put1 = async (key: string) => putChange(writer, key, 'bytes')
    const entries = [
      { ...entry(await put1('a'), await put1('b')), operation: 'laptop.1' },
      { ...entry(await put1('a')), operation: 'laptop.2' },
      { ...entry(await put1('c')), operation: 'laptop2.3' },
      { ...entry(await put1('c')), operation: 'laptop' },
      entry(await put1('d')),
      { ...entry(deleteChange('b')), operation: 'laptop.2' },
      { ...entry({ ...(await put1('a')), expect: 'absent' }), operation: 'laptop.4' },
    ]
    await writer.commit(entries)
    const { head } = await store.info()
    const items = await collect(store.changes({ lastOf: 'laptop' }))
    expect(items.map(told)).toEqual(['put a 2', 'delete b 2', 'bookmark'])
    expect(items.map((item) => item.type !== 'bookmark' && item.operation)).toEqual(['laptop.2', 'laptop.2', false])
    expect(await collect(store.changes({ lastOf: 'nobody' }))).toEqual([{ type: 'bookmark', cursor: head }])
    expect(await collect(store.changes({ lastOf: '%' }))).toEqual([{ type: 'bookmark', cursor: head }])
  })

  it('tells who waits of what another one writes, at once', async () => {
    const { store, writer } = await open()
    const stop = new AbortController()
    const feed = reader(store, { live: true, signal: stop.signal })
    expect(await feed.next()).toBe('bookmark')
    for (let round = 1; round <= 5; round++) {
      const waiting = feed.next()
      await put(writer, 'k', `${round}`)
      const start = performance.now()
      expect(await waiting).toBe(`put k ${round}`)
      expect(performance.now() - start).toBeLessThan(5000)
      expect(await feed.next()).toBe('bookmark')
    }
    const end = feed.next()
    stop.abort()
    expect(await end).toBeNull()
  })

  it('goes on live from a cursor', async () => {
    const { store, writer } = await open()
    await put(writer, 'old', '1')
    const { head } = await store.info()
    const stop = new AbortController()
    const feed = reader(store, { since: head, live: true, signal: stop.signal })
    await put(writer, 'new', '1')
    const items = [await feed.next(), await feed.next()]
    expect(items.filter((item) => item !== 'bookmark')).toEqual(['put new 1'])
    stop.abort()
  })

  it('tells many who wait', async () => {
    const { store, writer } = await open()
    const stop = new AbortController()
    const feeds = Array.from({ length: 20 }, () => reader(store, { live: true, signal: stop.signal }))
    await Promise.all(feeds.map((feed) => feed.next()))
    const waiting = feeds.map((feed) => feed.next())
    await put(writer, 'k', '1')
    expect(await Promise.all(waiting)).toEqual(feeds.map(() => 'put k 1'))
    stop.abort()
  })

  it('ends without an error when it is aborted before it began', async () => {
    const { store, writer } = await open()
    await put(writer, 'k', '1')
    expect(await collect(store.changes({ signal: AbortSignal.abort() }))).toEqual([])
  })

  it('ends what waits when the store is closed', async () => {
    const { store } = await open()
    const feed = reader(store, { live: true })
    expect(await feed.next()).toBe('bookmark')
    const end = feed.next()
    await store.close()
    expect(await end).toBeNull()
  })

  it('refuses the cursor of another history', async () => {
    const { store, writer } = await open()
    const info = await put(writer, 'k', '1')
    const [epoch = '', position = '', id = ''] = info.position.split(':')
    const others = [
      `${newId()}:${position}:${id}`,
      `${epoch}:${position}:${newId()}`,
      `${epoch}:999999:${id}`,
      `${epoch}:0:${id}`,
    ]
    for (const since of others) {
      await expect(collect(store.changes({ since }))).rejects.toMatchObject({ code: 'CursorForked' })
    }
    await expect(collect(store.changes({ since: 'nonsense' }))).rejects.toMatchObject({ code: 'InvalidRequest' })
  })
}

/** Reads a feed one item at a time; null is its end. */
function reader(store: BlobStore, options: ChangesOptions): { next(): Promise<string | null> } {
  const items: AsyncIterator<FeedItem> = store.changes(options)[Symbol.asyncIterator]()
  return {
    next: async () => {
      const result = await items.next()
      return result.done === true ? null : told(result.value)
    },
  }
}
