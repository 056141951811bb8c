import { parseAddress, type AddressedInfo } from '../store/contract/addresses.ts'
import { ADDRESS_SCHEMES } from './drivers.ts'
import { placeParts, schemeOf, type Location } from './target.ts'

/** Bytes by their address, and where; or such a place as a whole. */
export interface AddressTarget {
  readonly location: Location
  /** Null for the place as a whole. */
  readonly hash: AddressedInfo['hash'] | null
  /** As a person wrote it, for messages. */
  readonly text: string
}

/**
 * Reads `sha256:HEX`, which is looked up `here`, or `SCHEME://…/sha256:HEX`; null for what names something in a bucket. Throws
 * `InvalidRequest` for what is no address.
 */
export function parseAddressed(text: string, here: Location): AddressTarget | null {
  if (/^sha256:/i.test(text)) return { location: here, hash: parseAddress(text), text }
  if (!ADDRESS_SCHEMES.has(schemeOf(text))) return null
  const { authority, path, query } = placeParts(text)
  const [, place = '', address] = /^(.*?)\/*(?:\/(sha256:[^/]*))?$/is.exec(path) ?? []
  const options = new URLSearchParams(query)
  options.sort()
  const folders = place.split('/').map(encodeURIComponent).join('/')
  const location = `${schemeOf(text)}://${authority.toLowerCase()}${folders}${options.size === 0 ? '' : `?${options}`}`
  return { location, hash: address === undefined ? null : parseAddress(address), text }
}

/** The place of addresses at a location, as a whole; null where there are buckets. */
export function placeOf(location: Location): AddressTarget | null {
  return ADDRESS_SCHEMES.has(schemeOf(location)) ? parseAddressed(location, location) : null
}
