import { hasher } from '../../content/hash.ts'
import { blobFromHeaders, COMPARES, etagOf } from '../../protocol/blob-headers.ts'
import { keyPath } from '../../protocol/routes.ts'
import type { GetOptions } from '../contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../contract/errors.ts'
import { checkKey } from '../contract/keys.ts'
import type { Blob, BlobInfo } from '../contract/types.ts'
import { understood } from './client.ts'
import { discard, failureOf, strange } from './failures.ts'
import type { Answer, Transport } from './transport.ts'

/** Where a blob is asked for. */
export interface Place {
  readonly transport: Transport
  readonly bucket: string
}
type Range = readonly [first: number, last: number]

/** See `BlobStore.head`. */
export async function readHead(place: Place, key: string, version: number | undefined): Promise<BlobInfo | null> {
  const answer = await place.transport.send({ method: 'HEAD', path: pathOf(place, key, version) })
  await discard(answer)
  if (answer.status === 200 || answer.headers['x-blobs-deleted'] === 'true') return infoOf(place, key, answer)
  return absent(await failureOf(answer, place.transport.origin))
}

/** Null for the error that says that the key is not there; any other, also of the bucket that is not there, is thrown. */
function absent(error: BlobsError): null {
  if (isBlobsError(error, 'NotFound') && error.key !== undefined) return null
  throw error
}

/** What comes is compared with its hash here, or by the reader: the server need not do it as well. */
const READER_COMPARES = { [COMPARES]: 'true' }

/** See `BlobStore.get`. */
export async function readBlob(place: Place, key: string, options: GetOptions): Promise<Blob | null> {
  const { version, range, readerCompares = false } = options
  if (range !== undefined && range[0] < 0 && Number.isFinite(range[1])) return readFromEnd(place, key, version, range)
  if (range !== undefined && range[0] >= 0 && range[1] < range[0]) throw emptyRange(key, range)
  const { origin } = place.transport
  const answer = await place.transport.send({
    method: 'GET',
    path: pathOf(place, key, version),
    headers: range === undefined ? READER_COMPARES : { range: rangeHeader(range) },
  })
  if (answer.status === 416) {
    await discard(answer)
    const info = infoOf(place, key, answer)
    if (info.size === 0 && (range?.[0] ?? 0) <= 0) return { info, range: [0, -1], stream: nothing() }
    throw emptyRange(key, range ?? [0, 0])
  }
  if (answer.status !== 200 && answer.status !== 206) return absent(await failureOf(answer, origin))
  try {
    const info = infoOf(place, key, answer)
    const got = rangeOf(answer, info, range, origin)
    const pieces = resuming(place, info, got, answer)
    return { info, range: got, stream: ending(readerCompares ? pieces : verified(info, got, pieces), answer) }
  } catch (error) {
    answer.cancel()
    throw error
  }
}

/** Bytes whose answer ends when they are not wanted, also before the first was asked for: a generator does nothing then. */
function ending(bytes: AsyncGenerator<Uint8Array, void>, answer: Answer): AsyncIterable<Uint8Array> {
  let begun = false
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        begun = true
        return bytes.next()
      },
      return: () => {
        if (!begun) answer.cancel()
        return bytes.return()
      },
    }),
  }
}

/** A range that HTTP has no words for: both from the end. */
async function readFromEnd(
  place: Place,
  key: string,
  version: number | undefined,
  [first, last]: Range,
): Promise<Blob | null> {
  const info = await readHead(place, key, version)
  if (info === null || info.deleted) return null
  return readBlob(place, key, { version: info.version, range: [Math.max(0, info.size + first), last] })
}

function emptyRange(key: string, [first, last]: Range): BlobsError {
  return new BlobsError('InvalidRequest', `the range ${first} to ${last} holds no byte of ${key}`, { key })
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // An empty blob has no bytes.
}

function pathOf({ bucket }: Place, key: string, version: number | undefined): string {
  const path = keyPath(bucket, 'blobs', checkKey(key))
  return version === undefined ? path : `${path}?version=${version}`
}

