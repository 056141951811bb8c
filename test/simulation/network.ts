import type { Duplex } from 'node:stream'
import type { BlobStore, ChangesOptions } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import type { FeedItem } from '../../src/store/contract/types.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import { lazily } from '../../src/store/lazy.ts'
import type { Chance } from './chance.ts'
import type { Coverage } from './coverage.ts'
import type { Process } from './process.ts'
import type { Scheduler } from './scheduler.ts'
import type { Server } from './server.ts'
import type { Wire } from './wire.ts'

export interface NetworkOptions {
  readonly server: Server
  readonly process: Process
  readonly chance: Chance
  readonly scheduler: Scheduler
  readonly coverage: Coverage
  /** Of all calls, how many meet with something. */
  readonly rate: () => number
  /** Takes a message that comes again later. */
  readonly later: (work: Promise<unknown>) => void
}

const LONGEST_DELAY = 400
const FEED_LIFE = 60_000

/** A store across a network that loses, delays, doubles and cuts what it carries. */
export function networked(options: NetworkOptions): BlobStore {
  const { server, process, chance, scheduler, coverage, rate, later } = options
  const lost = (what: string): BlobsError => {
    coverage.count(`network: ${what}`)
    return new BlobsError('Unavailable', `${what} (injected)`)
  }
  const travel = async (): Promise<void> => {
    process.check()
    if (chance.often(rate() * 2)) {
      coverage.count('network: message delayed')
      await scheduler.sleep(chance.below(LONGEST_DELAY))
    } else if (chance.often(0.3)) await scheduler.turn()
    process.check()
  }
  const call = async <T>(name: string, act: (store: BlobStore) => Promise<T>, again = false): Promise<T> => {
    await travel()
    if (chance.often(rate())) throw lost('request lost')
    const result = process.effect(name, () => act(server.store()))
    if (again && chance.often(rate())) {
      coverage.count(`network: ${name} doubled`)
      later(scheduler.sleep(chance.below(LONGEST_DELAY)).then(() => act(server.store())))
    }
    const answer = await result
    await travel()
    if (chance.often(rate())) throw lost('answer lost')
    return answer
  }
  const stream = async function* <T>(open: (store: BlobStore) => AsyncIterable<T>): AsyncGenerator<T, void> {
    await travel()
    if (chance.often(rate())) throw lost('request lost')
    const cut = chance.often(rate()) ? chance.below(4) : Number.POSITIVE_INFINITY
    let count = 0
    for await (const item of open(server.store())) {
      process.check()
      if (count++ >= cut) throw lost('stream cut')
      yield item
    }
  }
  /** A feed may break off at any time, also while nothing comes. */
  const feed = async function* (settings: ChangesOptions): AsyncGenerator<FeedItem, void> {
    await travel()
    if (chance.often(rate())) throw lost('request lost')
    const cut = new AbortController()
    const signal = settings.signal ? AbortSignal.any([settings.signal, cut.signal]) : cut.signal
    const end = new AbortController()
    if (chance.often(rate() * 2)) void breakOff(cut, end.signal)
    try {
      for await (const item of server.store().changes({ ...settings, signal })) {
        process.check()
        await travel()
        if (cut.signal.aborted) break
        yield item
      }
      if (settings.signal?.aborted !== true) throw lost('feed cut')
    } finally {
      end.abort('ended')
    }
  }
  const breakOff = async (cut: AbortController, ended: AbortSignal): Promise<void> => {
    await process.clock.sleep(chance.below(FEED_LIFE), ended)
    cut.abort('cut')
  }
  return {
    info: () => call('info', (store) => store.info()),
    head: (key, settings) => call('head', (store) => store.head(key, settings)),
    get: async (key, settings) => {
      const blob = await call('get', (store) => store.get(key, settings))
      return blob === null ? null : { ...blob, stream: stream(() => blob.stream) }
    },
    commit: (entries, settings) => call('commit to server', (store) => store.commit(entries, settings), true),
    list: async (settings) => {
      const page = await call('listing', (store) => store.list(settings))
      if (!chance.often(rate())) return page
      coverage.count('network: listing truncated')
      const items = page.items.slice(0, chance.below(page.items.length + 1))
      return { items, prefixes: [], complete: false, cursor: page.cursor }
    },
    changes: (settings) => (settings.live === true ? feed(settings) : stream((store) => store.changes(settings))),
    missing: (hashes) => call('missing', (store) => store.missing(hashes)),
    stage: (chunks) => {
      // The caller may use the memory again once it has the answer.
      const kept = chunks.map(({ hash, bytes }) => ({ hash, bytes: new Uint8Array(bytes) }))
      return call('stage', (store) => store.stage(kept), true)
    },
    fetch: (wants) => stream((store) => store.fetch(wants)),
    chunksOf: (key, version) => call('chunksOf', (store) => store.chunksOf(key, version)),
    close: async () => undefined,
  }
}

/** A client of the server, across connections that may break anywhere. */
export function wired({ process, wire }: { readonly process: Process; readonly wire: Wire }): BlobStore {
  const { clock, effect } = process
  const open = async (): Promise<BlobStore> => {
    const dial = (): Duplex => wire.dial(process)
    const buckets = await openHttpBuckets({ origin: 'http://server.test', token: 'token', clock, dial })
    const store = await buckets.open('team')
    return {
      ...store,
      commit: (entries, settings) => effect('commit to server', () => store.commit(entries, settings)),
      stage: (chunks) => effect('stage', () => store.stage(chunks)),
    }
  }
  return lazily(open)
}

/** A store whose pushes come twice, or in another order, as long as none comes behind the bookmark that vouches for it. */
export function jumbled(
  store: BlobStore,
  { chance, coverage, rate }: Pick<NetworkOptions, 'chance' | 'coverage' | 'rate'>,
): BlobStore {
  const changes = async function* (settings: ChangesOptions): AsyncGenerator<FeedItem, void> {
    const held: FeedItem[] = []
    for await (const item of store.changes(settings)) {
      if (item.type !== 'bookmark') {
        held.push(item)
        if (chance.often(rate())) {
          coverage.count('network: push doubled')
          held.push(item)
        }
        if (chance.often(rate() * 2)) continue
      }
      if (held.length > 1) coverage.count('network: pushes in another order')
      while (held.length > 0) yield* held.splice(chance.below(held.length), 1)
      if (item.type === 'bookmark') yield item
    }
  }
  return { ...store, changes: (settings) => (settings.live === true ? changes(settings) : store.changes(settings)) }
}
