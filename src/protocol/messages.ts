import { limits } from './limits.ts'
import { type Check, flag, integer, list, literal, Malformed, nullable, object, record, text } from './schema.ts'

/** A request body is closed: an unknown property is an error, so nothing that is asked for is silently ignored. An answer is open. */
type Side = 'closed' | 'open'

export const hash = text(64, /^[0-9a-f]{64}$/, 'a SHA-256 of 64 lower-case hex digits')
export const entryId = text(32, /^[0-9a-f]{32}$/, 'an id of 32 lower-case hex digits')
const key = text(1024)
/** A key in a request: whether it is one is for the store to say, which names what is wrong with it. */
const anyKey: Check<string> = (value, path) => {
  if (typeof value !== 'string') throw new Malformed(path, 'not a text')
  if (value.length <= 4096) return value
  throw new Malformed(path, 'longer than any key')
}
export const cursor = text(256, /^[\x21-\x7e]+$/, 'a cursor')
export const timestamp = text(40, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/, 'an RFC 3339 time')
const version = integer(1)
/** Who or what for: a short free text. */
export const label = text(limits.label)
export const contentType = text(limits.contentType, /^[\x20-\x7e]+$/, 'printable ASCII')

/** Metadata: names and values of text, within the limits. */
export const meta: Check<Record<string, string>> = (value, path) => {
  const names = Object.entries(record(value, path))
  if (names.length > limits.metaNames) throw new Malformed(path, `more than ${limits.metaNames} names`)
  let bytes = 0
  const value_ = text(limits.metaBytes)
  const checked = names.map(([name, one]): [string, string] => {
    if (name === '') throw new Malformed(path, 'an empty name')
    const pair: [string, string] = [value_(name, path), value_(one, `${path}.${name}`)]
    bytes += Buffer.byteLength(pair[0]) + Buffer.byteLength(pair[1])
    return pair
  })
  if (bytes > limits.metaBytes) throw new Malformed(path, `more than ${limits.metaBytes} bytes`)
  return Object.fromEntries(checked)
}
// What a store gives out may have been written by another way in, with other limits.
const anyMeta: Check<Record<string, string>> = (value, path) => {
  const one = text(Number.MAX_SAFE_INTEGER)
  return Object.fromEntries(
    Object.entries(record(value, path)).map(([name, held]) => [name, one(held, `${path}.${name}`)]),
  )
}

function expectation(side: Side): Check<'any' | 'absent' | { version: number; hash?: string }> {
  const word = literal('any', 'absent')
  const held = object(
    { version },
    { hash: text(64, /^([0-9a-f]{64}|[0-9a-f]{32})$/, 'a SHA-256 or an entry id') },
    side,
  )
  return (value, path) => (typeof value === 'string' ? word(value, path) : held(value, path))
}

const ref = object({ hash, size: integer(0) }, {}, 'closed')
const refs = object({ depth: integer(0, limits.depth), refs: list(ref, limits.refs) }, {}, 'closed')
const copy = object({ copy: object({ key: anyKey, version }, {}, 'closed') }, {}, 'closed')
const gone = object({ dropped: literal(true) }, {}, 'closed')
const body: Check<ReturnType<typeof refs> | ReturnType<typeof copy> | ReturnType<typeof gone>> = (value, path) => {
  const named = record(value, path)
  if ('dropped' in named) return gone(value, path)
  return 'copy' in named ? copy(value, path) : refs(value, path)
}

const put = object(
  { type: literal('put'), key: anyKey, expect: expectation('closed'), hash, size: integer(0), body, contentType, meta },
  {},
  'closed',
)
const remove = object({ type: literal('delete'), key: anyKey, expect: expectation('closed') }, {}, 'closed')
const change: Check<ReturnType<typeof put> | ReturnType<typeof remove>> = (value, path) =>
  record(value, path)['type'] === 'delete' ? remove(value, path) : put(value, path)
const changes = list(change, limits.changes, 1)
const newEntry = object({ id: entryId, changes }, { device: label, operation: label }, 'closed')
/** Of another bucket's history. */
const pastEntry = object(
  { id: entryId, changes, time: integer(-limits.time, limits.time) },
  { author: label, device: label, operation: label },
  'closed',
)
const entry: Check<ReturnType<typeof newEntry> | ReturnType<typeof pastEntry>> = (value, path) =>
  'time' in record(value, path) ? pastEntry(value, path) : newEntry(value, path)

