import type { Database } from '../../platform/sqlite.ts'

/** Raise it with any change here or in what `apply` does: a view of another format is made anew from the log. */
const FORMAT = 1

// `serial` grows in the order of the log, without gaps: the versions that an entry made are `first … first + made - 1`.
const TABLES = `
  CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1), generation TEXT NOT NULL, epoch TEXT NOT NULL, position INTEGER NOT NULL,
    entry TEXT NOT NULL, created TEXT NOT NULL, options TEXT NOT NULL, blobs INTEGER NOT NULL, bytes INTEGER NOT NULL);
  CREATE TABLE entries (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL, outcome INTEGER NOT NULL, time INTEGER NOT NULL, author TEXT NOT NULL,
    device TEXT NOT NULL, operation TEXT, first INTEGER NOT NULL, made INTEGER NOT NULL, conflicts TEXT);
  CREATE INDEX entries_by_id ON entries (id);
  CREATE TABLE keys (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, head INTEGER NOT NULL, deleted INTEGER NOT NULL);
  CREATE INDEX live_keys ON keys (key) WHERE deleted = 0;
  CREATE TABLE versions (
    serial INTEGER PRIMARY KEY, number INTEGER NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL,
    time INTEGER NOT NULL, deleted INTEGER NOT NULL, size INTEGER NOT NULL, hash TEXT NOT NULL, type TEXT NOT NULL,
    meta TEXT NOT NULL, depth INTEGER NOT NULL, refs BLOB NOT NULL);
  CREATE UNIQUE INDEX versions_by_key ON versions (number, version);`

/** What `entries.outcome` holds. */
export const APPLIED = 0
export const VOID = 1
/** Has the id of an entry before it, whose outcome is the one that counts. */
export const REPEATED = 2

export interface State {
  /** Random, new whenever the view is made anew: serials of another generation mean nothing. */
  readonly generation: string
  /** '' while the log's first entry was not read. */
  readonly epoch: string
  readonly position: number
  readonly entry: string
  readonly created: string
  readonly options: string
  readonly blobs: number
  readonly bytes: number
}

export function readState(db: Database): State {
  const state = db.get<State>(`SELECT generation, epoch, position, entry, created, options, blobs, bytes FROM state`)
  if (state === undefined) throw new Error('the view has no state row')
  return state
}

/** True if the tables are there, in this program's format. */
export function isCurrent(db: Database): boolean {
  return db.get<{ user_version: number }>('PRAGMA user_version')?.user_version === FORMAT
}

/** Empties the view, or makes its tables; belongs inside a transaction. */
export function reset(db: Database, generation: string): void {
  const kept = ['state', 'entries', 'keys', 'versions']
  for (const table of kept) db.exec(`DROP TABLE IF EXISTS ${table}`)
  db.exec(TABLES)
  db.run(`INSERT INTO state VALUES (1, ?, '', 0, '', '', '{}', 0, 0)`, generation)
  db.exec(`PRAGMA user_version = ${FORMAT}`)
}
