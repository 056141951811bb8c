import type { Clock, Ids } from '../platform/ports.ts'
import type { Buckets } from '../store/contract/blob-store.ts'
import type { BlobsError } from '../store/contract/errors.ts'
import { retrying, whenAsked } from '../store/retry.ts'

export interface Patience {
  readonly clock: Clock
  readonly ids: Ids
  /** Told before another try, in so many milliseconds. */
  readonly onRetry?: (error: BlobsError, pause: number) => void
}

/** Buckets whose stores try again what fails for the moment. A place that is not there is told at once; one that is busy is worth the wait. */
export function withPatience(buckets: Buckets, { clock, ids, onRetry }: Patience): Buckets {
  const chance = (): number => Number.parseInt(ids.next().slice(0, 8), 16) / 2 ** 32
  const patience = { clock, chance, ...(onRetry ? { onRetry } : {}) }
  return {
    ...buckets,
    open: async (name) => retrying(await whenAsked(() => buckets.open(name), patience), patience),
  }
}
