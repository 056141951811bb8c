import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Clock } from '../../platform/ports.ts'
import { openDatabase, transact, tryLock, tryShare, type Database } from '../../platform/sqlite.ts'
import { createPrivate, syncPath } from './files.ts'
import { damaged, explain } from './problems.ts'
import { finishRepair, isRepaired } from './swap.ts'
import { checkTrust } from './trust.ts'

/** `PRAGMA user_version` of the layout below; a higher one belongs to a newer program. */
const FORMAT = 1
/** `PRAGMA application_id`: "blob". */
const APPLICATION = 0x626c6f62
/** Pages in the WAL before they are moved into the database: 16 MiB. */
const CHECKPOINT_PAGES = 4096
/** Milliseconds between two tries to get by someone who is about to open the store, or to repair it. */
const PAUSE = 20
const TRIES = 50

/**
 * The objects of the database, exactly. Rows of buckets and packs stay for ever, without name or `used` once what they tell of is gone,
 * so their ids are never given again; all others are never changed. So of several rows found in a damaged file none is wrong.
 */
export const OBJECTS = [
  'CREATE TABLE buckets (id INTEGER PRIMARY KEY, name TEXT UNIQUE, sum INTEGER NOT NULL) STRICT',
  `CREATE TABLE log (bucket INTEGER NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY (bucket, position)) STRICT, WITHOUT ROWID`,
  'CREATE TABLE packs (id INTEGER PRIMARY KEY, used INTEGER, sum INTEGER NOT NULL) STRICT',
  `CREATE TABLE chunks (id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, hash BLOB NOT NULL, size INTEGER NOT NULL,
    pack INTEGER, place INTEGER, bytes BLOB) STRICT`,
  'CREATE UNIQUE INDEX chunk_by_hash ON chunks (bucket, hash)',
  'CREATE INDEX chunk_by_pack ON chunks (pack) WHERE pack IS NOT NULL',
] as const
const SCHEMA = `${OBJECTS.join(';')}; PRAGMA application_id = ${APPLICATION}; PRAGMA user_version = ${FORMAT}`

/** Where the parts of a store are. */
export interface StorePaths {
  readonly directory: string
  readonly database: string
  readonly packs: string
  readonly views: string
  /** A small file a bucket, see `heads.ts`. */
  readonly heads: string
}
/** The folders and the open database of a store. */
export interface StoreFile extends StorePaths {
  readonly db: Database
  /** Closes the database, and lets a repair begin. */
  close(): void
}

export interface OpenStoreOptions {
  readonly directory: string
  readonly clock: Clock
  /** Reads through the database first, or through its smaller tables where it is large. */
  readonly thorough?: boolean
}

export function storePaths(directory: string): StorePaths {
  return {
    directory,
    database: join(directory, 'store.db'),
    packs: join(directory, 'packs'),
    views: join(directory, 'views'),
    heads: join(directory, 'heads'),
  }
}

/** Held together by all who have the store open, and alone by who repairs it. */
export function storeLockPath(directory: string): string {
  return join(directory, 'store.lock')
}

/**
 * Opens the store in `directory`, making what is not there (folders 0700, files 0600). Throws `NotSupported`, `Corrupt` for a store
 * that cannot be trusted, `QuotaExceeded`, `Unavailable` while it is being repaired.
 */
export async function openStoreFile({ directory, clock, thorough = false }: OpenStoreOptions): Promise<StoreFile> {
  const paths = storePaths(directory)
  let db: Database | undefined
  let release: (() => void) | undefined
  try {
    for (const path of [directory, paths.packs, paths.views, paths.heads])
      mkdirSync(path, { recursive: true, mode: 0o700 })
    release = await share(directory, clock)
    checkPresent(paths)
    if (createPrivate(paths.database)) syncPath(directory)
    db = openDatabase(paths.database, { synchronous: 'full' })
    db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
    await prepare(db, clock, directory)
    await checkTrust(paths, db, clock, thorough)
  } catch (error) {
    db?.close()
    release?.()
    throw explain(error, directory)
  }
  const [opened, unlock] = [db, release]
  return {
    ...paths,
    db: opened,
    close: () => {
      opened.close()
      unlock()
    },
  }
}

/** Shares the store with others who use it; ends a repair that was cut short at its last step. */
async function share(directory: string, clock: Clock): Promise<() => void> {
  createPrivate(storeLockPath(directory))
  for (let tries = 0; tries < TRIES; tries++) {
    const release = tryShare(storeLockPath(directory))
    if (release !== null && !isRepaired(directory)) return release
    release?.()
    const alone = tryLock(storeLockPath(directory))
    if (alone !== null) {
      if (isRepaired(directory)) finishRepair(directory)
      alone()
    } else await clock.sleep(PAUSE)
  }
  throw new BlobsError('Unavailable', `the store in ${directory} is being repaired`, {
    hint: 'wait for blobs doctor --repair to end, then try again',
  })
}

/** Packs are made after the database: where they are alone, it was lost, and a new one would hide that. */
function checkPresent({ directory, packs, database }: StorePaths): void {
  const found = readdirSync(packs).find((name) => name.endsWith('.pack'))
  if (found === undefined || existsSync(database)) return
  throw damaged(directory, `store.db is missing, though there is packs/${found}`)
}

async function prepare(db: Database, clock: Clock, directory: string): Promise<void> {
  if (checkFormat(db, directory)) return
  await transact(db, clock, () => {
    if (!checkFormat(db, directory)) createTables(db)
  })
}

/** Makes the tables of a new database; belongs inside a transaction. */
export function createTables(db: Database): void {
  db.exec(SCHEMA)
}

/** False if the database is new. Throws `NotSupported` or `Corrupt` unless it is one of ours. */
export function checkFormat(db: Database, directory: string): boolean {
  const format = pragma(db, 'user_version')
  if (format > FORMAT) {
    throw new BlobsError('NotSupported', `the store in ${directory} has format ${format}; this blobs knows ${FORMAT}`, {
      hint: 'a newer blobs wrote it: use that version, or a later one',
    })
  }
  const tables = db.get<{ count: number }>('SELECT count(*) AS count FROM sqlite_schema')?.count ?? 0
  if (format === 0 && tables === 0) return false
  if (pragma(db, 'application_id') !== APPLICATION) {
    throw new BlobsError('Corrupt', `${directory}/store.db is not the database of a blobs store`, {
      hint: `give another directory, put the right store.db back, or look closer: blobs doctor --data ${directory}`,
    })
  }
  if (format === FORMAT && tables >= OBJECTS.length) return true
  throw damaged(directory, `its database has format ${format} and ${tables} tables and indexes`)
}

function pragma(db: Database, name: 'user_version' | 'application_id'): number {
  return db.get<Record<string, number>>(`PRAGMA ${name}`)?.[name] ?? 0
}
