import type { Buckets } from '../store/contract/blob-store.ts'
import { isBlobsError } from '../store/contract/errors.ts'
import { problemOf } from './problems.ts'

/** Whether this server can commit now. */
export interface Health {
  /** Null when it can; otherwise the reason. */
  reason(): Promise<string | null>
  /** Runs a write, and learns from how it ends whether writes work. */
  write<T>(fn: () => Promise<T>): Promise<T>
}

// After this time a failed write says nothing any more: without new writes nobody would find out that it works again.
const MEMORY = 10_000
const FAULTS: ReadonlySet<string> = new Set(['Unavailable', 'QuotaExceeded', 'Internal'])

/** Judges by the last writes and by a look into the place that holds the buckets. */
export function openHealth(buckets: Pick<Buckets, 'list'>, now: () => number, draining: AbortSignal): Health {
  let failed: { readonly at: number; readonly why: string } | null = null
  return {
    reason: async () => {
      if (draining.aborted) return 'the server is stopping'
      if (failed !== null && now() - failed.at < MEMORY) return `the last write failed: ${failed.why}`
      try {
        for await (const _one of buckets.list()) break
        return null
      } catch (error) {
        return `the buckets cannot be read: ${problemOf(error).detail}`
      }
    },
    write: async (fn) => {
      try {
        const result = await fn()
        failed = null
        return result
      } catch (error) {
        const { code, detail } = problemOf(error)
        // A bucket that is full by its own quota says nothing of the others.
        const ofBucket = isBlobsError(error, 'QuotaExceeded') && error.key !== undefined
        if (FAULTS.has(code) && !ofBucket) failed = { at: now(), why: detail }
        throw error
      }
    },
  }
}