function rangeHeader([first, last]: Range): string {
  if (first < 0) return `bytes=${first}`
  return `bytes=${first}-${Number.isFinite(last) ? last : ''}`
}

/** What the headers tell; throws `Unavailable` when they are not those of this blob. */
function infoOf({ transport, bucket }: Place, key: string, answer: Answer): BlobInfo {
  const info = understood(answer, transport.origin, () => blobFromHeaders(answer.headers))
  if (info.bucket === bucket && info.key === key) return info
  throw strange(answer, transport.origin, `it is about ${info.bucket}/${info.key}`)
}

/** First and last byte that the answer says it holds; throws `Unavailable` when that is not what was asked for. */
function rangeOf(answer: Answer, info: BlobInfo, asked: Range | undefined, origin: string): Range {
  const { 'content-range': header, 'content-length': length, etag } = answer.headers
  if (etag !== etagOf(info)) throw strange(answer, origin, 'its ETag is of another version')
  const got = answer.status === 200 ? ([0, info.size - 1] as const) : parsedRange(header, info.size)
  if (got === null) throw strange(answer, origin, `its range is ${String(header)}`)
  const wanted = expectedRange(asked, info.size)
  if (got[0] !== wanted[0] || got[1] !== wanted[1]) throw strange(answer, origin, 'it holds other bytes than asked for')
  if (length !== undefined && Number(length) !== got[1] - got[0] + 1)
    throw strange(answer, origin, 'it has another length')
  return got
}

function parsedRange(header: string | undefined, size: number): Range | null {
  const found = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header ?? '')
  return found && Number(found[3]) === size ? [Number(found[1]), Number(found[2])] : null
}

function expectedRange(asked: Range | undefined, size: number): Range {
  if (asked === undefined) return [0, size - 1]
  return [asked[0] < 0 ? Math.max(0, size + asked[0]) : asked[0], Math.min(asked[1], size - 1)]
}

/** Hands out the last piece of a whole blob only once the hash of all is right. */
async function* verified(
  info: BlobInfo,
  range: Range,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const whole = range[0] === 0 && range[1] === info.size - 1 ? hasher() : null
  let held: Uint8Array | null = null
  for await (const piece of pieces) {
    whole?.update(piece)
    if (held !== null) yield held
    held = piece
  }
  if (whole !== null && whole.digest('hex') !== info.hash) {
    throw new BlobsError('Corrupt', `the bytes that came for ${info.key} are not those of its hash ${info.hash}`, {
      key: info.key,
      bucket: info.bucket,
      hint: 'nothing of it was kept: get it again',
    })
  }
  if (held !== null) yield held
}

/** The bytes of the answer, as many as it promised. Goes on where a cut connection left off, as long as that brings more bytes. */
async function* resuming(place: Place, info: BlobInfo, range: Range, first: Answer): AsyncGenerator<Uint8Array, void> {
  let next = range[0]
  let answer: Answer = first
  while (next <= range[1]) {
    const before = next
    try {
      for await (const piece of answer.pieces()) {
        if (next + piece.length > range[1] + 1)
          throw strange(answer, place.transport.origin, 'it is longer than it said')
        next += piece.length
        yield piece
      }
      if (next <= range[1]) throw strange(answer, place.transport.origin, 'it is shorter than it said')
    } catch (error) {
      if (next > range[1] || !isBlobsError(error, 'Unavailable') || next === before) throw error
      answer = await askRest(place, info, [next, range[1]])
    }
  }
}

/** The bytes that are still to come, of the same version; a server that knows why it cut the first answer says it now. */
async function askRest(place: Place, info: BlobInfo, range: Range): Promise<Answer> {
  const headers = { range: rangeHeader(range), 'if-match': etagOf(info) }
  const answer = await place.transport.send({ method: 'GET', path: pathOf(place, info.key, info.version), headers })
  if (answer.status !== 206) throw await failureOf(answer, place.transport.origin)
  rangeOf(answer, infoOf(place, info.key, answer), range, place.transport.origin)
  return answer
}
