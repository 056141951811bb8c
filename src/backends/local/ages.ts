import type { Database } from '../../platform/sqlite.ts'
import { ageSum } from './sums.ts'

/** What stands for all chunks at once: none counts as older. */
const ALL = 0
/** A row that is older than this, in milliseconds, says no more than none: longer than any grace. */
const LONGEST = 90 * 86_400_000
/** Rows deleted in one transaction. */
const ROWS = 2000

/** Writes down that a chunk was put, or asked for, just now; inside a transaction. */
export function renewAge(db: Database, chunk: number, now: number): void {
  db.run('INSERT OR REPLACE INTO ages (chunk, time, sum) VALUES (?, ?, ?)', chunk, now, ageSum(chunk, now))
}

/** From now on everything that is there counts as put at this time. */
export function keepAll(db: Database, now: number): void {
  renewAge(db, ALL, now)
}

/** When chunks were put last, or asked for; 0 for long ago, Infinity where what was written down was altered. Inside a transaction, or at once. */
export function readAges(db: Database): (chunk: number) => number {
  const all = timeOf(db, ALL)
  return (chunk) => Math.max(timeOf(db, chunk), all)
}

function timeOf(db: Database, chunk: number): number {
  const row = db.get<{ time: number; sum: number }>('SELECT time, sum FROM ages WHERE chunk = ?', chunk)
  if (row === undefined) return 0
  return row.sum === ageSum(chunk, row.time) ? row.time : Number.POSITIVE_INFINITY
}

export function forgetAge(db: Database, chunk: number): void {
  db.run('DELETE FROM ages WHERE chunk = ?', chunk)
}

/** Forgets some rows that say nothing any more; false if there was none. */
export function forgetOld(db: Database, now: number): boolean {
  const old = `SELECT chunk FROM ages WHERE chunk <> ${ALL} AND time < ? LIMIT ${ROWS}`
  return db.run(`DELETE FROM ages WHERE chunk IN (${old})`, now - LONGEST).changes > 0
}
