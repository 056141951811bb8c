import type { AddressStore } from '../store/contract/addresses.ts'
import type { BlobStore, Buckets } from '../store/contract/blob-store.ts'
import { placeOf } from './addressed.ts'
import { findCredentials } from './credentials.ts'
import { openBuckets } from './open.ts'
import { credentialsOptions, placeOptions, type Setting } from './setting.ts'
import type { Location } from './target.ts'

/** A bucket of one blob, as some places have it. */
export async function openSingle(location: Location, bucket: string, setting: Setting): Promise<BlobStore> {
  const { clock, ids, onRetry } = setting.options
  const { openSingles } = await import('./open-place.ts')
  return openSingles(location, bucket, {
    clock,
    ids,
    ...(onRetry ? { onRetry } : {}),
    place: placeOptions(setting),
    ...(await findCredentials(location, credentialsOptions(setting), bucket)),
  })
}

/** The buckets of a place, as the token for `bucket`, if given, lets them be. */
export async function openOne(location: Location, setting: Setting, bucket: string | undefined): Promise<Buckets> {
  const { options, where } = setting
  const { clock, ids, limitRate, onRetry } = options
  const limit = {
    ...(limitRate === undefined ? {} : { limitRate }),
    ...(onRetry ? { onRetry } : {}),
    ...(options.patient === false ? { patient: false } : {}),
  }
  if (location === '') return openBuckets('', { data: where.data, clock, ids, ...limit })
  return openBuckets(location, {
    data: where.data,
    clock,
    ids,
    ...limit,
    onStale: (seconds) =>
      options.onWarning?.(
        `${location} cannot read its store now: what it shows is as it was ${seconds} s ago, and may have changed`,
      ),
    place: placeOptions(setting),
    ...(await findCredentials(location, credentialsOptions(setting), bucket)),
  })
}

/** Bytes by their address. Throws `NotSupported` for a place that holds buckets. */
export async function openShelf(location: Location, setting: Setting): Promise<AddressStore> {
  const { clock, ids } = setting.options
  const { openAddresses } = await import('./addressed-store.ts')
  const isOne = placeOf(location) !== null
  const found = isOne ? await findCredentials(location, credentialsOptions(setting)) : {}
  return openAddresses(location, { clock, ids, place: placeOptions(setting), ...found })
}
