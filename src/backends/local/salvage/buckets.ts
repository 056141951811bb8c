import { inTransaction, type Database } from '../../../platform/sqlite.ts'
import type { StorePaths } from '../store-file.ts'
import { bucketSum, packSum } from '../sums.ts'
import { findRows, type Found } from './found.ts'
import { openPages } from './pages.ts'

export interface SalvageOptions {
  /** Last position of a bucket's log that is known to have been acknowledged. */
  readonly acknowledged: ReadonlyMap<number, number>
  readonly nameOf: (data: Uint8Array) => string | null
  readonly pace: (bytes: number) => Promise<void>
}

/** Rows, or bytes, written in one transaction. */
const BATCH = 1000
const BATCH_BYTES = 8 * 1024 * 1024

/**
 * Brings the buckets, their logs and their small chunks over into a new database, and what the old one knew of packs into its table `packs`
 * and the temporary `placed` (the chunks in packs). Rows behind damage in the WAL count where there is no other.
 */
export async function fillBuckets(
  db: Database,
  paths: StorePaths,
  { nameOf, pace, acknowledged }: SalvageOptions,
): Promise<void> {
  db.exec(
    'CREATE TEMP TABLE placed (bucket INTEGER, hash BLOB, size INTEGER, pack INTEGER, place INTEGER, UNIQUE (pack, place, bucket, hash))',
  )
  const names = openKept<string>()
  const used = openKept<number>()
  const pages = openPages(paths)
  try {
    for await (const { found, beyond } of findRows(pages, pace)) {
      if (found.table === 'buckets') names.add(found.id, found.name, beyond, () => true)
      if (found.table === 'packs') used.add(found.id, found.used, beyond, (a, b) => a > b)
    }
    const removed = new Set([...names.all()].flatMap(([id, name]) => (name === null ? [id] : [])))
    let batch: Found[] = []
    let bytes = 0
    let heads: ReadonlyMap<number, number> | null = null
    const flush = (): void => {
      insert(db, batch, removed)
      batch = []
      bytes = 0
    }
    for await (const { found, beyond } of findRows(pages, pace)) {
      if (beyond && heads === null) {
        flush()
        heads = headsOf(db)
      }
      batch.push(found)
      bytes += 'data' in found ? found.data.length : 'bytes' in found ? found.bytes.length : 0
      if (batch.length >= BATCH || bytes >= BATCH_BYTES) flush()
    }
    flush()
    if (heads !== null) cutLoose(db, heads, acknowledged)
  } finally {
    pages.close()
  }
  for (const [id, value] of used.all()) {
    db.run('INSERT INTO packs (id, used, sum) VALUES (?, ?, ?)', id, value, packSum(id, value))
  }
  // The later of two with one name is the one that is there; the removal of the other was in what is lost.
  for (const [id, name] of [...names.all()].sort(([a], [b]) => b - a)) addBucket(db, id, name)
  nameOthers(db, nameOf)
  // What was put, but belongs to no bucket that has a log.
  db.exec('DELETE FROM chunks WHERE bucket NOT IN (SELECT id FROM buckets WHERE name IS NOT NULL)')
}

/** Values by id, of rows that change one way: null is the last, whatever else is found. */
function openKept<T>(): {
  add(id: number, value: T | null, beyond: boolean, isLater: (a: T, b: T) => boolean): void
  all(): Iterable<[number, T | null]>
} {
  const values = new Map<number, { value: T | null; beyond: boolean }>()
  return {
    add: (id, value, beyond, isLater) => {
      const known = values.get(id)
      if (known === undefined) values.set(id, { value, beyond })
      else if (known.beyond !== beyond || known.value === null) return
      else if (value === null || isLater(value, known.value)) known.value = value
    },
    all: function* () {
      for (const [id, { value }] of values) yield [id, value]
    },
  }
}

function insert(db: Database, batch: readonly Found[], removed: ReadonlySet<number>): void {
  inTransaction(db, () => {
    for (const found of batch) {
      if (!('bucket' in found) || found.bucket === null || removed.has(found.bucket)) continue
      insertOne(db, found.bucket, found)
    }
  })
}

function insertOne(db: Database, bucket: number, found: Found): void {
  if (found.table === 'log') {
    const { position, id, data, sum } = found
    const sql = 'INSERT OR IGNORE INTO log (bucket, position, id, data, sum) VALUES (?, ?, ?, ?, ?)'
    db.run(sql, bucket, position, id, data, sum)
  }
  if (found.table === 'chunks') {
    const { hash, bytes } = found
    const sql = 'INSERT OR IGNORE INTO chunks (bucket, hash, size, bytes) VALUES (?, ?, ?, ?)'
    db.run(sql, bucket, Buffer.from(hash, 'hex'), bytes.length, bytes)
  }
  if (found.table === 'placed') {
    const { hash, size, pack, place } = found
    db.run('INSERT OR IGNORE INTO placed VALUES (?, ?, ?, ?, ?)', bucket, Buffer.from(hash, 'hex'), size, pack, place)
  }
}

/** Last position of each log. */
function headsOf(db: Database): ReadonlyMap<number, number> {
  const rows = db.all<{ bucket: number; head: number }>('SELECT bucket, max(position) AS head FROM log GROUP BY bucket')
  return new Map(rows.map(({ bucket, head }) => [bucket, head]))
}

/** Entries from behind the damage that were not acknowledged, and do not even follow what was, are no part of the log. */
function cutLoose(db: Database, heads: ReadonlyMap<number, number>, acknowledged: ReadonlyMap<number, number>): void {
  for (const bucket of headsOf(db).keys()) {
    let last = Math.max(heads.get(bucket) ?? 0, acknowledged.get(bucket) ?? 0)
    const sql = 'SELECT 1 FROM log WHERE bucket = ? AND position = ?'
    while (db.get(sql, bucket, last + 1) !== undefined) last += 1
    db.run('DELETE FROM log WHERE bucket = ? AND position > ?', bucket, last)
  }
}

function addBucket(db: Database, id: number, wanted: string | null): void {
  const isTaken = wanted !== null && db.get('SELECT 1 FROM buckets WHERE name = ?', wanted) !== undefined
  const name = isTaken ? `recovered-${id}` : wanted
  db.run('INSERT INTO buckets (id, name, sum) VALUES (?, ?, ?)', id, name, bucketSum(id, name))
}

/** Logs whose bucket has lost its row get the name that their first entry tells, or one made of their number. */
function nameOthers(db: Database, nameOf: (data: Uint8Array) => string | null): void {
  const others = db.all<{ bucket: number }>(
    'SELECT DISTINCT bucket FROM log WHERE bucket NOT IN (SELECT id FROM buckets)',
  )
  for (const { bucket } of others) {
    const first = db.get<{ data: Uint8Array }>('SELECT data FROM log WHERE bucket = ? AND position = 1', bucket)
    addBucket(db, bucket, (first === undefined ? null : nameOf(first.data)) ?? `recovered-${bucket}`)
  }
}
