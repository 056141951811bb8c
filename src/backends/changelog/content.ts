import { type Hash } from '../../content/hash.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import { splitFrames } from '../../store/objects/frame.ts'
import type { Content, RawEntry } from '../../store/ports.ts'
import type { Piece } from './index-file.ts'
import { type BucketOptions, checkBucket } from './log.ts'
import { decodeValue, encodeValue, keys, MOST_FRAME } from './records.ts'
import { MOST_CALLS } from './wire.ts'

/** Most bytes of a chunk in one record. */
const MOST_PART = 73_000
/** How often a record is added whose answer is lost. */
const TRIES = 4
/** Chunks that are remembered as put by this process. */
const MOST_ADDED = 4096
/** Chunks of a call that are looked up together. */
const BATCH = 256

/**
 * Content in records, each a frame of pieces: a chunk under its hash, or part P of N of one under `HASH/P/N`. Keys of records are the
 * writer's alone, so whoever puts what is there already spoils nothing.
 */
export function openContent(options: BucketOptions): Content {
  const { wire, index, reader, ids, bucket } = options
  /** What this process put, and may not have read yet. */
  const added = new Set<Hash>()
  const add = async (pieces: readonly RawEntry[]): Promise<void> => {
    for (let tries = 1; ; tries++) {
      try {
        // Under a new key each time: what is there twice is harmless, and each is found by its key.
        return await wire.add(keys.content(bucket.id, ids.next()), encodeValue(pieces))
      } catch (error) {
        if (tries === TRIES || !isBlobsError(error, 'Unavailable')) throw error
      }
    }
  }
  return {
    put: async (chunks) => {
      const fresh = new Map(chunks.map(({ hash, bytes }) => [hash, bytes]))
      const there = found(options, [...fresh.keys()])
      if (added.size > MOST_ADDED) {
        await reader.catchUp()
        added.clear()
      }
      const pieces = [...fresh].flatMap(([hash, bytes]) => (there.has(hash) ? [] : piecesOf(hash, bytes)))
      const limits = { maxEntryBytes: MOST_PART, maxFrameBytes: MOST_FRAME }
      await eachOf(splitFrames(pieces, limits), MOST_CALLS, add)
      checkBucket(options)
      for (const hash of fresh.keys()) added.add(hash)
    },
    get: async (hashes) => {
      const kept = hashes.map((hash) => index.shelf.get(bucket.id, hash))
      const wanted = hashes.filter((_, at) => kept[at] === undefined)
      const chunks = await getAll(options, await foundFresh(options, wanted))
      // Each its own memory, also of a hash that is asked for twice.
      return hashes.map((hash, at) => {
        const bytes = kept[at] ?? chunks.get(hash)
        return bytes === undefined ? null : Uint8Array.from(bytes)
      })
    },
    missing: async (hashes) => {
      const asked = hashes.filter((hash) => !added.has(hash))
      const there = await foundFresh(options, asked)
      return asked.filter((hash) => !there.has(hash))
    },
    close: async () => undefined,
  }
}

function piecesOf(hash: Hash, bytes: Uint8Array): readonly RawEntry[] {
  const parts = Math.max(1, Math.ceil(bytes.length / MOST_PART))
  return Array.from({ length: parts }, (_, part) => ({
    id: parts === 1 ? hash : `${hash}/${part}/${parts}`,
    data: bytes.subarray(part * MOST_PART, (part + 1) * MOST_PART),
  }))
}

/** The pieces of those chunks that are whole, as far as the index knows. */
function found({ index, bucket }: BucketOptions, hashes: readonly Hash[]): ReadonlyMap<Hash, readonly Piece[]> {
  const whole = new Map<Hash, readonly Piece[]>()
  const sql = 'SELECT hash, part, parts, record, key FROM pieces WHERE bucket = ? AND hash = ? ORDER BY part'
  for (const hash of new Set(hashes)) {
    const pieces = index.db.all<Piece>(sql, bucket.id, hash)
    if (pieces.length > 0 && pieces.length === pieces[0]?.parts) whole.set(hash, pieces)
  }
  return whole
}

/** The same, after another look at the server for what is missing. */
async function foundFresh(
  options: BucketOptions,
  hashes: readonly Hash[],
): Promise<ReadonlyMap<Hash, readonly Piece[]>> {
  const known = found(options, hashes)
  if (hashes.every((hash) => known.has(hash))) return known
  await options.reader.catchUp()
  return found(options, hashes)
}

async function getAll(
  options: BucketOptions,
  wanted: ReadonlyMap<Hash, readonly Piece[]>,
): Promise<ReadonlyMap<Hash, Uint8Array>> {
  const chunks = new Map<Hash, Uint8Array>()
  const all = [...wanted]
  for (let at = 0; at < all.length; at += BATCH) {
    const some = all.slice(at, at + BATCH)
    const records = new Map(some.flatMap(([, pieces]) => pieces.map(({ key, record }) => [key, record] as const)))
    const read = await eachOf([...records], MOST_CALLS, ([key, record]) => readRecord(options, key, record))
    const data = new Map(read.flat().map(({ id, data: bytes }) => [id, bytes]))
    for (const [hash, pieces] of some) {
      const parts = pieces.map(({ part, parts: count }) => data.get(count === 1 ? hash : `${hash}/${part}/${count}`))
      if (parts.every((bytes) => bytes !== undefined))
        chunks.set(hash, parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts))
    }
  }
  return chunks
}

/** The pieces of a record. One whose key was sent twice, or deleted, is not told by its key any more, but it is in the log. */
async function readRecord({ wire }: BucketOptions, key: string, id: number): Promise<readonly RawEntry[]> {
  const value = await wire.value(key)
  if (value !== null) return decodeValue(key, value)
  for await (const rows of wire.changes(id - 1)) {
    const row = rows[0]
    return row?.id === id && row.key === key ? decodeValue(key, row.value) : []
  }
  return []
}
