import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Clock, Ids } from '../platform/ports.ts'
import type { Buckets } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { BackendContext, BackendPromises, Driver, PlaceAddress, PlaceFinding } from '../store/ports.ts'
import { loadDriver } from './drivers.ts'
import { type Patience, withPatience } from './patience.ts'
import { proxyFor } from './proxy.ts'
import { showTarget, splitPlace, type Location } from './target.ts'

/** What a driver may need of this machine and its user. */
export interface PlaceOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Of this program; each place gets one of its own in it. */
  readonly cacheDirectory: string
  /** Of this program; each place gets one of its own in it. */
  readonly stateDirectory: string
  /** The user says that nobody else writes there. */
  readonly singleWriter: boolean
  readonly warn: (message: string) => void
}

interface OpenPlaceOptions extends Patience {
  readonly clock: Clock
  readonly ids: Ids
  readonly token?: string
  readonly ca?: string
  readonly place?: PlaceOptions
}

/** Opens a place by the driver of its scheme. What it cannot do for the moment is tried again for some seconds. Throws as `Driver.open`. */
export async function openPlace(location: Location, options: OpenPlaceOptions): Promise<Buckets> {
  const { clock, ids } = options
  const [{ driver, address, context }, { openBuckets }] = await Promise.all([
    driverOf(location, options),
    import('../store/buckets.ts'),
  ])
  const backend = await driver.open(address, context)
  const show = (bucket: string): string => (bucket === '' ? location : showTarget({ location, bucket }))
  return withPatience(openBuckets({ backend, clock, ids, show }), options)
}

/** What a driver says of a place. */
export interface Examined {
  readonly promises: BackendPromises
  readonly findings: AsyncIterable<PlaceFinding>
}

/** Throws as `Driver.open`; so do the findings, when they are asked for. */
export async function examinePlace(location: Location, options: OpenPlaceOptions): Promise<Examined> {
  const { driver, address, context } = await driverOf(location, options)
  return { promises: driver.promises, findings: driver.examine?.(address, context) ?? nothing() }
}

async function* nothing(): AsyncGenerator<PlaceFinding> {}

/** The driver of a place, and what it is given. */
async function driverOf(
  location: Location,
  { clock, ids, token, ca, place }: OpenPlaceOptions,
): Promise<{ readonly driver: Driver; readonly address: PlaceAddress; readonly context: BackendContext }> {
  const address = splitPlace(location)
  const driver = await loadDriver(address.scheme)
  if (driver === null || place === undefined) {
    throw new BlobsError('NotSupported', `${location} cannot be opened here`, {
      hint: 'name a bucket of a server, or of this machine',
    })
  }
  const name = createHash('sha256').update(location).digest('hex').slice(0, 32)
  const context: BackendContext = {
    clock,
    ids,
    env: place.env,
    token: async () => token ?? null,
    ...(ca === undefined ? {} : { ca }),
    proxyFor: (url) => proxyFor(url, place.env),
    cacheDirectory: join(place.cacheDirectory, 'places', name),
    stateDirectory: join(place.stateDirectory, 'places', name),
    singleWriter: place.singleWriter || address.options.has('single-writer'),
    warn: place.warn,
  }
  return { driver, address, context }
}
