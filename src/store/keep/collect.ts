import { chanceBy } from '../../platform/chance.ts'
import type { Clock, Ids } from '../../platform/ports.ts'
import type { Keeper } from '../checkpoint/keeper.ts'
import type { Committer } from '../commit.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Collected, CollectOptions } from '../contract/types.ts'
import type { Follower } from '../follow.ts'
import type { BucketPorts } from '../ports.ts'
import { markAll } from './mark.ts'
import { openMarks } from './marks.ts'
import { retain } from './retain.ts'
import { isDue, sweep } from './sweep.ts'

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
 * that nobody put or asked for within the grace. Any number may do it at the same time.
 *
 * Why that takes nothing from a writer: a commit asks for every chunk that it names, which makes it new, and is in the log at most
 * `LEAST_GRACE` later. What was asked for within the grace before this began stays. What was asked for earlier was named by a commit that
 * is in the log by now, and is marked, or will not be. Where asking makes nothing new, a chunk is set aside first: the same holds of the
 * time at which that was done, for who asks later is told that the chunk is missing (docs/storage-format.md, "Garbage in shared places").
 */
export async function collect(parts: CollectParts, options: CollectOptions): Promise<Collected> {
  const { ports, follower, committer, keeper, clock, ids } = parts
  const { grace = GRACE, dryRun = false, signal, pace = async () => undefined } = options
  if (!(grace >= LEAST_GRACE)) throw tooShort(grace)
  const { sweeping } = ports.content
  const before = ((await sweeping?.now()) ?? clock.now()) - grace
  const pause = async (): Promise<void> => {
    signal?.throwIfAborted()
    await pace(0)
    await clock.sleep(0)
  }
  const dropped = await retain({ follower, committer, clock, dryRun, signal })
  if (!dryRun && ports.log.trimming !== undefined) await keeper.trim()
  if (sweeping === undefined) return { dropped, ...NOTHING }
  if (!dryRun && (await isDue(sweeping, before))) await committer.fence()
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
const NOTHING = { removed: NONE, aside: NONE, waiting: NONE, kept: NONE }

function tooShort(grace: number): BlobsError {
  const message = `a grace of ${grace / 1000} seconds is too short: an upload that is under way would lose its chunks`
  return new BlobsError('InvalidRequest', message, { hint: 'give at least 1h, and more than the longest upload takes' })
}
