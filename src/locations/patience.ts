import { chanceBy } from '../platform/chance.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import type { BlobStore, Buckets } from '../store/contract/blob-store.ts'
import type { BlobsError } from '../store/contract/errors.ts'
import { retrying, whenAsked } from '../store/retry.ts'

export interface Patience {
  readonly clock: Clock
  readonly ids: Ids
  /** Told before another try, in so many milliseconds. */
  readonly onRetry?: (error: BlobsError, pause: number) => void
}

/** A store that tries again what fails for the moment; one that is busy while it is opened is worth the wait. */
export async function openPatiently(
  open: () => Promise<BlobStore>,
  { clock, ids, onRetry }: Patience,
): Promise<BlobStore> {
  const chance = (): number => chanceBy(ids)
  const patience = { clock, chance, ...(onRetry ? { onRetry } : {}) }
  return retrying(await whenAsked(open, patience), patience)
}

/** Buckets whose stores try again what fails for the moment. A place that is not there is told at once; one that is busy is worth the wait. */
export function withPatience(buckets: Buckets, patience: Patience): Buckets {
  return { ...buckets, open: (name) => openPatiently(() => buckets.open(name), patience) }
}
