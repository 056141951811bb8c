import type { BodyRef } from '../content/body.ts'
import { hasher } from '../content/hash.ts'
import type { Clock } from '../platform/ports.ts'
import type { BlobStore, ChangesOptions, Fetched, Want } from './contract/blob-store.ts'
import { BlobsError, isBlobsError } from './contract/errors.ts'
import type { Blob, Cursor, FeedItem } from './contract/types.ts'

/** Milliseconds before the first repeat; doubled each time. */
const FIRST_PAUSE = 200
const LONGEST_PAUSE = 10_000
/** Longest that we wait because the other side asks for it. */
const LONGEST_ASKED = 60_000
const ATTEMPTS = 6

export interface RetryOptions {
  readonly clock: Clock
  /** A number from 0 to below 1: pauses are spread, so that many clients do not come back together. */
  readonly chance: () => number
  /** Failures in a row, without progress, until the error is passed on; 6 unless given. */
  readonly attempts?: number
  /** Told before each pause of so many milliseconds. */
  readonly onRetry?: (error: BlobsError, pause: number) => void
}

/** Counts failures in a row. */
interface Patience {
  progress(): void
  /** Waits after a failure that may pass; throws any other, and one too many. */
  pause(error: unknown, signal?: AbortSignal): Promise<void>
}

/**
 * Repeats what failed with `Unavailable`; other errors pass. A commit is repeated with its ids, so it happens once. Streams go on
 * where they broke off; a whole blob that was put together of several tries is still checked against its hash.
 */
export function retrying(store: BlobStore, options: RetryOptions): BlobStore {
  const patience = (): Patience => openPatience(options)
  const closing = new AbortController()
  const again = async <T>(act: () => Promise<T>): Promise<T> => {
    const calm = patience()
    for (;;) {
      try {
        return await act()
      } catch (error) {
        await calm.pause(error, closing.signal)
      }
    }
  }
  const parts: Parts = { store, patience, again, closing: closing.signal }
  return {
    info: () => again(() => store.info()),
    head: (key, options) => again(() => store.head(key, options)),
    get: async (key, options) => {
      const blob = await again(() => store.get(key, { ...options, readerCompares: true }))
      return blob === null ? null : { ...blob, stream: resumedBytes(parts, blob, options?.readerCompares === true) }
    },
    commit: (entries, options) => again(() => store.commit(entries, options)),
    list: (options) =>
      again(async () => {
        const page = await store.list(options)
        if (page.complete || page.next !== undefined) return page
        throw new BlobsError('Unavailable', 'the listing was cut short', { hint: 'try again' })
      }),
    changes: (options) => resumedChanges(parts, options),
    missing: (hashes) => again(() => store.missing(hashes)),
    stage: (chunks, options) => again(() => store.stage(chunks, options)),
    fetch: (wants) => resumedFetch(parts, wants),
    chunksOf: async (key, version) => {
      const pages = await again(() => store.chunksOf(key, version))
      return pages === null ? null : resumedChunks(parts, { key, version }, pages)
    },
    // Who asks it says how long it may take.
    ...(store.reach === undefined ? {} : { reach: store.reach }),
    close: () => {
      closing.abort()
      return store.close()
    },
  }
}

/** Repeats a call as long as the other side asks for it to be made later; every other failure passes at once. */
export async function whenAsked<T>(act: () => Promise<T>, options: RetryOptions): Promise<T> {
  const calm = openPatience(options)
  for (;;) {
    try {
      return await act()
    } catch (error) {
      if (!isBlobsError(error) || error.retryAfter === undefined) throw error
      await calm.pause(error)
    }
  }
}

interface Parts {
  readonly store: BlobStore
  readonly patience: () => Patience
  readonly again: <T>(act: () => Promise<T>) => Promise<T>
  readonly closing: AbortSignal
}

function openPatience({ clock, chance, attempts = ATTEMPTS, onRetry }: RetryOptions): Patience {
  let failures = 0
  return {
    progress: () => {
      failures = 0
    },
    pause: async (error, signal) => {
      failures += 1
      if (!isBlobsError(error, 'Unavailable') || failures >= attempts || signal?.aborted === true) throw error
      const most = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1))
      const asked = Math.min(LONGEST_ASKED, error.retryAfter ?? 0)
      const pause = Math.max(asked, Math.round(most * (0.5 + chance() / 2)))
      onRetry?.(error, pause)
      await clock.sleep(pause, signal)
    },
  }
}

