import type { AddressStore } from '../store/contract/addresses.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { loadAddressDriver } from './drivers.ts'
import { contextOf, type OpenPlaceOptions } from './open-place.ts'
import { schemeOf, splitPlace, type Location } from './target.ts'

/** Throws as `Driver.open`, and `NotSupported` for a place that holds buckets. */
export async function openAddresses(location: Location, options: OpenPlaceOptions): Promise<AddressStore> {
  const driver = await loadAddressDriver(schemeOf(location))
  const { place } = options
  if (driver !== null && place !== undefined) {
    return driver.open(splitPlace(location), contextOf(location, { ...options, place }))
  }
  const where = location === '' ? 'the embedded store' : location
  throw new BlobsError(
    'NotSupported',
    `${where} holds buckets, in which bytes have names: it is not asked by address`,
    {
      hint: 'name a place of addresses, as folder+cas:///DIR/sha256:HEX or nats+obj://HOST/BUCKET/sha256:HEX, or set BLOBS_SERVER to one',
    },
  )
}
