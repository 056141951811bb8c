import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Clock } from '../../platform/ports.ts'
import { openDatabase, transact, type Database } from '../../platform/sqlite.ts'
import { explain } from './problems.ts'

/** `PRAGMA user_version` of the layout below; a higher one belongs to a newer program. */
const FORMAT = 1
/** `PRAGMA application_id`: "blob". */
const APPLICATION = 0x626c6f62
/** Pages in the WAL before they are moved into the database: 16 MiB. */
const CHECKPOINT_PAGES = 4096

// A removed bucket keeps its row, without its name, until its rows elsewhere are gone: its id is never given again.
const SCHEMA = `
  CREATE TABLE buckets (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE) STRICT;
  CREATE TABLE log (
    bucket INTEGER NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (bucket, position)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE packs (id INTEGER PRIMARY KEY AUTOINCREMENT, used INTEGER NOT NULL) STRICT;
  CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, hash BLOB NOT NULL, size INTEGER NOT NULL,
    pack INTEGER, place INTEGER, bytes BLOB
  ) STRICT;
  CREATE UNIQUE INDEX chunk_by_hash ON chunks (bucket, hash);
  CREATE INDEX chunk_by_pack ON chunks (pack) WHERE pack IS NOT NULL;
  PRAGMA application_id = ${APPLICATION};
  PRAGMA user_version = ${FORMAT};
`

/** The folders and the open database of a store. */
export interface StoreFile {
  readonly directory: string
  readonly database: string
  readonly packs: string
  readonly views: string
  readonly db: Database
}

/** Opens the store in `directory`, making what is not there (folders 0700, files 0600). Throws `NotSupported`, `Corrupt`, `QuotaExceeded`. */
export async function openStoreFile(directory: string, clock: Clock): Promise<StoreFile> {
  const paths = {
    directory,
    database: join(directory, 'store.db'),
    packs: join(directory, 'packs'),
    views: join(directory, 'views'),
  }
  let db: Database | undefined
  try {
    for (const path of [directory, paths.packs, paths.views]) mkdirSync(path, { recursive: true, mode: 0o700 })
    if (createPrivate(paths.database)) syncFolder(directory)
    db = openDatabase(paths.database, { synchronous: 'full' })
    db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
    await prepare(db, clock, directory)
    return { ...paths, db }
  } catch (error) {
    db?.close()
    throw explain(error, directory)
  }
}

async function prepare(db: Database, clock: Clock, directory: string): Promise<void> {
  if (checkFormat(db, directory)) return
  await transact(db, clock, () => {
    if (!checkFormat(db, directory)) db.exec(SCHEMA)
  })
}

/** False if the database is new. */
function checkFormat(db: Database, directory: string): boolean {
  const format = pragma(db, 'user_version')
  if (format > FORMAT) {
    throw new BlobsError('NotSupported', `the store in ${directory} has format ${format}; this blobs knows ${FORMAT}`, {
      hint: 'a newer blobs wrote it: use that version, or a later one',
    })
  }
  const tables = db.get<{ count: number }>('SELECT count(*) AS count FROM sqlite_schema')?.count ?? 0
  if (format === 0 && tables === 0) return false
  if (pragma(db, 'application_id') === APPLICATION) return true
  throw new BlobsError('Corrupt', `${directory}/store.db is not the database of a blobs store`, {
    hint: 'give another directory, or put the right store.db back',
  })
}

function pragma(db: Database, name: 'user_version' | 'application_id'): number {
  return db.get<Record<string, number>>(`PRAGMA ${name}`)?.[name] ?? 0
}

/**
 * Makes an empty file that only its owner may read; false if it is there. It never opens one that is there: closing it again
 * would drop the locks that SQLite holds on it in this process.
 */
export function createPrivate(path: string): boolean {
  try {
    closeSync(openSync(path, 'wx', 0o600))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** Makes the names in a folder durable. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
