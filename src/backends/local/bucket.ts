import type { Database } from '../../platform/sqlite.ts'
import { BlobsError } from '../../store/contract/errors.ts'

/** A bucket as it was found; it may be removed at any time. */
export interface BucketRow {
  readonly id: number
  readonly name: string
  /** Throws `NotFound` if it is gone. */
  check(): void
}

/** Null if there is none. */
export function findBucket(db: Database, name: string): BucketRow | null {
  const row = db.get<{ id: number }>('SELECT id FROM buckets WHERE name = ?', name)
  if (row === undefined) return null
  const { id } = row
  return {
    id,
    name,
    check: () => {
      if (db.get('SELECT 1 FROM buckets WHERE id = ? AND name IS NOT NULL', id) !== undefined) return
      throw new BlobsError('NotFound', `bucket ${name} was removed`, { bucket: name })
    },
  }
}
