import { chanceBy } from '../../platform/chance.ts'
import type { Clock, Ids } from '../../platform/ports.ts'
import type { Keeper } from '../checkpoint/keeper.ts'
import type { Committer } from '../commit.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Collected, CollectOptions } from '../contract/types.ts'
import type { Follower } from '../follow.ts'
import type { BucketPorts, StoredChunk, Sweeping } from '../ports.ts'
import { markAll } from './mark.ts'
import { openMarks, type Marks } from './marks.ts'
import { retain } from './retain.ts'

const HOUR = 3_600_000
/** What a chunk is spared that nothing refers to yet, in milliseconds: longer than the longest upload. */
const GRACE = 24 * HOUR
/** A commit is in the log within this time after it asked for its chunks (see `commit.ts`), and a chunk may be so much older than it seems. */
const LEAST_GRACE = HOUR

export interface CollectParts {
  readonly ports: BucketPorts
  readonly follower: Follower
  readonly committer: Committer
  readonly keeper: Keeper
  readonly clock: Clock
  readonly ids: Ids
}

/**
 * Drops the versions that the bucket's options do not keep, trims the log where it can be, and removes the chunks that nothing refers to and
 * that nobody put or asked for within the grace. Where that is only safe without other writers, chunks stay unless `alone`.
 *
 * Why that takes nothing from a writer: a commit asks for every chunk that it names, which makes it new, and is in the log at most
 * `LEAST_GRACE` later. What was asked for within the grace before this began stays. What was asked for earlier was named by a commit that
 * is in the log by now, and is marked, or will not be.
 */
export async function collect(parts: CollectParts, options: CollectOptions): Promise<Collected> {
  const { ports, follower, committer, keeper, clock, ids } = parts
  const { grace = GRACE, dryRun = false, alone = false, signal, pace = async () => undefined } = options
  if (!(grace >= LEAST_GRACE)) throw tooShort(grace)
  const { sweeping } = ports.content
  const before = clock.now() - grace
  const pause = async (): Promise<void> => {
    signal?.throwIfAborted()
    await pace(0)
    await clock.sleep(0)
  }
  const dropped = await retain({ follower, committer, clock, dryRun, signal })
  if (!dryRun && ports.log.trimming !== undefined) await keeper.trim()
  if (sweeping === undefined) return { dropped, ...NOTHING }
  if (sweeping.races !== undefined && !alone && !dryRun) return { dropped, ...NOTHING, stays: sweeping.races }
  const marks = openMarks(Math.floor(chanceBy(ids) * 2 ** 32))
  await markAll({ ports, follower, marks, pause })
  const swept = await sweep(sweeping, { marks, before, dryRun, pause })
  if (!dryRun) {
    await sweeping.compact?.(async (bytes) => {
      signal?.throwIfAborted()
      await pace(bytes)
    })
  }
  return { dropped, ...swept }
}

const NONE = { chunks: 0, bytes: 0 }
const NOTHING = { removed: NONE, waiting: NONE, kept: NONE }

interface Sweep {
  readonly marks: Marks
  readonly before: number
  readonly dryRun: boolean
  readonly pause: () => Promise<void>
}

async function sweep(sweeping: Sweeping, { marks, before, dryRun, pause }: Sweep): Promise<Omit<Collected, 'dropped'>> {
  let [removed, waiting, kept] = [NONE, NONE, NONE]
  for await (const batch of sweeping.chunks()) {
    const [needed, loose] = divide(batch, ({ hash }) => marks.has(hash))
    const [old, young] = divide(loose, ({ modified }) => modified < before)
    kept = plus(kept, sumOf(needed))
    waiting = plus(waiting, sumOf(young))
    removed = plus(removed, dryRun || old.length === 0 ? sumOf(old) : await sweeping.remove(old))
    await pause()
  }
  return { removed, waiting, kept }
}

function divide<T>(all: readonly T[], test: (one: T) => boolean): readonly [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))]
}

function sumOf(chunks: readonly StoredChunk[]): typeof NONE {
  return { chunks: chunks.length, bytes: chunks.reduce((sum, { size }) => sum + size, 0) }
}

function plus(a: typeof NONE, b: typeof NONE): typeof NONE {
  return { chunks: a.chunks + b.chunks, bytes: a.bytes + b.bytes }
}

function tooShort(grace: number): BlobsError {
  const message = `a grace of ${grace / 1000} seconds is too short: an upload that is under way would lose its chunks`
  return new BlobsError('InvalidRequest', message, { hint: 'give at least 1h, and more than the longest upload takes' })
}
