import type { Addressed } from '../../content/body.ts'
import { SMALL } from '../../content/chunker.ts'
import type { Hash } from '../../content/hash.ts'
import type { Clock } from '../../platform/ports.ts'
import type { Database } from '../../platform/sqlite.ts'
import { RENEWED_WITHIN, type Content } from '../../store/ports.ts'
import { readAges, renewAge } from './ages.ts'
import type { BucketRow } from './bucket.ts'
import type { PackReader } from './pack-reader.ts'
import type { PackWriter, Place } from './pack-writer.ts'
import type { StoreFile } from './store-file.ts'
import { packSum } from './sums.ts'
import { localSweeping } from './sweeping.ts'
import type { Transactions } from './transactions.ts'

/** Bytes that one job of a transaction brings at most, so that groups stay near their limit. */
const SLICE_BYTES = 1024 * 1024
/** A row and its place in the index, roughly. */
const ROW_BYTES = 128

/** Where a page is damaged, any value may be of any type. */
interface ChunkRow {
  readonly size: unknown
  readonly pack: unknown
  readonly place: unknown
  readonly bytes: unknown
}

export interface ContentParts {
  readonly store: StoreFile
  readonly transactions: Transactions
  readonly writer: PackWriter
  readonly reader: PackReader
  readonly clock: Clock
  /** Size at which a new pack is begun. */
  readonly packBytes: number
  /** To ask for a chunk renews its age; not in a store that is only looked at. */
  readonly renews: boolean
}

/** Content of one bucket: up to 64 KiB in the database, larger in packs. */
export function localContent(bucket: BucketRow, parts: ContentParts): Content {
  const { store, transactions } = parts
  const { db } = store
  const missing = async (hashes: readonly Hash[]): Promise<readonly Hash[]> =>
    hashes.length === 0 ? [] : findMissing(bucket, parts, hashes)

  const find = (hash: Hash): ChunkRow | undefined =>
    db.get('SELECT size, pack, place, bytes FROM chunks WHERE bucket = ? AND hash = ?', bucket.id, address(hash))
  const read = async (hash: Hash, row: ChunkRow | undefined, tries = MOVES): Promise<Uint8Array | null> => {
    const bytes = row === undefined ? null : await bytesOf(row, parts.reader)
    if (bytes !== null || row === undefined || tries === 0) return bytes
    // Its pack may have been written anew since the row was read.
    const now = await transactions.read(() => find(hash))
    return now?.pack === row.pack && now?.place === row.place ? null : read(hash, now, tries - 1)
  }
  const get = async (hashes: readonly Hash[]): Promise<(Uint8Array | null)[]> => {
    const rows = await transactions.read(() => hashes.map(find))
    return Promise.all(rows.map((row, index) => read(hashes[index] ?? '', row)))
  }

  return {
    missing,
    put: async (chunks) => {
      const large = chunks.filter((chunk) => chunk.bytes.length > SMALL)
      const small = chunks.filter((chunk) => chunk.bytes.length <= SMALL)
      if (large.length > 0) await transactions.read(() => bucket.check())
      const wanted = new Set(await missing(large.map((chunk) => chunk.hash)))
      // A hash given twice is stored once; of small ones the index sees to that.
      const fresh = large.filter((chunk) => wanted.delete(chunk.hash))
      await Promise.all([putSmall(bucket, parts, small), putLarge(bucket, parts, fresh)])
    },
    sizes: async (hashes) => {
      const rows = await transactions.read(() => db.all<SizeRow>(SIZES, bucket.id, JSON.stringify(hashes)))
      // What is in a pack may be gone with it, which its row does not know.
      const read = async (hash: Hash): Promise<number | null> => (await get([hash]))[0]?.length ?? null
      return Promise.all(rows.map(({ hash, size, pack }) => (pack === null ? size : read(hash))))
    },
    get,
    sweeping: localSweeping(bucket, parts),
    close: async () => undefined,
  }
}

interface SizeRow {
  readonly hash: Hash
  readonly size: number | null
  readonly pack: number | null
}
/** One statement for many, in the order of what is asked for. */
const SIZES = `SELECT value AS hash, length(bytes) AS size, pack FROM json_each(?2)
  LEFT JOIN chunks ON chunks.bucket = ?1 AND chunks.hash = unhex(value) ORDER BY key`
const IDS = `SELECT value AS hash, chunks.id AS id FROM json_each(?2)
  LEFT JOIN chunks ON chunks.bucket = ?1 AND chunks.hash = unhex(value) ORDER BY key`

/** Looks once more for a chunk that was moved. */
const MOVES = 3

