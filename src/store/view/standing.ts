import type { Database } from '../../platform/sqlite.ts'
import type { Standing } from '../expectation.ts'

/** What stands at a key, and where the view has it. */
export interface Found extends Standing {
  readonly number: number
  readonly size: number
}

/** Null for a key that never was. */
export function standingOf(db: Database, key: string): Found | null {
  const row = db.get<{ number: number; version: number; deleted: number; size: number; stamp: string }>(
    `SELECT number, version, v.deleted AS deleted, size,
       CASE v.deleted WHEN 1 THEN (SELECT id FROM entries e WHERE e.position = v.position) ELSE hash END AS stamp
     FROM keys JOIN versions v USING (number) WHERE key = ? AND serial = head`,
    key,
  )
  return row === undefined ? null : { ...row, deleted: row.deleted === 1 }
}
