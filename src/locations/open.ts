import type { Clock, Ids } from '../platform/ports.ts'
import type { Buckets } from '../store/contract/blob-store.ts'
import type { BlobsError } from '../store/contract/errors.ts'
import type { PlaceOptions } from './open-place.ts'
import { isServer, type Location } from './target.ts'

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
  /** Told when a server begins to tell what it knew so many seconds ago. */
  readonly onStale?: (seconds: number) => void
  /** Reads the database of the embedded store through before it is trusted: for a process that will run long. */
  readonly thorough?: boolean
  /** For a place that a driver opens. */
  readonly place?: PlaceOptions
  /** See `OpenPlaceOptions`. */
  readonly patient?: boolean
}

/**
 * Opens the place that holds buckets: the embedded store (''), a server by its origin, or what a driver opens. Loads only what that place needs. Nothing is
 * sent before the first call. What a server cannot do for the moment is tried again for some seconds, once a bucket is open; opening it is
 * tried again only if the server asks for that.
 */
export async function openBuckets(location: Location, options: OpenOptions): Promise<Buckets> {
  const buckets = await openUnlimited(location, options)
  const { limitRate, clock } = options
  if (limitRate === undefined) return buckets
  const { limited } = await import('../store/limit.ts')
  return { ...buckets, open: async (name) => limited(await buckets.open(name), { bytesPerSecond: limitRate, clock }) }
}

function openUnlimited(location: Location, options: OpenOptions): Promise<Buckets> {
  if (location === '') return openEmbedded(options)
  return isServer(location) ? openServer(location, options) : openByDriver(location, options)
}

async function openByDriver(location: Location, options: OpenOptions): Promise<Buckets> {
  const { openPlace } = await import('./open-place.ts')
  return openPlace(location, options)
}

async function openEmbedded({ data, clock, ids, thorough = false }: OpenOptions): Promise<Buckets> {
  const [local, store] = await Promise.all([import('../backends/local/local.ts'), import('../store/buckets.ts')])
  const backend = await local.openLocal({ directory: data, clock, trust: thorough ? 'thorough' : 'quick' })
  return store.openBuckets({ backend, clock, ids })
}

async function openServer(origin: string, options: OpenOptions): Promise<Buckets> {
  const { token, ca, certificate, proxy, onStale } = options
  const [http, { withPatience }] = await Promise.all([import('../store/http/buckets.ts'), import('./patience.ts')])
  const buckets = await http.openHttpBuckets({
    origin,
    ...(token === undefined ? {} : { token }),
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(proxy === undefined ? {} : { proxy }),
    ...(onStale === undefined ? {} : { onStale }),
  })
  return withPatience(buckets, options)
}
