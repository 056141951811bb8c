import { inTransaction, sqliteProblem, type Database } from '../../platform/sqlite.ts'

/** Raised with every change of the tables below; `migrate` brings older files up. */
const SCHEMA = 3

/**
 * One row a path: what base (b), disk (l) and bucket (r) hold. Kinds are `f` file, `d` empty folder, `u` unknown (disk), `x` deleted
 * (bucket), NULL nothing; h: whether the disk's bytes were found among the older versions of the bucket. `ignored`: the rules leave the
 * path alone, only what the bucket said of it is kept. `parked`: decided, nothing to do as long as nothing changes: a reason, or
 * 'settled'. A path is `parent` + `name`; an empty folder `a/b/` is parent `a/b/` and name ''. So one B-tree gives a path, the
 * children of a folder, and everything below it. A row in which all three agree is in no second index: a quiet tree costs nothing.
 */
const TABLES = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE paths (
  parent TEXT NOT NULL, name TEXT NOT NULL,
  b_kind TEXT, b_hash BLOB, b_size INTEGER, b_exec INTEGER, b_version INTEGER,
  l_kind TEXT, l_hash BLOB, l_size INTEGER, l_exec INTEGER, l_reason TEXT, l_identity TEXT, l_mtime TEXT,
  r_kind TEXT, r_hash BLOB, r_size INTEGER, r_exec INTEGER, r_version INTEGER, r_entry TEXT, r_mtime TEXT, r_extra TEXT,
  h_local BLOB, h_version INTEGER, h_old INTEGER,
  ignored INTEGER NOT NULL DEFAULT 0,
  parked TEXT,
  differs INTEGER GENERATED ALWAYS AS (ignored = 0 AND parked IS NULL AND NOT (
    b_kind IS l_kind AND b_hash IS l_hash AND b_exec IS l_exec AND
    b_kind IS r_kind AND b_hash IS r_hash AND b_exec IS r_exec AND b_version IS r_version)) VIRTUAL,
  PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE INDEX differing ON paths (parent, name) WHERE differs;
CREATE INDEX parked ON paths (parent, name) WHERE parked IS NOT NULL;
CREATE INDEX siblings ON paths (parent, name) WHERE name GLOB '*.conflict-[0-9]*';
CREATE INDEX bytes_on_disk ON paths (substr(l_hash, 1, 8)) WHERE l_kind = 'f' AND l_size > 0;
CREATE TABLE incoming (
  parent TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, hash BLOB NOT NULL, size INTEGER NOT NULL, exec INTEGER NOT NULL,
  version INTEGER NOT NULL, entry TEXT NOT NULL, mtime TEXT, extra TEXT, h_local BLOB, h_old INTEGER, ignored INTEGER NOT NULL,
  PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE TABLE intents (
  parent TEXT NOT NULL, name TEXT NOT NULL, entry TEXT NOT NULL, wanted TEXT NOT NULL,
  kind TEXT, hash BLOB, size INTEGER, exec INTEGER,
  PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE TABLE held (
  parent TEXT NOT NULL, name TEXT NOT NULL, side TEXT NOT NULL, loss TEXT NOT NULL, approved INTEGER NOT NULL, PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE TABLE failures (
  parent TEXT NOT NULL, name TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, PRIMARY KEY (parent, name)
) WITHOUT ROWID;
`
/** Since 2: downloads that are about to get their names. */
const PLACING = `
CREATE TABLE placing (
  parent TEXT NOT NULL, name TEXT NOT NULL, op TEXT NOT NULL,
  kind TEXT NOT NULL, hash BLOB NOT NULL, size INTEGER NOT NULL, exec INTEGER NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (parent, name)
) WITHOUT ROWID;
`

/** Since 3: writes that the bucket took and that were not yet read in its history. */
const UNREAD = `CREATE TABLE unread (entry TEXT PRIMARY KEY) WITHOUT ROWID;`

/** `newer`: written by a later version of this program. `unreadable`: not a database, or a damaged one. */
export type SchemaProblem = 'newer' | 'unreadable'

/** Makes the tables in an empty file, or brings an older one up, in one transaction. Null when all is well. */
export function migrate(db: Database): SchemaProblem | null {
  try {
    const found = db.get<{ user_version: number }>('PRAGMA user_version')?.user_version ?? 0
    if (found > SCHEMA) return 'newer'
    if (found === SCHEMA) {
      db.all('SELECT * FROM paths LIMIT 1')
      return null
    }
    inTransaction(db, () => {
      if (found < 1) db.exec(TABLES)
      if (found < 2) db.exec(PLACING)
      db.exec(UNREAD)
      db.exec(`PRAGMA user_version = ${SCHEMA}`)
    })
    return null
  } catch (error) {
    if (sqliteProblem(error) === 'corrupt' || sqliteProblem(error) === 'other') return 'unreadable'
    throw error
  }
}
