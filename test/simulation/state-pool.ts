import { openDatabase, type Database } from '../../src/platform/sqlite.ts'
import { migrate } from '../../src/sync/state/schema.ts'

/** The trees that a device saves. They outlive its processes: what was committed is what a killed one leaves behind. */
export interface SavedState {
  readonly db: Database
  /** The process died: what it had not committed did not happen. */
  cut(): void
  /** Everything is lost. */
  lose(): void
  /** Gives it back, for another world. */
  release(): void
}

// A database and its prepared statements cost more than most syncs: those of worlds that have ended are used again, emptied.
const free: Database[] = []

export function takeState(): SavedState {
  const db = free.pop() ?? made()
  const cut = (): void => {
    if (db.inTransaction()) db.exec('ROLLBACK')
  }
  const lose = (): void => {
    cut()
    for (const { name } of tables(db)) db.run(`DELETE FROM ${name}`)
  }
  return {
    db,
    cut,
    lose,
    release: () => {
      lose()
      free.push(db)
    },
  }
}

function made(): Database {
  const db = openDatabase(':memory:', { synchronous: 'full' })
  if (migrate(db) !== null) throw new Error('a new database has no tables')
  return db
}

function tables(db: Database): { readonly name: string }[] {
  return db.all<{ name: string }>(`SELECT name FROM sqlite_schema WHERE type = 'table'`)
}
