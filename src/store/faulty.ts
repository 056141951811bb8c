import type { BlobStore } from './contract/blob-store.ts'
import { BlobsError } from './contract/errors.ts'
import type { Page } from './contract/types.ts'

type Method = Exclude<keyof BlobStore, 'close'>

/** A call that is being made: the `count`th of its method, from 1. */
export interface Call {
  readonly method: Method
  readonly count: number
}

/**
 * What goes wrong with a call. `before`: it fails and nothing happened. `after`: it happened, but the answer was lost. `cut`: a
 * stream breaks off after so many items. `truncate`: a listing ends early and does not say that it is complete. The error is
 * `Unavailable` unless given.
 */
export type Fault =
  | { readonly type: 'before' | 'after'; readonly error?: Error }
  | { readonly type: 'cut'; readonly items: number; readonly error?: Error }
  | { readonly type: 'truncate'; readonly items: number }

/** A store that fails as `plan` says, call by call; null lets a call pass. For tests and simulation. */
export function faulty(store: BlobStore, plan: (call: Call) => Fault | null): BlobStore {
  const counts = new Map<Method, number>()
  const next = (method: Method): Fault | null => {
    const count = (counts.get(method) ?? 0) + 1
    counts.set(method, count)
    return plan({ method, count })
  }
  const calling = async <T>(fault: Fault | null, act: () => Promise<T>): Promise<T> => {
    if (fault?.type === 'before') throw errorOf(fault)
    const result = await act()
    if (fault?.type === 'after') throw errorOf(fault)
    return result
  }
  const streaming = <T>(fault: Fault | null, stream: AsyncIterable<T>): AsyncIterable<T> =>
    fault === null || fault.type === 'truncate'
      ? stream
      : cutShort(stream, fault.type === 'cut' ? fault.items : 0, errorOf(fault))
  const plain = <T>(method: Method, act: () => Promise<T>): Promise<T> => calling(next(method), act)
  return {
    info: () => plain('info', () => store.info()),
    head: (key, options) => plain('head', () => store.head(key, options)),
    get: async (key, options) => {
      const fault = next('get')
      const blob = await calling(fault, () => store.get(key, options))
      return blob === null || fault?.type !== 'cut' ? blob : { ...blob, stream: streaming(fault, blob.stream) }
    },
    commit: (entries, options) => plain('commit', () => store.commit(entries, options)),
    list: async (options) => {
      const fault = next('list')
      const page = await calling(fault, () => store.list(options))
      return fault?.type === 'truncate' ? truncated(page, fault.items) : page
    },
    changes: (options) => streaming(next('changes'), store.changes(options)),
    missing: (hashes) => plain('missing', () => store.missing(hashes)),
    stage: (chunks, options) => plain('stage', () => store.stage(chunks, options)),
    fetch: (wants) => streaming(next('fetch'), store.fetch(wants)),
    chunksOf: async (key, version) => {
      const fault = next('chunksOf')
      const pages = await calling(fault, () => store.chunksOf(key, version))
      return pages === null || fault?.type !== 'cut' ? pages : streaming(fault, pages)
    },
    close: () => store.close(),
  }
}

/** A plan by chance: of ten thousand calls about `rate` × 10,000 fail, each in one of the ways of its kind; the same seed gives the same faults. */
export function faultsByChance(seed: number, rate: number): (call: Call) => Fault | null {
  const chance = generator(seed)
  return ({ method }) => {
    if (chance() >= rate) return null
    const items = Math.floor(chance() * 4)
    const kind = chance()
    if (method === 'list' && kind < 1 / 3) return { type: 'truncate', items }
    if (['get', 'changes', 'fetch', 'chunksOf'].includes(method) && kind < 1 / 2) return { type: 'cut', items }
    return { type: kind < 3 / 4 ? 'before' : 'after' }
  }
}

function errorOf(fault: Fault): Error {
  if ('error' in fault && fault.error !== undefined) return fault.error
  return new BlobsError('Unavailable', 'the connection was lost (injected)')
}

function truncated({ items, cursor }: Page, kept: number): Page {
  return { items: items.slice(0, kept), prefixes: [], complete: false, cursor }
}

async function* cutShort<T>(stream: AsyncIterable<T>, items: number, error: Error): AsyncGenerator<T, void> {
  let left = items
  for await (const item of stream) {
    if (left-- <= 0) throw error
    yield item
  }
  throw error
}

/** Numbers from 0 to below 1 (mulberry32). */
function generator(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
