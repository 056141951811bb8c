import type { Database } from '../../platform/sqlite.ts'
import type { Position } from '../ports.ts'
import { END, numberBound, numberOf } from './bounds.ts'
import { firstGap, lastGap, openWants } from './gaps.ts'
import { APPLIED } from './schema.ts'

/** Entries that are looked at in one go: longer looks would keep others waiting. */
const SCANNED = 20_000

interface Search {
  /** Null: it is before `before`, if anywhere. */
  readonly operation: string | null
  readonly before: Position
}

/** The newest operation with an effect whose id begins with `start`, among some of the entries before a position; `before` 0: there are no others. */
export function findOperation(db: Database, start: string, before: Position): Search {
  const oldest = db.get<{ position: number }>(
    'SELECT position FROM entries WHERE position < ? ORDER BY position DESC LIMIT 1 OFFSET ?',
    before,
    SCANNED,
  )
  // What a checkpoint brings is looked at page by page.
  const gap = lastGap(db, { tree: 'entries', high: numberBound(before - 1) })
  const filled = gap === null ? 0 : numberOf(gap.high)
  if (filled >= before) wantEntry(db, before - 1)
  const from = Math.max(oldest?.position ?? 0, filled)
  const found = db.get<{ operation: string }>(
    `SELECT operation FROM entries WHERE position >= ? AND position < ? AND outcome = ${APPLIED} AND made > 0
       AND substr(operation, 1, ?) = ? ORDER BY position DESC LIMIT 1`,
    from,
    before,
    start.length,
    start,
  )
  return { operation: found?.operation ?? null, before: from }
}

interface Made {
  readonly first: number
  readonly made: number
}
interface MadePage {
  readonly entries: readonly Made[]
  /** Where to go on; null: these were the last. */
  readonly after: Position | null
}

/** Which versions the entries of an operation made, of some of the entries behind a position. */
export function madeBy(db: Database, operation: string, after: Position): MadePage {
  const sql = 'SELECT position FROM entries WHERE position > ? ORDER BY position LIMIT 1 OFFSET ?'
  const next = db.get<{ position: number }>(sql, after, SCANNED)
  const gap = firstGap(db, { tree: 'entries', low: numberBound(after + 1), high: END })
  const unread = gap === null ? Number.MAX_SAFE_INTEGER : numberOf(gap.low)
  if (unread <= after + 1) wantEntry(db, after + 1)
  const last = Math.min(next?.position ?? Number.MAX_SAFE_INTEGER, unread - 1)
  const entries = db.all<Made>(
    `SELECT first, made FROM entries WHERE position > ? AND position <= ? AND outcome = ${APPLIED} AND made > 0
       AND operation = ? ORDER BY position`,
    after,
    last,
    operation,
  )
  return { entries, after: next === undefined && gap === null ? null : last }
}

function wantEntry(db: Database, position: Position): void {
  const wants = openWants(db)
  wants.entry(position)
  wants.settle()
}
