import type { Addressed } from '../../content/body.ts'
import { SMALL } from '../../content/chunker.ts'
import type { Hash } from '../../content/hash.ts'
import type { Content } from '../../store/ports.ts'
import type { BucketRow } from './bucket.ts'
import type { PackReader } from './pack-reader.ts'
import type { PackWriter, Place } from './pack-writer.ts'
import type { StoreFile } from './store-file.ts'
import { packSum } from './sums.ts'
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
}

/** Content of one bucket: up to 64 KiB in the database, larger in packs. */
export function localContent(bucket: BucketRow, parts: ContentParts): Content {
  const { store, transactions } = parts
  const { db } = store
  const isMissing = (hash: Hash): boolean =>
    db.get('SELECT 1 FROM chunks WHERE bucket = ? AND hash = ?', bucket.id, address(hash)) === undefined
  const missing = async (hashes: readonly Hash[]): Promise<Hash[]> =>
    hashes.length === 0 ? [] : transactions.read(() => hashes.filter(isMissing))

  const get = async (hashes: readonly Hash[]): Promise<(Uint8Array | null)[]> => {
    const rows = await transactions.read(() =>
      hashes.map((hash) =>
        db.get<ChunkRow>(
          'SELECT size, pack, place, bytes FROM chunks WHERE bucket = ? AND hash = ?',
          bucket.id,
          address(hash),
        ),
      ),
    )
    return Promise.all(rows.map((row) => (row === undefined ? null : bytesOf(row, parts.reader))))
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
    db.run(sql, bucket.id, address(hash), bytes.length, bytes)
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
    db.run(sql, bucket.id, address(hash), size, pack, place)
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
