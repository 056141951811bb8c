import type { AddressTarget } from '../../locations/addressed.ts'
import type { Places } from '../../locations/places.ts'
import { showAddress, type AddressedInfo } from '../../store/contract/addresses.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { until } from '../../transfer/context.ts'

/** The place of addresses that an argument names. Throws `NotSupported` for a bucket, `InvalidRequest` for an address in the place. */
export function requireAddressPlace(places: Places, text: string): AddressTarget {
  const target = places.addressed(text)
  if (target === null) {
    throw new BlobsError(
      'NotSupported',
      `${JSON.stringify(text)} holds names, in buckets: --address is for places without`,
      {
        hint: 'put it under a name, without --address; or name a place as folder+cas:///DIR or nats+obj://HOST/BUCKET',
      },
    )
  }
  if (target.hash === null) return target
  throw new BlobsError('InvalidRequest', `${text} names an address, which the bytes themselves decide`, {
    hint: 'name the place alone',
  })
}

interface Found {
  readonly info: AddressedInfo
  readonly location: string
}

/** What there is at the address that an argument names. Throws `NotFound`. */
export async function findAddressed(places: Places, text: string): Promise<Found> {
  const { location, hash } = requireAddress(places, text)
  const info = await (await places.addresses(location)).find(hash)
  if (info === null) throw noBytes(location, hash)
  return { info, location }
}

/** The bytes at the address that an argument names, checked as they pass. Throws `NotFound`. */
export async function openAddressed(
  places: Places,
  text: string,
  options: {
    readonly signal: AbortSignal
    readonly pace: (bytes: number) => Promise<void>
    readonly progress?: { add(bytes: number, items: number): void }
  },
): Promise<Found & { readonly stream: AsyncIterable<Uint8Array> }> {
  const { location, hash } = requireAddress(places, text)
  const found = await (await places.addresses(location)).get(hash)
  if (found === null) throw noBytes(location, hash)
  const { signal, pace, progress } = options
  const paced = async function* (): AsyncGenerator<Uint8Array> {
    for await (const bytes of until(found.stream, signal)) {
      await pace(bytes.length)
      yield bytes
      progress?.add(bytes.length, 0)
    }
  }
  return { info: found.info, location, stream: paced() }
}

function requireAddress(places: Places, text: string): { readonly location: string; readonly hash: string } {
  const target = places.addressed(text)
  if (target !== null && target.hash !== null) return { location: target.location, hash: target.hash }
  throw new BlobsError('InvalidRequest', `${JSON.stringify(text)} is no address`, {
    hint:
      target === null
        ? 'get what is in buckets by a command of its own'
        : `add one, as ${target.location}/sha256:HEX · see those there are: blobs ls ${target.location}`,
  })
}

export function noBytes(location: string, hash: string): BlobsError {
  return new BlobsError('NotFound', `there is nothing at ${showAddress(hash)} in ${location}`, {
    hint: `what there is: blobs ls ${location}`,
  })
}