/** Body of `POST …/commit`. */
export const commitRequest = object({ entries: list(entry, limits.entries, 1) }, {}, 'closed')
/** Body of `POST …/chunks/missing`. */
export const missingRequest = object({ hashes: list(hash, limits.hashes) }, {}, 'closed')
/** What the frame of passages holds. */
export const passages = list(
  object(
    { first: hash, at: integer(0), refs: list(object({ hash, size: integer(1) }, {}, 'closed'), limits.chunks) },
    {},
    'closed',
  ),
  limits.chunks,
)
/** Body of `POST …/fetch`. */
export const fetchRequest = object(
  { wants: list(object({ key: anyKey, version }, {}, 'closed'), limits.wants) },
  {},
  'closed',
)

function bucketOptions(side: Side) {
  const most = integer(1)
  const own = { maxBlobSize: most, keepVersions: most, keepFor: most, quotaBytes: most, quotaBlobs: most }
  const restoring = object({}, { until: timestamp }, side)
  const copyOf = object(
    { bucket: text(63), epoch: entryId, options: object({}, own, side) },
    { through: cursor, last: entryId, at: timestamp, restoring },
    side,
  )
  return object({}, { ...own, copyOf }, side)
}
/** Body of `PUT` and `PATCH` of a bucket. */
export const bucketRequest = object({}, { options: bucketOptions('closed') }, 'closed')

export const bucketInfo = object({
  name: text(63),
  epoch: text(64),
  head: cursor,
  created: text(40),
  blobs: integer(0),
  bytes: integer(0),
  options: bucketOptions('open'),
})
/** Answer of `GET /v1/buckets`. */
export const bucketsAnswer = object({ buckets: list(bucketInfo, limits.page), complete: flag }, { next: text(63) })

const infoShape = {
  bucket: text(63),
  key,
  version,
  size: integer(0),
  hash: text(64, /^([0-9a-f]{64})?$/, 'a SHA-256'),
  contentType: text(Number.MAX_SAFE_INTEGER),
  modified: timestamp,
  deleted: flag,
  meta: anyMeta,
  position: cursor,
  entry: text(64),
  author: text(Number.MAX_SAFE_INTEGER),
  device: text(Number.MAX_SAFE_INTEGER),
}
/** Told of a version whose bytes are no more. */
const dropped = { dropped: literal(true) }
export const blobInfo = object(infoShape, dropped)
const listItem = object(infoShape, { ...dropped, history: list(hash, 1000) })

/** Answer of `GET …/blobs`. */
export const pageAnswer = object(
  { items: list(listItem, 100_000), prefixes: list(text(1025), 100_000), complete: flag, cursor },
  { next: text(1100) },
)

const conflict = object({ key, expected: expectation('open'), current: nullable(blobInfo) })
export const conflicts = list(conflict, limits.changes)
const done = object({ id: entryId, ok: literal(true), cursor, blobs: list(blobInfo, limits.changes) })
const refused = object({ id: entryId, ok: literal(false), conflicts })
const outcome: Check<ReturnType<typeof done> | ReturnType<typeof refused>> = (value, path) =>
  record(value, path)['ok'] === true ? done(value, path) : refused(value, path)
/** Answer of `POST …/commit`. */
export const commitAnswer = object({ outcomes: list(outcome, limits.entries) })
/** Answer of `POST …/chunks/missing`. */
export const missingAnswer = object({ missing: list(hash, limits.hashes) })
/** Answer of `POST …/chunks`. */
export const stagedAnswer = object({ staged: integer(0) })

/** A line of `GET …/chunks-of/{key}`: refs in order; the last line says that it was all. */
export const chunksLine = object(
  {},
  { refs: list(object({ hash, size: integer(0) }), 1_000_000), complete: literal(true) },
)

const changeLine = object(
  { type: literal('put', 'delete'), ...infoShape },
  { ...dropped, operation: text(Number.MAX_SAFE_INTEGER) },
)
const bookmarkLine = object({ type: literal('bookmark'), cursor })
/** A line of `GET …/changes`, other than a problem. */
export const feedLine: Check<ReturnType<typeof changeLine> | ReturnType<typeof bookmarkLine>> = (value, path) =>
  record(value, path)['type'] === 'bookmark' ? bookmarkLine(value, path) : changeLine(value, path)

/** Body of `POST /v1/join`: `name` becomes the name of the token. */
export const joinRequest = object({ code: text(64), name: text(64, /^[\x20-\x7e]+$/, 'printable ASCII') }, {}, 'closed')
/** Its answer. */
export const joinAnswer = object({
  token: text(8192, /^[\w.~+/=-]+$/, 'a token'),
  id: text(64),
  bucket: text(63),
  prefix: text(1024),
})
