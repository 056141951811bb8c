import { PAGE } from './page-size.ts'

/** A value of a row; whole numbers only. */
type Value = null | number | string | Uint8Array
/** A row as it stands in a page. `rowid` is null in a table that has none. */
export interface Row {
  readonly rowid: number | null
  readonly values: readonly Value[]
}

const TABLE_LEAF = 0x0d
const INDEX_LEAF = 0x0a
const INDEX_INNER = 0x02
const KINDS = [TABLE_LEAF, INDEX_LEAF, INDEX_INNER]
/** Longer rows are none of ours. */
const MAX_PAYLOAD = 2 * 1024 * 1024
const MAX_COLUMNS = 16
/** Bytes of a row that stay in its page when it is too long for it (sqlite.org/fileformat2.html). */
const LEAST_LOCAL = Math.floor(((PAGE - 12) * 32) / 255) - 23
const MOST_IN_INDEX = Math.floor(((PAGE - 12) * 64) / 255) - 23
const MOST_IN_TABLE = PAGE - 35

/**
 * The rows that a page holds, also those that are no longer counted, as far as they can be made out; `read` gives the pages that long
 * ones go on in. What a damaged page gives may be wrong: the rows have to prove themselves.
 */
export function* rowsOf(
  bytes: Uint8Array,
  page: number,
  read: (page: number) => Uint8Array | null,
): Generator<Row, void> {
  const start = page === 1 ? 100 : 0
  const kind = bytes[start] ?? 0
  for (const likely of KINDS) {
    // One bit of its kind may have flipped. A page that a long row goes on in begins with 0, and holds what users wrote: never a row.
    if (kind !== 0 && hasOneBit(kind ^ likely))
      yield* cellsOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), start, likely, read)
  }
}

function hasOneBit(number: number): boolean {
  return (number & (number - 1)) === 0
}

function* cellsOf(
  bytes: Buffer,
  start: number,
  kind: number,
  read: (page: number) => Uint8Array | null,
): Generator<Row, void> {
  const first = start + (kind === INDEX_INNER ? 12 : 8)
  // The pointers end where the cells begin, at the latest.
  let end = PAGE
  for (let slot = first; slot + 2 <= end; slot += 2) {
    const at = bytes.readUInt16BE(slot)
    if (at < first + 2 || at > PAGE - 4) continue
    const row = readCell(bytes, at, kind, read)
    if (row === null) continue
    end = Math.min(end, at)
    yield row
  }
}

function readCell(bytes: Buffer, at: number, kind: number, read: (page: number) => Uint8Array | null): Row | null {
  const cursor = { bytes, at: kind === INDEX_INNER ? at + 4 : at }
  const length = varint(cursor)
  const rowid = kind === TABLE_LEAF ? varint(cursor) : null
  if (length < 2 || length > MAX_PAYLOAD) return null
  const payload = readPayload(bytes, cursor.at, length, kind === TABLE_LEAF ? MOST_IN_TABLE : MOST_IN_INDEX, read)
  const values = payload === null ? null : decodeRecord(payload)
  return values === null ? null : { rowid, values }
}

function readPayload(
  bytes: Buffer,
  at: number,
  length: number,
  most: number,
  read: (page: number) => Uint8Array | null,
): Buffer | null {
  const spilled = LEAST_LOCAL + ((length - LEAST_LOCAL) % (PAGE - 4))
  const local = length <= most ? length : spilled <= most ? spilled : LEAST_LOCAL
  if (at + local + (local < length ? 4 : 0) > PAGE) return null
  const parts: Uint8Array[] = [bytes.subarray(at, at + local)]
  let next = local < length ? bytes.readUInt32BE(at + local) : 0
  for (let left = length - local; left > 0; left -= PAGE - 4) {
    const page = next === 0 ? null : read(next)
    if (page === null) return null
    next = Buffer.from(page.buffer, page.byteOffset, 4).readUInt32BE(0)
    parts.push(page.subarray(4, 4 + Math.min(left, PAGE - 4)))
  }
  return Buffer.concat(parts)
}

const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8]

function decodeRecord(payload: Buffer): readonly Value[] | null {
  const cursor = { bytes: payload, at: 0 }
  const header = varint(cursor)
  if (header > payload.length || header > MAX_COLUMNS * 9) return null
  const values: Value[] = []
  let at = header
  while (cursor.at < header) {
    const type = varint(cursor)
    const size = type < 7 ? (INTEGER_BYTES[type] ?? 0) : type < 12 ? 0 : Math.floor((type - 12) / 2)
    if (at + size > payload.length || values.length === MAX_COLUMNS) return null
    const value = decodeValue(payload.subarray(at, at + size), type)
    if (value === undefined) return null
    values.push(value)
    at += size
  }
  return at === payload.length && cursor.at === header ? values : null
}

/** Undefined for a fraction, and for what no record holds. */
function decodeValue(bytes: Buffer, type: number): Value | undefined {
  if (type === 0) return null
  if (type === 8 || type === 9) return type - 8
  if (type === 6) return Number(bytes.readBigInt64BE(0))
  if (type < 6) return bytes.readIntBE(0, bytes.length)
  if (type < 12) return undefined
  return type % 2 === 0 ? bytes : bytes.toString('utf8')
}

/** A number of up to nine bytes; beyond the end the bytes are 0. */
function varint(cursor: { readonly bytes: Buffer; at: number }): number {
  let value = 0
  for (let i = 0; i < 8; i++) {
    const byte = cursor.bytes[cursor.at++] ?? 0
    value = value * 128 + (byte & 127)
    if (byte < 128) return value
  }
  return value * 256 + (cursor.bytes[cursor.at++] ?? 0)
}