function cutShort(what: string): BlobsError {
  return new BlobsError('Unavailable', `${what} was cut short`, { hint: 'try again' })
}

async function* resumedBytes(
  parts: Parts,
  { info, range, stream: first }: Blob,
  readerCompares: boolean,
): AsyncGenerator<Uint8Array, void> {
  const { key, version, hash, size } = info
  const [start, end] = range
  const whole = !readerCompares && start === 0 && end === size - 1 ? hasher() : null
  const calm = parts.patience()
  let stream = first
  let at = start
  let held: Uint8Array | null = null
  do {
    try {
      for await (const piece of stream) {
        at += piece.length
        calm.progress()
        whole?.update(piece)
        if (held !== null) yield held
        held = piece
      }
      if (at <= end) throw cutShort(key)
    } catch (error) {
      // All bytes came: what failed was only the end.
      if (at > end && isBlobsError(error, 'Unavailable')) break
      await calm.pause(error, parts.closing)
      stream = await parts.again(async () => {
        const rest = await parts.store.get(key, { version, range: [at, end] })
        if (rest?.info.hash === hash) return rest.stream
        if (rest !== null) await leave(rest.stream)
        throw new BlobsError('NotFound', `version ${version} of ${key} went away while it was read`, { key })
      })
    }
  } while (at <= end)
  if (whole !== null && whole.digest('hex') !== hash) {
    throw new BlobsError('Corrupt', `the bytes of ${key} are not those of its hash ${hash}`, {
      key,
      hint: 'read it again; if that does not help it is damaged where it is kept: blobs doctor there',
    })
  }
  if (held !== null) yield held
}

/** Ends a stream that is not wanted: one that nobody reads keeps its connection. */
async function leave(stream: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const _bytes of stream) break
  } catch {
    // It is not wanted in any case.
  }
}

/** Items of one entry share a cursor, and a feed starts behind entries: so it starts again before the entry that was being told, and what was told of it is passed over. */
async function* resumedChanges(parts: Parts, options: ChangesOptions): AsyncGenerator<FeedItem, void> {
  const { signal, lastOf } = options
  if (lastOf !== undefined) return yield* await parts.again(() => collect(parts.store.changes(options)))
  const ending = signal === undefined ? parts.closing : AbortSignal.any([signal, parts.closing])
  const calm = parts.patience()
  let since = options.since
  let entry: Cursor | null = null
  let told = 0
  while (!ending.aborted) {
    let passed = 0
    try {
      for await (const item of parts.store.changes(since === undefined ? options : { ...options, since })) {
        const cursor = item.type === 'bookmark' ? item.cursor : item.position
        if (cursor === entry && item.type !== 'bookmark' && passed++ < told) continue
        if (item.type === 'bookmark') {
          since = cursor
          entry = null
          told = 0
        } else if (cursor !== entry) {
          since = entry ?? since
          entry = cursor
          told = passed = 1
        } else told += 1
        calm.progress()
        yield item
        if (item.type === 'bookmark' && options.live !== true) return
      }
      throw cutShort('the feed of changes')
    } catch (error) {
      if (ending.aborted) return
      await calm.pause(error, ending)
    }
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

async function* resumedFetch(parts: Parts, wants: readonly Want[]): AsyncGenerator<Fetched, void> {
  const name = ({ key, version }: Want): string => `${version} ${key}`
  const calm = parts.patience()
  const had = new Set<string>()
  for (;;) {
    try {
      for await (const fetched of parts.store.fetch(wants.filter((want) => !had.has(name(want))))) {
        had.add(name(fetched))
        calm.progress()
        yield fetched
      }
      return
    } catch (error) {
      await calm.pause(error, parts.closing)
    }
  }
}

async function* resumedChunks(
  parts: Parts,
  { key, version }: Want,
  first: AsyncIterable<readonly BodyRef[]>,
): AsyncGenerator<readonly BodyRef[], void> {
  const calm = parts.patience()
  let pages = first
  let given = 0
  for (;;) {
    let at = 0
    try {
      for await (const page of pages) {
        const fresh = page.slice(Math.max(0, given - at))
        at += page.length
        if (fresh.length === 0) continue
        given = at
        calm.progress()
        yield fresh
      }
      return
    } catch (error) {
      await calm.pause(error, parts.closing)
      pages = await parts.again(async () => {
        const again = await parts.store.chunksOf(key, version)
        if (again !== null) return again
        throw new BlobsError('NotFound', `version ${version} of ${key} went away while it was read`, { key })
      })
    }
  }
}
