import type { Clock, Ids } from '../platform/ports.ts'
import type { BlobStore, Buckets } from '../store/contract/blob-store.ts'
import type { BlobsError } from '../store/contract/errors.ts'
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
  /** PEM: the server is trusted with this very certificate only. */
  readonly certificate?: string
  /** URL of an HTTP proxy that the way to the server goes by. */
  readonly proxy?: string
  /** Bytes a second, up and down each. */
  readonly limitRate?: number
  /** Told before a server is asked again, in so many milliseconds. */
  readonly onRetry?: (error: BlobsError, pause: number) => void
  /** Reads the database of the embedded store through before it is trusted: for a process that will run long. */
  readonly thorough?: boolean
}

/**
 * Opens the place that holds buckets: the embedded store (''), or a server by its origin. Loads only what that place needs. Nothing is
 * sent before the first call. What a server cannot do for the moment is tried again for some seconds, once a bucket is open; opening it is
 * tried again only if the server asks for that.
 */
export async function openBuckets(location: Location, options: OpenOptions): Promise<Buckets> {
  const buckets = location === '' ? await openEmbedded(options) : await openServer(location, options)
  const { limitRate, clock } = options
  if (limitRate === undefined) return buckets
  const { limited } = await import('../store/limit.ts')
  return wrapped(buckets, (store) => limited(store, { bytesPerSecond: limitRate, clock }))
}

async function openEmbedded({ data, clock, ids, thorough = false }: OpenOptions): Promise<Buckets> {
  const [local, store] = await Promise.all([import('../backends/local/local.ts'), import('../store/buckets.ts')])
  const backend = await local.openLocal({ directory: data, clock, trust: thorough ? 'thorough' : 'quick' })
  return store.openBuckets({ backend, clock, ids })
}

async function openServer(origin: string, options: OpenOptions): Promise<Buckets> {
  const { token, ca, certificate, proxy, clock, ids, onRetry } = options
  const [http, { retrying, whenAsked }] = await Promise.all([
    import('../store/http/buckets.ts'),
    import('../store/retry.ts'),
  ])
  const buckets = await http.openHttpBuckets({
    origin,
    ...(token === undefined ? {} : { token }),
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(proxy === undefined ? {} : { proxy }),
  })
  const chance = (): number => Number.parseInt(ids.next().slice(0, 8), 16) / 2 ** 32
  const patience = { clock, chance, ...(onRetry ? { onRetry } : {}) }
  // A server that is not there is told at once; one that is busy is worth the wait.
  const asked = { ...buckets, open: (name: string) => whenAsked(() => buckets.open(name), patience) }
  return wrapped(asked, (store) => retrying(store, patience))
}

function wrapped(buckets: Buckets, wrap: (store: BlobStore) => BlobStore): Buckets {
  return { ...buckets, open: async (name) => wrap(await buckets.open(name)) }
}
