import { limits } from './limits.ts'
import { blobInfo, meta } from './messages.ts'
import { type Checked, Malformed } from './schema.ts'

type WireBlob = Checked<typeof blobInfo>
type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

const META = 'x-blobs-meta-'
/** Says in a GET of a whole blob that its reader compares the bytes with `x-blobs-sha256`. */
export const COMPARES = 'x-blobs-reader-compares'
const PLAIN_TYPE = /^[\x20-\x7e]{1,255}$/

/** `"<version>-<first 16 of the entry id>"`, with its quotes. */
export function etagOf(info: { readonly version: number; readonly entry: string }): string {
  return `"${info.version}-${info.entry.slice(0, 16)}"`
}

/** What the headers of an answer tell about a version: all of it, so that a GET needs no second request. */
export function blobToHeaders(info: WireBlob): Record<string, string> {
  return {
    etag: etagOf(info),
    'content-type': PLAIN_TYPE.test(info.contentType) ? info.contentType : 'application/octet-stream',
    'last-modified': new Date(info.modified).toUTCString(),
    'x-blobs-bucket': info.bucket,
    'x-blobs-key': encodeText(info.key),
    'x-blobs-version': String(info.version),
    'x-blobs-size': String(info.size),
    'x-blobs-sha256': info.hash,
    'x-blobs-type': encodeText(info.contentType),
    'x-blobs-modified': info.modified,
    'x-blobs-deleted': String(info.deleted),
    'x-blobs-position': info.position,
    'x-blobs-entry': info.entry,
    'x-blobs-author': encodeText(info.author),
    'x-blobs-device': encodeText(info.device),
    ...(info.dropped ? { 'x-blobs-dropped': 'true' } : {}),
    ...metaToHeaders(info.meta),
  }
}

/** The inverse of `blobToHeaders`; throws `Malformed`. */
export function blobFromHeaders(headers: Headers): WireBlob {
  return blobInfo(
    {
      bucket: one(headers, 'x-blobs-bucket'),
      key: decodeText(one(headers, 'x-blobs-key')),
      version: count(headers, 'x-blobs-version'),
      size: count(headers, 'x-blobs-size'),
      hash: one(headers, 'x-blobs-sha256'),
      contentType: decodeText(one(headers, 'x-blobs-type')),
      modified: one(headers, 'x-blobs-modified'),
      deleted: one(headers, 'x-blobs-deleted') === 'true',
      meta: readMeta(headers),
      position: one(headers, 'x-blobs-position'),
      entry: one(headers, 'x-blobs-entry'),
      author: decodeText(one(headers, 'x-blobs-author')),
      device: decodeText(one(headers, 'x-blobs-device')),
      ...(headers['x-blobs-dropped'] === 'true' ? { dropped: true } : {}),
    },
    '',
  )
}

function metaToHeaders(held: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(held).map(([name, value]) => [`${META}${encodeName(name)}`, encodeText(value)]),
  )
}

/** The metadata that a request's `x-blobs-meta-*` headers give, within the limits; throws `Malformed`. */
export function metaFromHeaders(headers: Headers): Record<string, string> {
  return meta(readMeta(headers), 'metadata')
}

function readMeta(headers: Headers): Record<string, string> {
  const names = Object.keys(headers).filter((name) => name.startsWith(META))
  return Object.fromEntries(names.map((name) => [decodeText(name.slice(META.length)), decodeText(one(headers, name))]))
}

function one(headers: Headers, name: string): string {
  const value = headers[name]
  if (typeof value === 'string') return value
  throw new Malformed(name, value === undefined ? 'missing' : 'given twice')
}

function count(headers: Headers, name: string): number {
  const value = one(headers, name)
  return /^\d+$/.test(value) ? Number(value) : Number.NaN
}

/** Percent-encodes everything but letters, digits, and `-_.!~*'()`, so that any text is a header's value. */
export function encodeText(value: string): string {
  return encodeURIComponent(value.toWellFormed())
}

/** The inverse; text without `%` is itself. Throws `Malformed`. */
export function decodeText(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    throw new Malformed('', `broken percent-encoding in ${JSON.stringify(value.slice(0, limits.contentType))}`)
  }
}

// A header's name has no case and few signs: all but lower-case letters, digits, `-`, `_` and `.` are encoded.
function encodeName(name: string): string {
  const bytes = Buffer.from(name.toWellFormed())
  return Array.from(bytes, (byte) => {
    const sign = String.fromCharCode(byte)
    return /[a-z0-9._-]/.test(sign) ? sign : `%${byte.toString(16).padStart(2, '0')}`
  }).join('')
}
