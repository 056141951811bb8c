import type { Database } from '../../platform/sqlite.ts'

/** Raise it with any change here or in what `apply` does: a view of another format is made anew from the log. */
const FORMAT = 3

// `serial` grows in the order of the log, without gaps: the versions that an entry made are `first … first + made - 1`. A key's `number`
// is the serial of its first version. A version whose bytes were dropped has depth -1 and no refs. The last three tables are empty but for a view that was started from a checkpoint, and is not
// complete yet: see gaps.ts.
const TABLES = `
  CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1), generation TEXT NOT NULL, epoch TEXT NOT NULL, position INTEGER NOT NULL,
    entry TEXT NOT NULL, created TEXT NOT NULL, options TEXT NOT NULL, blobs INTEGER NOT NULL, bytes INTEGER NOT NULL,
    serial INTEGER NOT NULL, floor INTEGER NOT NULL, root TEXT NOT NULL, dropped INTEGER NOT NULL);
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
  CREATE UNIQUE INDEX versions_by_key ON versions (number, version);
  CREATE TABLE gaps (
    tree TEXT NOT NULL, low BLOB NOT NULL, high BLOB NOT NULL, hash TEXT NOT NULL, level INTEGER NOT NULL,
    PRIMARY KEY (tree, low)) WITHOUT ROWID;
  CREATE UNIQUE INDEX gaps_by_high ON gaps (tree, high);
  CREATE TABLE told_ids (id TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (id, position)) WITHOUT ROWID;
  CREATE TABLE told_serials (serial INTEGER PRIMARY KEY, key TEXT NOT NULL, version INTEGER NOT NULL);`

/** What `entries.outcome` holds. */
export const APPLIED = 0
export const VOID = 1
/** Has the id of an entry before it, whose outcome is the one that counts. */
export const REPEATED = 2

/** What `versions.depth` holds of a version whose bytes were dropped. */
export const DROPPED = -1

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
  /** What the next version gets. */
  readonly serial: number
  /** The history behind this position is not followed any more; 0: all is. */
  readonly floor: number
  /** Of the checkpoint whose pages are not all there yet; '' for a complete view. */
  readonly root: string
  /** Versions whose bytes were dropped. */
  readonly dropped: number
}

export function readState(db: Database): State {
  const state = db.get<State>(
    `SELECT generation, epoch, position, entry, created, options, blobs, bytes, serial, floor, root, dropped FROM state`,
  )
  if (state === undefined) throw new Error('the view has no state row')
  return state
}

/** True if the tables are there, in this program's format. */
export function isCurrent(db: Database): boolean {
  return db.get<{ user_version: number }>('PRAGMA user_version')?.user_version === FORMAT
}

/** Empties the view, or makes its tables; belongs inside a transaction. */
export function reset(db: Database, generation: string): void {
  const kept = ['state', 'entries', 'keys', 'versions', 'gaps', 'told_ids', 'told_serials']
  for (const table of kept) db.exec(`DROP TABLE IF EXISTS ${table}`)
  db.exec(TABLES)
  db.run(`INSERT INTO state VALUES (1, ?, '', 0, '', '', '{}', 0, 0, 1, 0, '', 0)`, generation)
  db.exec(`PRAGMA user_version = ${FORMAT}`)
}
