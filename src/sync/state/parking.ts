import type { Database } from '../../platform/sqlite.ts'
import type { Path, Reason } from '../core/types.ts'
import { placeOf } from './encode.ts'

/** Why a path that differs needs nothing now: a reason to list, or `settled` (in sync all the same: the marker of a folder that is not empty). */
export type Parked = Reason | 'settled'

/** Takes paths out of the plan until something about them changes. Inside a transaction. */
export function park(db: Database, paths: readonly (readonly [Path, Parked])[]): void {
  for (const [path, why] of paths) {
    const { parent, name } = placeOf(path)
    db.run('UPDATE paths SET parked = ? WHERE parent = ? AND name = ?', why, parent, name)
  }
}

/** What is decided for a name depends on what is below it, so a change looks at the names above again. Inside a transaction. */
export function unparkAbove(db: Database, changed: readonly Path[]): void {
  if (changed.length === 0 || db.get('SELECT 1 FROM paths WHERE parked IS NOT NULL LIMIT 1') === undefined) return
  const above = new Set<Path>()
  for (const path of changed) {
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const folder = path.slice(0, slash)
      if (above.has(folder)) break
      above.add(folder)
    }
  }
  for (const folder of above) {
    unpark(db, folder)
    unpark(db, `${folder}/`)
  }
  db.run(`UPDATE paths SET parked = NULL WHERE parked IS NOT NULL AND parked = 'name-clash'`)
}

export function unparkAll(db: Database): void {
  db.run('UPDATE paths SET parked = NULL WHERE parked IS NOT NULL')
}

function unpark(db: Database, path: Path): void {
  const { parent, name } = placeOf(path)
  db.run('UPDATE paths SET parked = NULL WHERE parent = ? AND name = ? AND parked IS NOT NULL', parent, name)
}

/** Paths that are left alone with a reason, by path, up to a limit. */
export function parkedPaths(db: Database, limit: number): { readonly path: Path; readonly reason: Reason }[] {
  return db
    .all<{ parent: string; name: string; parked: string }>(
      `SELECT parent, name, parked FROM paths WHERE parked IS NOT NULL AND parked <> 'settled' ORDER BY parent, name LIMIT ${limit}`,
    )
    .map((row) => ({ path: row.parent + row.name, reason: row.parked as Reason }))
}
