import type { Database } from '../../platform/sqlite.ts'
import type { Delete, Side } from '../core/safety.ts'
import type { Path } from '../core/types.ts'
import { placeOf } from './encode.ts'
import { unparkAbove } from './parking.ts'
import { setBase } from './remote.ts'

/** Exactly which loss a yes is for: the side, the path, and the content that goes. */
function lossOf(step: Delete): string {
  if (step.type === 'delete-local') return `${step.replaces.hash} ${step.replaces.executable}`
  return step.expect === 'absent' ? 'absent' : `${step.expect.version} ${step.expect.hash}`
}

export function sideOf(step: Delete): Side {
  return step.type === 'delete-local' ? 'local' : 'remote'
}

/** True if someone said yes to this very deletion. */
export function isApproved(db: Database, step: Delete): boolean {
  const { parent, name } = placeOf(step.path)
  const row = db.get<{ side: string; loss: string }>(
    'SELECT side, loss FROM held WHERE parent = ? AND name = ? AND approved = 1',
    parent,
    name,
  )
  return row?.side === sideOf(step) && row.loss === lossOf(step)
}

/** Makes these the deletions that wait on a side, in place of those that did; what is approved stays so. Inside a transaction. */
export function hold(db: Database, side: Side, steps: Iterable<Delete>): void {
  db.run('DELETE FROM held WHERE side = ? AND approved = 0', side)
  for (const step of steps) {
    const { parent, name } = placeOf(step.path)
    db.run('INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, 0)', parent, name, side, lossOf(step))
  }
}

/** The deletions were done, or are none any more. Inside a transaction. */
export function release(db: Database, paths: readonly Path[]): void {
  if (paths.length === 0 || db.get('SELECT 1 FROM held LIMIT 1') === undefined) return
  for (const path of paths) {
    const { parent, name } = placeOf(path)
    db.run('DELETE FROM held WHERE parent = ? AND name = ?', parent, name)
  }
}

export interface Held {
  readonly side: Side
  readonly count: number
  /** The first ones, by path. */
  readonly paths: readonly Path[]
}

export function heldDeletes(db: Database, limit: number): readonly Held[] {
  return (['local', 'remote'] as const).flatMap((side) => {
    const count = db.get<{ n: number }>('SELECT count(*) AS n FROM held WHERE side = ? AND approved = 0', side)?.n ?? 0
    if (count === 0) return []
    const rows = db.all<{ parent: string; name: string }>(
      `SELECT parent, name FROM held WHERE side = ? AND approved = 0 ORDER BY parent, name LIMIT ${limit}`,
      side,
    )
    return [{ side, count, paths: rows.map((row) => row.parent + row.name) }]
  })
}

/** Says yes to what waits. Gives how many. Inside a transaction. */
export function approveHeld(db: Database): number {
  return db.run('UPDATE held SET approved = 1 WHERE approved = 0').changes
}

/** Says no: without a base neither side's absence is a deletion, so the other side's bytes come back. Inside a transaction. */
export function rejectHeld(db: Database): number {
  const paths = db
    .all<{ parent: string; name: string }>('SELECT parent, name FROM held WHERE approved = 0')
    .map((row) => row.parent + row.name)
  for (const path of paths) setBase(db, path, null)
  unparkAbove(db, paths)
  db.run('DELETE FROM held WHERE approved = 0')
  return paths.length
}

/** True if a deletion of this path waits for a yes. */
export function heldPath(db: Database, path: Path): boolean {
  const { parent, name } = placeOf(path)
  return db.get('SELECT 1 FROM held WHERE parent = ? AND name = ? AND approved = 0', parent, name) !== undefined
}
