import { ADDRESS_SCHEMES, SCHEMES } from './drivers.ts'
import type { PlaceAddress } from '../store/ports.ts'
import { checkBucketName, keyProblem } from '../store/contract/keys.ts'
import { BlobsError } from '../store/contract/errors.ts'

/** A place that holds buckets: '' is the embedded store, else the origin of a server (`https://host:7420`), or the URL of a place that a driver opens. */
export type Location = string

/** What an argument names. */
export interface Target {
  readonly location: Location
  /** '' when only a place is named. */
  readonly bucket: string
  /** The key, a folder's name with or without a trailing `/`, or '' for the whole bucket. NFC. */
  readonly key: string
  /** As a person wrote it, for messages. */
  readonly text: string
}

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i
const URL_PARTS = /^(https?:\/\/[^/?#]*)(?:\/([^?#]*))?([?#].*)?$/is
const PLACE_PARTS = /^[^:]+:\/\/([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?$/s
const SUPPORTED =
  'what works: bucket/key (the embedded store), http://host:7420/bucket/key, https://…, and the URLs of docs/backends.md'

/**
 * Reads `bucket/key` (literal) or a URL (percent-decoded); `here` is where a bare name is looked up. Throws `InvalidRequest` or
 * `InvalidKey` for what can never name anything.
 */
export function parseTarget(text: string, here: Location): Target {
  const scheme = schemeOf(text)
  if (ADDRESS_SCHEMES.has(scheme || schemeOf(here)) || text.startsWith('sha256:'))
    throw noBuckets(scheme === '' && !text.startsWith('sha256:') ? here : text)
  return scheme === '' ? named(text, here, text) : fromUrl(text, scheme)
}

/** The place that a URL without a bucket names, as in `BLOBS_SERVER`; `source` says where it was written. Throws as `parseTarget`. */
export function parseLocation(text: string, source: string): Location {
  const scheme = schemeOf(text)
  if (scheme === '') {
    throw usage(`${source} is ${JSON.stringify(text)}, which is not a URL`, `write it as http://host:7420`)
  }
  if (ADDRESS_SCHEMES.has(scheme)) {
    placeParts(text)
    return text.replace(/\/+(?=\?|$)/, '')
  }
  const target = fromUrl(text, scheme)
  if (target.bucket === '') return target.location
  throw usage(`${source} names a bucket, ${target.bucket}, but should name a server`, `write it as ${target.location}`)
}

/** A place as a person would write it: where it lies deeper than its authority, two slashes end its path. */
export function showPlace(location: Location): string {
  const { authority, path } = splitPlace(location)
  if (isServer(location) || authority === '' || path === '') return location
  const [place = '', options] = location.split('?')
  return `${place}//${options === undefined ? '' : `?${options}`}`
}

/** A target as a person would write it. */
export function showTarget(target: Pick<Target, 'location' | 'bucket'>, key = ''): string {
  const name = key === '' ? target.bucket : `${target.bucket}/${key}`
  if (target.location === '') return name
  const path = name.split('/').map(encodeURIComponent).join('/')
  if (isServer(target.location)) return `${target.location}/${path}`
  const [place = '', options] = target.location.split('?')
  const base = splitPlace(target.location).path
  return `${place}${base === '' ? '/' : '//'}${path}${options === undefined ? '' : `?${options}`}`
}

/** True for a `blobs serve`, which is asked by HTTP; false for the embedded store and for what a driver opens. */
export function isServer(location: Location): boolean {
  return /^https?:/.test(location)
}

/** True for what a token is sent to: whoever is asked by HTTP. */
export function takesToken(location: Location): boolean {
  return /^([a-z0-9]+\+)?https?:/.test(location)
}

/** True for what `BLOBS_USER` and `BLOBS_PASSWORD` are sent to, where no token is given. */
export function takesPassword(location: Location): boolean {
  return location.startsWith('containers+')
}

/** In small letters; '' for what is no URL. */
export function schemeOf(text: string): string {
  return SCHEME.exec(text)?.[1]?.toLowerCase() ?? ''
}

/** What a command says that needs buckets. */
export function noBuckets(location: Location): BlobsError {
  const place = location === '' || location.startsWith('sha256:') ? 'LOCATION' : location.replace(/\/sha256:.*$/s, '')
  const what = place === 'LOCATION' ? `${location} is an address` : `${place} holds bytes by their address`
  return new BlobsError('NotSupported', `${what}, with no names, versions and buckets`, {
    hint: `what works with it: blobs put --address FILE ${place} · blobs get, cat and stat sha256:HEX · blobs ls ${place}`,
  })
}

/** The parts of a location that a driver opens. */
export function splitPlace(location: Location): PlaceAddress {
  const [, authority = '', path = '', query = ''] = PLACE_PARTS.exec(location) ?? []
  return {
    scheme: schemeOf(location),
    authority,
    path: decode(path, location),
    options: new Map(new URLSearchParams(query)),
    text: location,
  }
}

function fromUrl(text: string, scheme: string): Target {
  if (scheme !== 'http' && scheme !== 'https') return fromPlaceUrl(text, scheme)
  const [, origin = '', path = '', extra] = URL_PARTS.exec(text) ?? []
  if (extra !== undefined) {
    throw usage(
      `${withoutSecrets(text)} has a part that starts with ${extra[0]}`,
      /^#[\w-]{22}(\.|$)/.test(extra)
        ? 'it looks like a link of blobs share: blobs join LINK FOLDER'
        : 'in a key, write ? as %3F and # as %23',
    )
  }
  const url = URL.canParse(origin) ? new URL(origin) : null
  if (!url || url.hostname === '') throw usage(`${withoutSecrets(text)} is not a URL`, SUPPORTED)
  if (url.username !== '' || url.password !== '') {
    throw usage(
      `${url.host}: a user name or password in a URL is not used`,
      'give a token: BLOBS_TOKEN, BLOBS_TOKEN_FILE, --token-file or --token-stdin',
    )
  }
  return named(decode(path, text), url.origin, text)
}

/**
 * `SCHEME://AUTHORITY/bucket/key?options`; where a place is deeper than its authority, two slashes end its path:
 * `folder:///mnt/share//bucket/key`. Of what has no authority, a path without them is the place.
 */
function fromPlaceUrl(text: string, scheme: string): Target {
  if (!SCHEMES.has(scheme))
    throw usage(`${withoutSecrets(text)}: there is no kind of place called ${scheme}:`, SUPPORTED)
  const { authority, path, query } = rawParts(text)
  const end = path.indexOf('//')
  const [base, name] =
    end >= 0 ? [path.slice(0, end), path.slice(end + 2)] : authority === '' ? [path, ''] : ['', path.slice(1)]
  if (authority === '' && base === '') throw usage(`${withoutSecrets(text)} names no place`, SUPPORTED)
  const options = new URLSearchParams(query)
  options.sort()
  const folders = decode(base, text).replace(/\/+$/, '').split('/').map(encodeURIComponent).join('/')
  const location = `${scheme}://${authority.toLowerCase()}${folders}${options.size === 0 ? '' : `?${options}`}`
  return named(decode(name, text), location, text)
}

/** What a URL of a place is made of; the path is percent-decoded. Throws `InvalidRequest` for what does not belong there. */
export function placeParts(text: string): {
  readonly authority: string
  readonly path: string
  readonly query: string
} {
  const { authority, path, query } = rawParts(text)
  return { authority, path: decode(path, text), query }
}

function rawParts(text: string): { readonly authority: string; readonly path: string; readonly query: string } {
  const [, authority = '', path = '', query = '', extra] = PLACE_PARTS.exec(text) ?? []
  if (extra !== undefined)
    throw usage(`${withoutSecrets(text)} has a part that starts with #`, 'in a key, write # as %23')
  if (authority.includes('@')) {
    throw usage(
      `${withoutSecrets(text)}: a user name or password in a URL is not used`,
      'see the page of this kind of place for where its credentials go: docs/backends.md',
    )
  }
  return { authority, path, query }
}

function named(name: string, location: Location, text: string): Target {
  const slash = name.indexOf('/')
  const bucket = slash === -1 ? name : name.slice(0, slash)
  const key = slash === -1 ? '' : name.slice(slash + 1).normalize('NFC')
  if (bucket === '') {
    if (location !== '' && key === '' && SCHEME.test(text)) return { location, bucket: '', key: '', text }
    throw usage(`${JSON.stringify(text)} does not name a bucket`, 'write bucket or bucket/key')
  }
  checkBucketName(bucket)
  const problem = key === '' ? null : keyProblem(key)
  if (problem !== null) {
    throw new BlobsError('InvalidKey', `${JSON.stringify(text)} is not a key: ${problem}`, {
      key,
      hint: 'a key is up to 1024 bytes of UTF-8 text, with single slashes between its folders',
    })
  }
  return { location, bucket, key, text }
}

function decode(path: string, text: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw usage(
      `${withoutSecrets(text)} is not a URL: a % in it is not followed by two hex digits`,
      'write a % in a key as %25',
    )
  }
}

function withoutSecrets(text: string): string {
  return JSON.stringify(text.replace(/\/\/[^/@]*@/, '//').replace(/[?#].*$/s, ''))
}

function usage(message: string, hint: string): BlobsError {
  return new BlobsError('InvalidRequest', message, { hint })
}
