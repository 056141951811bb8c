import { openDatabase, type Database } from '../../platform/sqlite.ts'
import type { Position } from '../ports.ts'
import { isCurrent, readState } from './schema.ts'

const TABLES = ['state', 'entries', 'keys', 'versions']
/** Differ whenever a view is made anew, or was started from another checkpoint. */
const OWN = new Set(['generation', 'floor', 'root'])

/** A view held still, to be compared with another one of the same entries. */
export interface Comparison {
  /** Last entry that the held view has read; the other must have read up to it and no further. */
  readonly position: Position
  readonly entry: string
  /** What differs, as a person may read it; null if both say the same. Reads both to their end. */
  difference(): string | null
  close(): void
}

/** Holds the view in the file `kept`; null if it is of another format, or has read nothing. Throws SQLite's errors for a damaged one. */
export function openComparison(kept: string, other: string): Comparison | null {
  const db = openDatabase(kept, { synchronous: 'normal' })
  try {
    if (!isCurrent(db)) return closed(db)
    db.run('ATTACH ? AS other', other)
    db.exec('BEGIN')
    const { position, entry } = readState(db)
    if (position === 0) return closed(db)
    return { position, entry, difference: () => difference(db), close: () => db.close() }
  } catch (error) {
    db.close()
    throw error
  }
}

function closed(db: Database): null {
  db.close()
  return null
}

function difference(db: Database): string | null {
  const fault = db.get<{ integrity_check: string }>('PRAGMA main.integrity_check(1)')?.integrity_check
  if (fault !== 'ok') return `its file is damaged: ${fault ?? 'no answer'}`
  const lacking = readState(db).root !== ''
  for (const table of TABLES) {
    // Of a key that was read in part only, the newest version may not be known yet.
    if (lacking && table === 'keys') continue
    const columns = db
      .all<{ name: string; pk: number }>(`SELECT name, pk FROM pragma_table_info('${table}')`)
      .filter(({ name }) => !OWN.has(name))
    const key = columns.find(({ pk }) => pk === 1)?.name ?? 'rowid'
    const values = (side: string): string => `(${columns.map(({ name }) => `${side}.${name}`).join(', ')})`
    const counts = `(SELECT count(*) FROM main.${table}) <> (SELECT count(*) FROM other.${table})`
    const rows = `SELECT 1 FROM main.${table} a LEFT JOIN other.${table} b ON b.${key} = a.${key} WHERE ${values('a')} IS NOT ${values('b')}`
    const found = db.get<{ differs: number }>(`SELECT ${lacking ? '0' : counts} OR EXISTS (${rows}) AS differs`)
    if (found?.differs !== 0) return `its ${table} differ`
  }
  return null
}
