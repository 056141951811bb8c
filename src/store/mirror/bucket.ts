import { join } from 'node:path'
import { chanceBy } from '../../platform/chance.ts'
import type { Clock, Ids } from '../../platform/ports.ts'
import type { StoreDisk } from '../../platform/store-disk.ts'
import type { ChangesOptions, CommitOptions } from '../contract/blob-store.ts'
import { BlobsError } from '../contract/errors.ts'
import type { EntryInput, FeedItem, Outcome } from '../contract/types.ts'
import { openLogStore, type ForeseeingStore, type LogStore } from '../log-store.ts'
import type { Backend } from '../ports.ts'
import { shared } from '../sharing.ts'
import { commitThere, Overtaken } from './commit.ts'
import type { ForeignBucket, ForeignPromises } from './foreign.ts'
import { openNotes } from './notes.ts'
import { refresh } from './refresh.ts'
import type { Parts, Patience, Scene } from './standing.ts'
import { openTurns, type Turns } from './turns.ts'

/** Milliseconds that readers wait for another process which is writing; then they read what this machine has. */
const READER_WAITS = 2000
/** Milliseconds that a writer waits for others of this machine. */
const WRITER_WAITS = 600_000
/** Writers there that may be faster in a row, and the longest pause after one was. */
const OVERTAKEN = 50
const LONGEST_PAUSE = 500
/** Milliseconds until the next look at what was not whole, at first and at last. */
const HALF_PAUSES = [2000, 300_000] as const

export interface MirrorBucketOptions {
  readonly name: string
  /** Closed with the store. */
  readonly foreign: ForeignBucket
  readonly promises: ForeignPromises
  /** Of this bucket's mirror alone; there. */
  readonly directory: string
  /** Opens the place of the shadow in a directory. */
  readonly openShadow: (directory: string) => Promise<Backend>
  /** Why this process may not write there; null if it may. */
  readonly refusal: BlobsError | null
  readonly clock: Clock
  readonly ids: Ids
  readonly disk: StoreDisk
  readonly warn: (about: string, message: string) => void
}

/**
 * Opens a bucket that is a shadow of this machine kept in step with a place that knows neither versions nor hashes. What is read is as new as
 * the promises say; commits are judged by what is there at that moment. Any number of processes of this machine may have it open.
 */
export async function openMirrorBucket(options: MirrorBucketOptions): Promise<LogStore> {
  const { name, foreign, promises, directory, clock, ids, disk, warn, refusal } = options
  const backend = await options.openShadow(join(directory, 'store'))
  try {
    await backend.create(name)
    const ports = await backend.open(name)
    if (ports === null) throw new BlobsError('NotFound', `there is no bucket ${name}`, { bucket: name })
    const shadow = await openLogStore({
      name,
      ports,
      viewDirectory: backend.viewDirectory,
      promises: backend.promises,
      clock,
      ids,
    })
    const notes = await openNotes(directory, disk, clock)
    const parts: Parts = {
      foreign,
      promises,
      shadow,
      content: ports.content,
      notes,
      warn,
      patience: openPatience(clock),
      writable: refusal === null,
      newId: () => ids.next(),
    }
    const turns = openTurns(join(directory, 'mirror.lock'), disk, clock)
    const close = async (): Promise<void> => {
      await shadow.close()
      notes.close()
      await backend.close()
      await foreign.close()
    }
    return mirrorStore({ ...options, parts, turns, shadow, close })
  } catch (error) {
    await backend.close()
    throw error
  }
}

interface Mirror extends Pick<MirrorBucketOptions, 'name' | 'promises' | 'refusal' | 'clock' | 'ids'> {
  readonly parts: Parts
  readonly turns: Turns
  readonly shadow: ForeseeingStore
  readonly close: () => Promise<void>
}

