import type { Clock } from '../platform/ports.ts'
import type { Buckets } from '../store/contract/blob-store.ts'
import { isBlobsError } from '../store/contract/errors.ts'
import type { Log } from './log.ts'

/** Milliseconds until the first time at most: a server that is started anew every day must come to it. */
const SOON = 3_600_000
/** Longer pauses a timer does not know. */
const LONGEST = 24 * 86_400_000
/** Milliseconds of rest after each piece of work, and bytes a second that are moved: others come first. */
const REST = 10
const BYTES_PER_SECOND = 20_000_000

export interface HouseOptions {
  readonly buckets: Buckets
  /** Milliseconds between two times. */
  readonly every: number
  readonly clock: Clock
  readonly log: Pick<Log, 'event'>
}

/** Collects the garbage of all buckets every so often, slowly, until it is stopped. Failures are told in the log; the next time may do better. */
export function keepHouse({ buckets, every, clock, log }: HouseOptions): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const { signal } = stopping
  const { event } = log
  const pace = (bytes: number): Promise<void> => clock.sleep(REST + (bytes / BYTES_PER_SECOND) * 1000, signal)
  const collectAll = async (): Promise<void> => {
    for await (const { name } of buckets.list()) {
      if (signal.aborted) return
      try {
        const collected = await buckets.collect?.(name, { pace, signal })
        event('collected', { bucket: name, ...collected })
      } catch (error) {
        if (!signal.aborted && !isBlobsError(error, 'NotFound'))
          event('not collected', { bucket: name, error: String(error) })
      }
    }
  }
  const work = async (): Promise<void> => {
    if (buckets.collect === undefined) return
    for (let pause = Math.min(SOON, every); !signal.aborted; pause = Math.min(LONGEST, every)) {
      await clock.sleep(pause, signal)
      if (signal.aborted) return
      await collectAll().catch((error: unknown) => event('not collected', { error: String(error) }))
    }
  }
  const working = work()
  return {
    stop: async () => {
      stopping.abort(new Error('the server stops'))
      await working
    },
  }
}
