import type { Clock } from '../../platform/ports.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Follower } from '../follow.ts'
import type { BucketPorts, Checkpoint, Position } from '../ports.ts'
import type { PageSizes } from './tree.ts'
import { isWhole } from './walk.ts'
import { writeCheckpoint } from './write.ts'

/** Entries since the last checkpoint that make another one worth while: so many, or a part of the blobs, whichever is more. */
const ENTRIES = 1000
const PART = 0.1
/**
 * Milliseconds that closing waits for a checkpoint that is being written; the second where it has been time for one for as long again: where
 * only short-lived programs write, one of them has to stay.
 */
const PATIENCE = [200, 60_000] as const
const DAY = 86_400_000

/** What a trimmed log keeps: whichever of both is more. */
export interface Keep {
  readonly positions: number
  /** Milliseconds. */
  readonly time: number
}
/** An entry that is based further back than so many positions is void, so who has been away longer has to look anew in any case. */
const KEEP: Keep = { positions: 100_000, time: 30 * DAY }

/** Writes checkpoints of one bucket, one at a time, and trims its log. */
export interface Keeper {
  /** To be called when entries were appended: begins a checkpoint if it is time for one. It may fail: another will be begun. */
  grew(): void
  /** Writes one of what the view has read so far. */
  write(): Promise<Checkpoint>
  /** Forgets entries that a checkpoint covers, which is written if need be; gives the log's floor. */
  trim(keep?: Keep): Promise<Position>
  /** What is being written may still be finished, or is given up. */
  close(): Promise<void>
}

export interface KeeperOptions {
  readonly ports: BucketPorts
  readonly follower: Follower
  readonly clock: Clock
  /** Position of the newest checkpoint that is known. */
  readonly last: Position
  readonly pageSizes?: PageSizes | undefined
}

export function openKeeper({ ports, follower, clock, last, pageSizes }: KeeperOptions): Keeper {
  const { trimming } = ports.log
  const closing = new AbortController()
  let running: Promise<Checkpoint> | null = null
  let counted = last
  const writing = { ports, follower, clock, pageSizes, signal: closing.signal }
  /** Somebody waits for what is being written, or will be. */
  let awaited = new AbortController()
  const begin = (): Promise<Checkpoint> => {
    running ??= writeCheckpoint({ ...writing, hurry: awaited.signal }).finally(() => {
      running = null
      awaited = new AbortController()
    })
    return running
  }
  const write = (): Promise<Checkpoint> => {
    awaited.abort()
    return begin()
  }
  let patience: number = PATIENCE[0]
  const isDue = async (): Promise<boolean> => {
    const { position, blobs } = await follower.peek((view) => view.state())
    const due = (position - counted) / Math.max(ENTRIES, PART * blobs)
    patience = PATIENCE[due < 2 ? 0 : 1]
    return due >= 1
  }
  let looking: Promise<void> | null = null
  const look = async (): Promise<void> => {
    if (!(await isDue())) return
    // Another writer may have been faster.
    counted = Math.max(counted, (await trimming?.checkpoint())?.position ?? 0)
    if (!(await isDue()) || closing.signal.aborted) return
    counted = (await follower.peek((view) => view.state())).position
    await begin()
  }
  return {
    grew: () => {
      if (trimming === undefined || closing.signal.aborted) return
      // A checkpoint only saves time: without one the log is read from farther back.
      looking ??= look()
        .catch(() => undefined)
        .finally(() => {
          looking = null
        })
    },
    write,
    trim: async (keep = KEEP) => {
      if (trimming === undefined) throw new BlobsError('NotSupported', 'the log of this place is never trimmed')
      await follower.read(() => undefined)
      await follower.complete()
      const now = clock.now()
      const wanted = await follower.peek((view) => {
        const through = Math.max(0, view.state().position - keep.positions)
        return (view.firstBetween(now - keep.time, now, through) ?? through + 1) - 1
      })
      if (wanted > (await trimming.floor())) {
        const newest = await trimming.checkpoint()
        const covers = newest !== null && newest.position >= wanted && (await isWhole(ports.content, newest.root))
        const { position } = covers ? newest : await write()
        await trimming.trim({ through: Math.min(wanted, position) })
      }
      const floor = await trimming.floor()
      await follower.raiseFloor(floor)
      return floor
    },
    close: async () => {
      awaited.abort()
      const waiting = new AbortController()
      const ended = Promise.allSettled([looking, running])
      if (looking !== null || running !== null) await Promise.race([ended, clock.sleep(patience, waiting.signal)])
      waiting.abort()
      closing.abort()
      await ended
    },
  }
}
