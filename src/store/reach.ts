import type { Clock } from '../platform/ports.ts'
import type { Reached, ReachOptions, Stale } from './contract/blob-store.ts'
import { BlobsError, isBlobsError } from './contract/errors.ts'
import type { Cursor } from './contract/types.ts'
import { parseCursor } from './cursor.ts'
import type { Follower } from './follow.ts'

/** See `BlobStore.reach`. */
export type Reach = (options: ReachOptions) => Promise<Omit<Reached, 'known'>>

/** Milliseconds between two looks at a log that lags. */
const AGAIN = 25
/** Milliseconds for which a place that was found unreadable is given the chance to answer once more. */
const GLANCE = 50
/**
 * Milliseconds after which a place that lags would have caught up: a leader that was cut off knows by then that it is none. What
 * somebody has seen and is not there is gone then: the log went back in time, to a backup perhaps.
 */
const LONGEST_LAG = 20_000
/** Milliseconds for which a place that is choosing its leader is waited for by who needs its answer. */
const ELECTION = 10_000
/** Cursors that were asked for and are not there. */
const CLAIMS = 1000

interface Parts {
  readonly follower: Pick<Follower, 'read' | 'peek'>
  readonly clock: Clock
  readonly mayLag: boolean
}

export function openReach({ follower, clock, mayLag }: Parts): Reach {
  const claims = openClaims(clock)
  /** When the look began that was the last to succeed. */
  let sure: number | null = null
  /** Looks that are under way, and since when none of them has succeeded. */
  let looks = 0
  let waiting = 0
  const refresh = async (): Promise<Cursor> => {
    const started = clock.elapsed()
    if (looks++ === 0) waiting = started
    try {
      const head = await follower.read((view) => view.head())
      sure = Math.max(sure ?? started, started)
      waiting = clock.elapsed()
      return head
    } finally {
      looks -= 1
    }
  }
  /** The head, or why the place cannot be read. */
  const look = async (within: number, mayBeStale: boolean): Promise<Cursor | BlobsError> => {
    const patience = mayBeStale ? within : ELECTION
    const troubled = looks > 0 && clock.elapsed() - waiting >= patience
    const refreshed = refresh().catch(ifUnavailable)
    if (!(mayBeStale || mayLag) || sure === null) return refreshed
    const over = new AbortController()
    const silent = clock.sleep(troubled ? GLANCE : patience, over.signal).then(silence)
    try {
      return await Promise.race([refreshed, silent])
    } finally {
      over.abort()
    }
  }
  const asKnown = async (seen: readonly Cursor[], why: BlobsError): ReturnType<Reach> => {
    if (sure === null) throw why
    const stale: Stale = { age: clock.elapsed() - sure, why }
    const head = await follower.peek((view) => view.head())
    if (beyond(head, seen).length > 0) throw why
    return { head, stale }
  }
  return async ({ seen, within, mayBeStale }) => {
    const started = clock.elapsed()
    for (;;) {
      const left = within - (clock.elapsed() - started)
      const head = await look(Math.max(left, GLANCE), mayBeStale)
      if (typeof head !== 'string') {
        if (mayBeStale) return asKnown(seen, head)
        throw head
      }
      const missed = mayLag ? claims.young(beyond(head, seen)) : []
      if (missed.length === 0) return { head, stale: null }
      if (left <= 0) throw behind()
      await clock.sleep(AGAIN)
    }
  }
}

function silence(): BlobsError {
  return new BlobsError('Unavailable', 'the place that holds the bucket does not answer', { retryAfter: 1000 })
}

function ifUnavailable(error: unknown): BlobsError {
  if (isBlobsError(error, 'Unavailable')) return error
  throw error
}

/** Those of the same history that come after its head. */
function beyond(head: Cursor, seen: readonly Cursor[]): readonly Cursor[] {
  const { epoch, position } = parseCursor(head)
  return seen.filter((cursor) => {
    const place = parseCursor(cursor)
    return place.epoch === epoch && place.position > position
  })
}

function behind(): BlobsError {
  return new BlobsError('Unavailable', 'what this client has seen has not come to this server yet', {
    retryAfter: 500,
    hint: 'it is tried again',
  })
}

/** Remembers since when cursors are asked for that are not there; the oldest is forgotten first. */
function openClaims(clock: Clock): { young(missed: readonly Cursor[]): readonly Cursor[] } {
  const claims = new Map<Cursor, { readonly first: number; readonly last: number }>()
  return {
    young: (missed) => {
      const now = clock.elapsed()
      return missed.filter((claim) => {
        const before = claims.get(claim)
        // One that came meanwhile was not asked for again and again.
        const first = before !== undefined && now - before.last < LONGEST_LAG ? before.first : now
        claims.delete(claim)
        claims.set(claim, { first, last: now })
        const [oldest] = claims.keys()
        if (claims.size > CLAIMS && oldest !== undefined) claims.delete(oldest)
        return now - first <= LONGEST_LAG
      })
    },
  }
}