/** Those that are there count as put now. */
async function findMissing(
  bucket: BucketRow,
  { store: { db }, transactions, clock, renews }: ContentParts,
  hashes: readonly Hash[],
): Promise<readonly Hash[]> {
  const due = clock.now() - RENEWED_WITHIN
  const { lacking, old } = await transactions.read(() => {
    // A store that is only looked at may be of a format without ages.
    const ageOf = renews ? readAges(db) : () => Number.POSITIVE_INFINITY
    const found = db.all<{ hash: Hash; id: number | null }>(IDS, bucket.id, JSON.stringify(hashes))
    return {
      lacking: found.flatMap(({ hash, id }) => (id === null ? [hash] : [])),
      old: found.flatMap(({ hash, id }) => (id !== null && ageOf(id) < due ? [hash] : [])),
    }
  })
  if (old.length === 0) return lacking
  const gone = await transactions.write(old.length * ROW_BYTES, () =>
    old.filter((hash) => {
      const id = idOf(db, bucket, hash)
      if (id !== null) renewAge(db, id, clock.now())
      return id === null
    }),
  )
  return gone.length === 0 ? lacking : hashes.filter((hash) => lacking.includes(hash) || gone.includes(hash))
}

function idOf(db: Database, bucket: BucketRow, hash: Hash): number | null {
  const sql = 'SELECT id FROM chunks WHERE bucket = ? AND hash = ?'
  return db.get<{ id: number }>(sql, bucket.id, address(hash))?.id ?? null
}

function address(hash: Hash): Uint8Array {
  return Buffer.from(hash, 'hex')
}

function bytesOf(
  { size, pack, place, bytes }: ChunkRow,
  reader: PackReader,
): Promise<Uint8Array | null> | Uint8Array | null {
  if (bytes instanceof Uint8Array) return bytes
  return isCount(pack) && isCount(place) && isCount(size) && size <= MOST_BYTES ? reader.read(pack, place, size) : null
}

/** No chunk and no entry is larger; what says so was altered. */
const MOST_BYTES = 256 * 1024 * 1024

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

async function putSmall(bucket: BucketRow, parts: ContentParts, chunks: readonly Addressed[]): Promise<void> {
  const { db } = parts.store
  const insert = ({ hash, bytes }: Addressed): void => {
    const sql = 'INSERT INTO chunks (bucket, hash, size, bytes) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING'
    const { changes, rowid } = db.run(sql, bucket.id, address(hash), bytes.length, bytes)
    renewAge(db, changes > 0 ? rowid : (idOf(db, bucket, hash) ?? rowid), parts.clock.now())
  }
  await inSlices(
    chunks,
    ({ bytes }) => bytes.length + ROW_BYTES,
    (slice, weight) =>
      parts.transactions.write(weight, () => {
        bucket.check()
        for (const chunk of slice) insert(chunk)
      }),
  )
}

async function putLarge(bucket: BucketRow, parts: ContentParts, chunks: readonly Addressed[]): Promise<void> {
  const { db } = parts.store
  const insert = ({ hash, size, pack, place, end }: Place): void => {
    const sql = 'INSERT INTO chunks (bucket, hash, size, pack, place) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING'
    const { changes, rowid } = db.run(sql, bucket.id, address(hash), size, pack, place)
    renewAge(db, changes > 0 ? rowid : (idOf(db, bucket, hash) ?? rowid), parts.clock.now())
    const used = Math.max(end, db.get<{ used: number | null }>('SELECT used FROM packs WHERE id = ?', pack)?.used ?? 0)
    db.run('UPDATE packs SET used = ?, sum = ? WHERE id = ?', used, packSum(pack, used), pack)
  }
  const index = (places: readonly Place[]): Promise<void> =>
    parts.transactions.write(places.length * ROW_BYTES, () => {
      bucket.check()
      for (const place of places) insert(place)
    })
  await inSlices(
    chunks,
    ({ bytes }) => bytes.length,
    (slice) => parts.writer.append({ bucket: bucket.id, chunks: slice, index }),
  )
}

async function inSlices<T>(
  items: readonly T[],
  weigh: (item: T) => number,
  send: (slice: readonly T[], weight: number) => Promise<void>,
): Promise<void> {
  const sent: Promise<void>[] = []
  for (let from = 0; from < items.length;) {
    let weight = 0
    let to = from
    for (let item = items[to]; item !== undefined && (to === from || weight < SLICE_BYTES); item = items[++to]) {
      weight += weigh(item)
    }
    sent.push(send(items.slice(from, to), weight))
    from = to
  }
  await Promise.all(sent)
}