function mirrorStore(mirror: Mirror): LogStore {
  const { shadow, parts, turns, clock, promises, refusal } = mirror
  const closing = new AbortController()
  const acts = new Set<Promise<unknown>>()
  let looked = Number.NEGATIVE_INFINITY
  /** This process has the turn, has looked, and writes: who reads need not wait for the end of it. */
  let busy = false
  /** Everything that takes long ends before the store is closed. */
  const acting = <T>(act: () => Promise<T>): Promise<T> => {
    const one = act()
    const done: Promise<unknown> = one.catch(() => undefined).finally(() => acts.delete(done))
    acts.add(done)
    return one
  }
  const look = async (): Promise<Scene> => {
    const start = clock.elapsed()
    const scene = await refresh(parts)
    looked = start
    return scene
  }
  const lookOnce = shared(async () => {
    await turns.take(READER_WAITS, look)
  })
  const fresh = async (): Promise<ForeseeingStore> => {
    if (!closing.signal.aborted && !busy && clock.elapsed() - looked >= promises.fresh) await acting(lookOnce)
    return shadow
  }
  const lookThenWrite = async (): Promise<Scene> => {
    busy = false
    const scene = await look()
    busy = true
    return scene
  }
  const writing = async <T>(act: () => Promise<T>): Promise<T> => {
    const turn = await turns.take(WRITER_WAITS, act)
    if (turn !== null) return turn.result
    throw new BlobsError('Unavailable', `another process of this machine has been writing to ${mirror.name} for long`, {
      hint: 'wait for it, or end it',
    })
  }
  return {
    info: async () => (await fresh()).info(),
    head: async (key, options) => (options?.version === undefined ? await fresh() : shadow).head(key, options),
    get: async (key, options) => (options?.version === undefined ? await fresh() : shadow).get(key, options),
    list: async (options) => (await fresh()).list(options),
    changes: (options) => feed(mirror, fresh, options, closing.signal),
    missing: (hashes) => shadow.missing(hashes),
    stage: async (chunks, options) => {
      if (refusal !== null) throw refusal
      await shadow.stage(chunks, options)
    },
    fetch: (wants) => shadow.fetch(wants),
    chunksOf: (key, version) => shadow.chunksOf(key, version),
    commit: async (entries, options = {}) => {
      if (refusal !== null) throw refusal
      const commit = (): Promise<readonly Outcome[]> =>
        commitAll(mirror, lookThenWrite, entries, options).finally(() => {
          busy = false
        })
      return acting(() => writing(commit))
    },
    collect: async (options) => acting(() => shadow.collect(options)),
    scrub: (inspection) => shadow.scrub(inspection),
    configure: async (options) => acting(() => writing(() => shadow.configure(options))),
    close: async () => {
      if (closing.signal.aborted) return
      closing.abort()
      await Promise.all(acts)
      await mirror.close()
    },
  }
}

async function commitAll(
  { parts, clock, ids }: Mirror,
  look: () => Promise<Scene>,
  entries: readonly EntryInput[],
  options: CommitOptions,
): Promise<readonly Outcome[]> {
  const outcomes = new Map<string, Outcome>()
  for (let tries = 0; ; tries++) {
    const scene = await look()
    const open = entries.filter(({ id }) => !outcomes.has(id))
    try {
      await commitThere(parts, scene, open, outcomes, options)
      break
    } catch (error) {
      if (!(error instanceof Overtaken)) throw error
      if (tries >= OVERTAKEN) {
        throw new BlobsError('Unavailable', 'others there were faster again and again', { hint: 'try again' })
      }
      const chance = chanceBy(ids)
      await clock.sleep(chance * Math.min(2 ** tries, LONGEST_PAUSE))
    }
  }
  return entries.map(({ id }) => {
    const outcome = outcomes.get(id)
    if (outcome !== undefined) return outcome
    throw new BlobsError('Unavailable', `the outcome of entry ${id} is not known`, { hint: 'commit it again' })
  })
}

/** The shadow's history; while somebody waits for more, the place is looked at again and again. */
async function* feed(
  { shadow, parts, promises, clock }: Mirror,
  fresh: () => Promise<unknown>,
  options: ChangesOptions,
  closing: AbortSignal,
): AsyncGenerator<FeedItem, void> {
  if (options.signal?.aborted === true) return
  await fresh()
  if (options.live !== true) {
    yield* shadow.changes(options)
    return
  }
  const stop = new AbortController()
  const { signal } = stop
  let failure: { readonly error: unknown } | null = null
  const keepLooking = async (): Promise<void> => {
    while (!signal.aborted && !closing.aborted) {
      await (parts.foreign.wait?.(signal) ?? clock.sleep(promises.poll, signal))
      if (!signal.aborted && !closing.aborted) await fresh()
    }
  }
  const looking = keepLooking().catch((error: unknown) => {
    failure = { error }
    stop.abort()
  })
  try {
    const signals = [signal, closing, ...(options.signal === undefined ? [] : [options.signal])]
    yield* shadow.changes({ ...options, signal: AbortSignal.any(signals) })
  } finally {
    stop.abort()
    await looking
  }
  if (failure !== null) throw (failure as { readonly error: unknown }).error
}

function openPatience(clock: Clock): Patience {
  const half = new Map<string, { readonly pause: number; readonly next: number }>()
  const [first, longest] = HALF_PAUSES
  return {
    mayLook: (tag) => (half.get(tag)?.next ?? 0) <= clock.elapsed(),
    wasHalf: (tag) => {
      const pause = Math.min((half.get(tag)?.pause ?? first / 2) * 2, longest)
      half.set(tag, { pause, next: clock.elapsed() + pause })
    },
  }
}
