import type { Clock } from '../../platform/ports.ts'
import type { Cursor, FeedItem } from '../../store/contract/types.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import { isMissing } from '../call.ts'
import type { Pool } from '../pool.ts'

/** Who wants to know of every change of a key, whoever makes it. */
export interface Follower {
  /** `entry` made a version; null: something may have changed. */
  changed(entry: string | null): void
}

export interface Followers {
  /** From when it resolves no change of the key is missed, until the returned function is called. */
  follow(bucket: string, key: string, follower: Follower): Promise<() => void>
  /** Says that a bucket may have come into being. */
  look(bucket: string): void
}
interface FollowersOptions {
  readonly pool: Pool
  readonly clock: Clock
  /** Ends all feeds. */
  readonly stopping: AbortSignal
  /** Told why a feed broke off; it begins anew after that. */
  readonly onError: (bucket: string, error: unknown) => void
}

interface Feed {
  readonly followers: Map<string, Set<Follower>>
  readonly ending: AbortController
  /** Resolves when it knows from where on it tells changes. */
  readonly ready: Promise<void>
  look: () => void
}

/** A bucket that is not there is looked for this often, and one whose feed broke. */
const AGAIN = 1000

/** One feed for each bucket that somebody follows, however many they are. */
export function openFollowers(options: FollowersOptions): Followers {
  const feeds = new Map<string, Feed>()
  const leave = (bucket: string, feed: Feed, key: string, follower: Follower): void => {
    const set = feed.followers.get(key)
    set?.delete(follower)
    if (set?.size === 0) feed.followers.delete(key)
    if (feed.followers.size > 0) return
    feed.ending.abort()
    if (feeds.get(bucket) === feed) feeds.delete(bucket)
  }
  return {
    follow: async (bucket, key, follower) => {
      let feed = feeds.get(bucket)
      if (!feed) {
        feed = openFeed(bucket, options)
        feeds.set(bucket, feed)
      }
      const own = feed
      const set = own.followers.get(key) ?? new Set()
      own.followers.set(key, set.add(follower))
      await own.ready
      return () => leave(bucket, own, key, follower)
    },
    look: (bucket) => feeds.get(bucket)?.look(),
  }
}

function openFeed(bucket: string, { pool, clock, stopping, onError }: FollowersOptions): Feed {
  const { promise: ready, resolve } = Promise.withResolvers<void>()
  const ending = new AbortController()
  const feed: Feed = { followers: new Map(), ending, ready, look: () => undefined }
  const signal = AbortSignal.any([ending.signal, stopping])
  const waiting = async (): Promise<void> => {
    resolve()
    const looking = new AbortController()
    feed.look = () => looking.abort()
    await clock.sleep(AGAIN, AbortSignal.any([signal, looking.signal]))
  }
  const tellAll = (): void => feed.followers.forEach((set) => set.forEach((one) => one.changed(null)))
  const run = async (): Promise<void> => {
    let place: Place = { from: 'now' }
    while (!signal.aborted) {
      try {
        await pool.use(bucket, async (store) => {
          const since: Cursor | null =
            place.from === 'now' ? (await store.info()).head : place.from === 'start' ? null : place.from.cursor
          if (since !== null) place = { from: { cursor: since } }
          resolve()
          for await (const item of store.changes({ ...(since === null ? {} : { since }), live: true, signal })) {
            if (item.type === 'bookmark') place = { from: { cursor: item.cursor } }
            else tell(feed, item)
          }
        })
      } catch (error) {
        if (signal.aborted) break
        // What happened meanwhile to a bucket that was followed is not known.
        if (typeof place.from === 'object') tellAll()
        place = after(error, place)
        if (!isMissing(error)) onError(bucket, error)
      }
      if (!signal.aborted) await waiting()
    }
    resolve()
  }
  void run()
  return feed
}

/** From where a feed goes on: a bucket that was not there is told from its start. */
interface Place {
  readonly from: 'now' | 'start' | { readonly cursor: Cursor }
}

function after(error: unknown, place: Place): Place {
  if (isMissing(error)) return { from: 'start' }
  return isBlobsError(error, 'CursorForked') || isBlobsError(error, 'CursorExpired') ? { from: 'now' } : place
}

function tell({ followers }: Feed, item: Exclude<FeedItem, { type: 'bookmark' }>): void {
  for (const one of followers.get(item.key) ?? []) one.changed(item.entry)
}
