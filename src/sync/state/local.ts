import type { Database } from '../../platform/sqlite.ts'
import type { Base, Path } from '../core/types.ts'
import type { Observation } from '../disk/observed.ts'
import { contentValues, placeOf } from './encode.ts'
import { write } from './open.ts'
import { unparkAbove } from './parking.ts'

const NOTHING: ReadonlyMap<Path, Base> = new Map()
const SET_LOCAL = `INSERT INTO paths (parent, name, l_kind, l_hash, l_size, l_exec, l_reason, l_identity, l_mtime) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET l_kind = excluded.l_kind, l_hash = excluded.l_hash, l_size = excluded.l_size, l_exec = excluded.l_exec,
l_reason = excluded.l_reason, l_identity = excluded.l_identity, l_mtime = excluded.l_mtime, ignored = 0, parked = NULL`
const SET_AGREED = `INSERT INTO paths (parent, name, l_kind, l_hash, l_size, l_exec, l_identity, l_mtime, b_kind, b_hash, b_size, b_exec, b_version)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO UPDATE SET l_kind = ?3, l_hash = ?4, l_size = ?5, l_exec = ?6,
l_reason = NULL, l_identity = ?7, l_mtime = ?8, b_kind = ?9, b_hash = ?10, b_size = ?11, b_exec = ?12, b_version = ?13, ignored = 0, parked = NULL`
const NO_LOCAL = `UPDATE paths SET l_kind = NULL, l_hash = NULL, l_size = NULL, l_exec = NULL, l_reason = NULL, l_identity = NULL, l_mtime = NULL,
parked = NULL WHERE parent = ? AND name = ?`
const NO_BASE =
  'UPDATE paths SET b_kind = NULL, b_hash = NULL, b_size = NULL, b_exec = NULL, b_version = NULL WHERE parent = ? AND name = ?'
/** A path of which nothing is left but a tombstone that nobody follows any more. */
export const SWEEP = `DELETE FROM paths WHERE parent = ? AND name = ? AND b_kind IS NULL AND l_kind IS NULL AND (r_kind IS NULL OR r_kind = 'x')`

/**
 * Writes down what the disk was seen to hold, and of files what both sides agreed on with it, where that is given. Inside a transaction.
 */
export function applyObservations(
  db: Database,
  observations: readonly Observation[],
  agreed: ReadonlyMap<Path, Base> = NOTHING,
): void {
  const changed: Path[] = []
  for (const { path, node } of observations) {
    const { parent, name } = placeOf(path)
    changed.push(path)
    switch (node.kind) {
      case 'file': {
        const base = agreed.get(path)
        if (base !== undefined) {
          const local = [...contentValues(node), node.identity, String(node.mtimeNs)]
          db.run(SET_AGREED, parent, name, ...local, ...contentValues(base), base.version)
          break
        }
        db.run(SET_LOCAL, parent, name, ...contentValues(node), null, node.identity, String(node.mtimeNs))
        break
      }
      case 'folder':
        db.run(SET_LOCAL, parent, name, ...contentValues(node), null, null, null)
        break
      case 'unknown':
        db.run(SET_LOCAL, parent, name, 'u', null, null, null, node.reason, null, null)
        break
      case 'absent':
        db.run(NO_LOCAL, parent, name)
        db.run(SWEEP, parent, name)
        break
      case 'ignored':
        ignorePath(db, path)
        break
    }
  }
  unparkAbove(db, changed)
}

/** Forgets what both sides agreed on and what is on disk; what the bucket said stays, for the day the rules change back. */
function ignorePath(db: Database, path: Path): void {
  const { parent, name } = placeOf(path)
  db.run(NO_LOCAL, parent, name)
  db.run(NO_BASE, parent, name)
  db.run('UPDATE paths SET ignored = 1 WHERE parent = ? AND name = ?', parent, name)
  db.run(SWEEP, parent, name)
}

/**
 * Goes through all paths with new rules: those that are ignored now are forgotten, those that no longer are come back as if they
 * were seen for the first time. In steps of one transaction each; repeating it changes nothing.
 */
export function applyRules(db: Database, ignores: (path: Path) => boolean, window = 20_000): void {
  let [parent, name] = ['', '']
  for (;;) {
    const rows = db.all<{ parent: string; name: string; ignored: number }>(
      `SELECT parent, name, ignored FROM paths WHERE (parent, name) > (?, ?) ORDER BY parent, name LIMIT ${window}`,
      parent,
      name,
    )
    const last = rows.at(-1)
    if (last === undefined) return
    write(db, () => {
      for (const row of rows) {
        const path = row.parent + row.name
        const ignored = ignores(path)
        if (ignored === (row.ignored === 1)) continue
        if (ignored) ignorePath(db, path)
        else db.run('UPDATE paths SET ignored = 0, parked = NULL WHERE parent = ? AND name = ?', row.parent, row.name)
      }
    })
    ;[parent, name] = [last.parent, last.name]
  }
}
