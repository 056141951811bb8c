import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Clock, Ids } from '../platform/ports.ts'
import type { Buckets } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { loadDriver } from './drivers.ts'
import { type Patience, withPatience } from './patience.ts'
import { splitPlace, type Location } from './target.ts'

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
  const address = splitPlace(location)
  const { clock, ids, token, ca, place } = options
  const [driver, { openBuckets }] = await Promise.all([loadDriver(address.scheme), import('../store/buckets.ts')])
  if (driver === null || place === undefined) {
    throw new BlobsError('NotSupported', `${location} cannot be opened here`, {
      hint: 'name a bucket of a server, or of this machine',
    })
  }
  const name = createHash('sha256').update(location).digest('hex').slice(0, 32)
  const backend = await driver.open(address, {
    clock,
    ids,
    env: place.env,
    token: async () => token ?? null,
    ...(ca === undefined ? {} : { ca }),
    cacheDirectory: join(place.cacheDirectory, 'places', name),
    stateDirectory: join(place.stateDirectory, 'places', name),
    singleWriter: place.singleWriter,
    warn: place.warn,
  })
  return withPatience(openBuckets({ backend, clock, ids }), options)
}
