import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { claimedBucket } from './claimed-bucket.ts'
import type { BlobStore } from '../store/contract/blob-store.ts'
import type { FeedItem } from '../store/contract/types.ts'
import { type Kept, readRecord, readRecords } from './system.ts'

const REVOKED = 'revoked/'
const BEFORE = 'before/'
/** Milliseconds until the reserved bucket is tried again after it could not be read. */
const AGAIN = 200

/** A token as far as its end goes; `issued` in milliseconds since 1970, null when it does not say. */
export interface Issued {
  readonly id: string
  readonly bucket: string
  readonly issued: number | null
}

/** All that was revoked: by id, and by "issued before" for a bucket's tokens or, under `*`, for all. */
export interface RevocationState {
  /** When, by the key of the id. */
  readonly ids: Map<string, string>
  readonly cutoffs: Map<string, Cutoff>
}
interface Cutoff {
  /** Milliseconds since 1970. */
  readonly before: number
  /** RFC 3339. */
  readonly revoked: string
}

/** When the token was revoked (RFC 3339), or null. One that does not say when it was issued is older than any time. */
export function endOf({ ids, cutoffs }: RevocationState, { id, bucket, issued }: Issued): string | null {
  const own = ids.get(idKey(id))
  if (own !== undefined) return own
  if (cutoffs.size === 0) return null
  for (const name of bucket === '*' ? ['*'] : ['*', claimedBucket(bucket)]) {
    const cutoff = cutoffs.get(name)
    if (cutoff !== undefined && (issued === null || issued < cutoff.before)) return cutoff.revoked
  }
  return null
}

/** An id as one segment of a key: a foreign one may have any form. */
export function idKey(id: string): string {
  return /^[\w-]{1,64}$/.test(id) ? id : `sha256-${createHash('sha256').update(id).digest('hex')}`
}

export function keyOfRevoked(id: string): string {
  return `${REVOKED}${idKey(id)}`
}

export function keyOfCutoff(bucket: string): string {
  return `${BEFORE}${bucket}`
}

/** What was revoked, and the cursor of that state. */
export async function readRevocations(store: BlobStore): Promise<RevocationState & { readonly cursor: string }> {
  const state: RevocationState = { ids: new Map(), cutoffs: new Map() }
  let cursor: string | null = null
  for (const prefix of [REVOKED, BEFORE]) {
    const onPage = (page: { readonly cursor: string }): void => void (cursor ??= page.cursor)
    for await (const kept of readRecords(store, prefix, { onPage })) note(state, kept)
  }
  return { ...state, cursor: cursor ?? '' }
}

/** A record that cannot be read ends what it names from its time on: nothing is let in by damage. */
function note({ ids, cutoffs }: RevocationState, { key, value }: Kept): void {
  const { revoked, before } = value as { readonly revoked?: unknown; readonly before?: unknown }
  const when = typeof revoked === 'string' ? revoked : new Date(0).toISOString()
  if (key.startsWith(REVOKED)) ids.set(key.slice(REVOKED.length), when)
  else cutoffs.set(key.slice(BEFORE.length), { before: Date.parse(String(before)), revoked: when })
}

/** What was revoked, as it is now. */
export interface Revocations {
  readonly state: RevocationState
  /** How many milliseconds ago this was known to be all. When that is more than `most`, it is asked first, for as long at most. */
  age(most: number): Promise<number>
  close(): Promise<void>
}

/** Reads what was revoked and goes on reading; `onChange` is called after each change that any process made. */
export async function followRevocations(store: BlobStore, onChange: () => void): Promise<Revocations> {
  const closing = new AbortController()
  const first = await readRevocations(store)
  const state: RevocationState = first
  let { cursor } = first
  let blind: number | null = null
  const certain = openCertainty(() => read(false))
  const reload = async (): Promise<void> => {
    const fresh = await readRevocations(store)
    for (const part of ['ids', 'cutoffs'] as const) {
      state[part].clear()
      for (const [key, value] of fresh[part] as Map<string, never>) state[part].set(key, value)
    }
    cursor = fresh.cursor
    onChange()
  }
  const read = async (live: boolean): Promise<void> => {
    let changed = false
    for await (const item of store.changes({ since: cursor, live, signal: closing.signal })) {
      if (item.type !== 'bookmark') {
        changed = (await take(store, state, item)) || changed
        continue
      }
      cursor = item.cursor
      if (changed) onChange()
      changed = false
    }
  }
  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        if (blind !== null) await reload()
        blind = null
        await read(true)
      } catch {
        blind ??= performance.now()
        await sleep(AGAIN, undefined, { signal: closing.signal }).catch(() => undefined)
      }
    }
  }
  const running = run()
  return {
    state,
    age: async (most) => Math.max(blind === null ? 0 : performance.now() - blind, await certain.age(most)),
    close: async () => {
      closing.abort()
      await running
    },
  }
}

/** Milliseconds for which a place that does not answer is waited for by those who come later. */
const GLANCE = 50

/** When all was last read that there is. What others write is told at once, unless the way there is cut and nobody says so. */
function openCertainty(read: () => Promise<void>): { age(most: number): Promise<number> } {
  let sure = performance.now()
  let looking: { readonly since: number; readonly done: Promise<void> } | null = null
  const look = (): { readonly since: number; readonly done: Promise<void> } => {
    const since = performance.now()
    const done = read().then(
      () => void (sure = since),
      () => undefined,
    )
    void done.then(() => (looking = null))
    return { since, done }
  }
  return {
    age: async (most) => {
      const old = performance.now() - sure
      // In good time, so that nobody has to wait.
      if (old > most / 2) looking ??= look()
      if (old <= most || looking === null) return old
      const patience = performance.now() - looking.since > most ? GLANCE : most
      const waiting = new AbortController()
      await Promise.race([looking.done, sleep(patience, undefined, { signal: waiting.signal }).catch(() => undefined)])
      waiting.abort()
      return performance.now() - sure
    },
  }
}

/** True when the item is about a revocation. */
async function take(
  store: BlobStore,
  state: RevocationState,
  item: Exclude<FeedItem, { type: 'bookmark' }>,
): Promise<boolean> {
  const { key } = item
  if (!key.startsWith(REVOKED) && !key.startsWith(BEFORE)) return false
  const kept = item.deleted ? null : await readRecord(store, key)
  if (kept) note(state, kept)
  else if (key.startsWith(REVOKED)) state.ids.delete(key.slice(REVOKED.length))
  else state.cutoffs.delete(key.slice(BEFORE.length))
  return true
}
