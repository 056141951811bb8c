import type { Database } from '../../platform/sqlite.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { bucketSum } from './sums.ts'

const MEND = 'stop every blobs process, then: blobs doctor --repair'

/** A bucket as it was found; it may be removed at any time. */
export interface BucketRow {
  readonly id: number
  readonly name: string
  /** Throws `NotFound` if it is gone. */
  check(): void
}

/** False if the name is taken. Inside a transaction. */
export function addBucket(db: Database, name: string): boolean {
  if (findBucket(db, name) !== null) return false
  const id = (db.get<{ id: number | null }>('SELECT max(id) AS id FROM buckets')?.id ?? 0) + 1
  db.run('INSERT INTO buckets (id, name, sum) VALUES (?, ?, ?)', id, name, bucketSum(id, name))
  return true
}

/** Null if there is none. Throws `Corrupt` for one whose row was altered, unless `lenient`. */
export function findBucket(db: Database, name: string, lenient = false): BucketRow | null {
  const row = db.get<{ id: number; sum: number }>('SELECT id, sum FROM buckets WHERE name = ?', name)
  if (row === undefined) return null
  const { id, sum } = row
  if (!lenient && sum !== bucketSum(id, name)) {
    throw new BlobsError('Corrupt', `the row of bucket ${name} in store.db was altered`, { bucket: name, hint: MEND })
  }
  return {
    id,
    name,
    check: () => {
      if (db.get('SELECT 1 FROM buckets WHERE id = ? AND name IS NOT NULL', id) !== undefined) return
      throw new BlobsError('NotFound', `bucket ${name} was removed`, { bucket: name })
    },
  }
}
