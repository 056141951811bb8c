import { join } from 'node:path'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Clock } from '../../platform/ports.ts'
import { transact, type Database } from '../../platform/sqlite.ts'
import { systemStoreDisk, type StoreDisk } from '../../platform/store-disk.ts'
import { damaged, explain } from './problems.ts'
import { headProblem, readHeads } from './heads.ts'
import { keepAll } from './ages.ts'
import { shareStore } from './lock.ts'
import { packOfName } from './pack-format.ts'
import { checkTrust } from './trust.ts'

/** `PRAGMA user_version` of the layout below; a higher one belongs to a newer program. */
const FORMAT = 2
/** `PRAGMA application_id`: "blob". */
const APPLICATION = 0x626c6f62
/** Pages in the WAL before they are moved into the database: 16 MiB. */
const CHECKPOINT_PAGES = 4096

/**
 * The objects of the database, exactly. Rows of buckets and packs stay for ever, without name or `used` once what they tell of is gone,
 * so their ids are never given again; all others are never changed. So of several rows found in a damaged file none is wrong.
 */
const OBJECTS = [
  'CREATE TABLE buckets (id INTEGER PRIMARY KEY, name TEXT UNIQUE, sum INTEGER NOT NULL) STRICT',
  `CREATE TABLE log (bucket INTEGER NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY (bucket, position)) STRICT, WITHOUT ROWID`,
  'CREATE TABLE packs (id INTEGER PRIMARY KEY, used INTEGER, sum INTEGER NOT NULL) STRICT',
  `CREATE TABLE chunks (id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, hash BLOB NOT NULL, size INTEGER NOT NULL,
    pack INTEGER, place INTEGER, bytes BLOB) STRICT`,
  'CREATE UNIQUE INDEX chunk_by_hash ON chunks (bucket, hash)',
  'CREATE INDEX chunk_by_pack ON chunks (pack) WHERE pack IS NOT NULL',
] as const
/** What came with format 2. */
const AGES = 'CREATE TABLE ages (chunk INTEGER PRIMARY KEY, time INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT'
const SCHEMA = `${OBJECTS.join(';')}; ${AGES}; PRAGMA application_id = ${APPLICATION}; PRAGMA user_version = ${FORMAT}`

/** Where the parts of a store are. */
export interface StorePaths {
  readonly disk: StoreDisk
  readonly directory: string
  readonly database: string
  /** What SQLite has not yet moved into the database. */
  readonly wal: string
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
  /**
   * What is looked at first: `thorough` reads through the database (through its vital tables where it is large), `quick` compares the
   * sizes of the packs with the index. Default: quick.
   */
  readonly trust?: 'thorough' | 'quick'
  /** This machine's unless given. */
  readonly disk?: StoreDisk
}

export function storePaths(directory: string, disk: StoreDisk = systemStoreDisk): StorePaths {
  return {
    disk,
    directory,
    database: join(directory, 'store.db'),
    wal: join(directory, 'store.db-wal'),
    packs: join(directory, 'packs'),
    views: join(directory, 'views'),
    heads: join(directory, 'heads'),
  }
}

/**
 * Opens the store in `directory`, making what is not there (folders 0700, files 0600). Throws `NotSupported`, `Corrupt` for a store
 * that cannot be trusted, `QuotaExceeded`, `Unavailable` while it is being repaired.
 */
export async function openStoreFile(options: OpenStoreOptions): Promise<StoreFile> {
  const { directory, clock, trust = 'quick', disk = systemStoreDisk } = options
  const paths = storePaths(directory, disk)
  let db: Database | undefined
  let release: (() => void) | undefined
  try {
    for (const path of [directory, paths.packs, paths.views, paths.heads]) disk.makeFolder(path)
    release = await shareStore(paths, clock, () => checkRecovery(paths))
    checkPresent(paths)
    disk.create(paths.database)
    db = disk.openDatabase(paths.database, { synchronous: 'full' })
    db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
    await prepare(db, clock, paths)
    await checkTrust(paths, db, clock, trust === 'thorough')
  } catch (error) {
    db?.close()
    release?.()
    throw explain(error, directory)
  }
  return opened(paths, db, release)
}

/** Opens the store to be looked at, however damaged it is; nothing in it is changed. Throws as `openStoreFile`. */
export async function readStoreFile({ directory, clock }: Omit<OpenStoreOptions, 'trust'>): Promise<StoreFile> {
  const paths = storePaths(directory)
  let db: Database | undefined
  let release: (() => void) | undefined
  try {
    release = await shareStore(paths, clock)
    checkPresent(paths)
    db = paths.disk.readDatabase(paths.database)
    if (!checkFormat(db, directory)) throw damaged(directory, 'its database store.db is empty')
  } catch (error) {
    db?.close()
    release?.()
    throw explain(error, directory)
  }
  return opened(paths, db, release)
}

function opened(paths: StorePaths, db: Database, unlock: () => void): StoreFile {
  return {
    ...paths,
    db,
    close: () => {
      db.close()
      unlock()
    },
  }
}

/** Packs and heads are made after the database: where they are alone, it was lost, and a new one would hide that. */
function checkPresent(paths: StorePaths): void {
  const { disk, directory, packs, heads, database, wal } = paths
  if ((disk.size(database) ?? 0) > 0 || (disk.size(wal) ?? 0) > 0) return
  const namesIn = (folder: string): string[] => (disk.size(folder) === null ? [] : disk.names(folder))
  const pack = namesIn(packs).find((name) => packOfName(name) !== null)
  const [head] = namesIn(heads)
  if (pack === undefined && head === undefined) return
  throw damaged(
    directory,
    `store.db is missing or empty, though there is ${pack !== undefined ? `packs/${pack}` : `heads/${head}`}`,
  )
}

/**
 * For the first one to open the store after another died. SQLite takes a WAL that is damaged for one that ends where the damage is, and
 * deletes it when it is closed. So what was acknowledged is looked for before that: if something is missing the WAL stays, for a repair.
 */
async function checkRecovery(paths: StorePaths): Promise<void> {
  const { disk, database, wal } = paths
  if ((disk.size(wal) ?? 0) === 0 || disk.size(database) === null) return
  const db = disk.readDatabase(database)
  try {
    const heads = disk.size(paths.heads) === null ? [] : readHeads(paths)
    const tables = checkFormat(db, paths.directory)
    if (!tables && heads.length > 0) throw damaged(paths.directory, 'its database store.db lost all that was in it')
    for (const { bucket, head } of tables ? heads : []) {
      const problem = headProblem(db, bucket, head)
      if (problem !== null) throw damaged(paths.directory, problem)
    }
  } finally {
    db.close()
  }
}

async function prepare(db: Database, clock: Clock, { disk, directory }: StorePaths): Promise<void> {
  if (checkFormat(db, directory)) {
    if (formatOf(db) < FORMAT) await transact(db, clock, () => raiseFormat(db, clock.now()))
    return
  }
  // Before anything is in it, whoever made the file: he may have died before he came to it.
  disk.sync(directory)
  await transact(db, clock, () => {
    if (!checkFormat(db, directory)) createTables(db)
  })
}

/** Makes the tables of a new database, of the newest format unless said; belongs inside a transaction. */
export function createTables(db: Database, format: number = FORMAT): void {
  db.exec(SCHEMA)
  if (format < FORMAT) db.exec(`DROP TABLE ages; PRAGMA user_version = ${format}`)
}

/** What is there counts as put now. */
function raiseFormat(db: Database, now: number): void {
  if (formatOf(db) >= FORMAT) return
  db.exec(`${AGES}; PRAGMA user_version = ${FORMAT}`)
  keepAll(db, now)
}

export function formatOf(db: Database): number {
  return pragma(db, 'user_version')
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
  if (format >= 1 && hasObjects(db, format)) return true
  throw damaged(directory, `its database has format ${format} and not the tables and indexes of it`)
}

/** SQLite keeps their text as it was given. One other letter in it may be another column, whatever the rows are. */
function hasObjects(db: Database, format: number): boolean {
  const rows = db.all<{ sql: unknown }>('SELECT sql FROM sqlite_schema')
  const found = new Set(rows.map(({ sql }) => (typeof sql === 'string' ? inOneLine(sql) : null)))
  return [...OBJECTS, ...(format < 2 ? [] : [AGES])].every((sql) => found.has(inOneLine(sql)))
}

function inOneLine(sql: string): string {
  return sql.replaceAll(/\s+/g, ' ')
}

function pragma(db: Database, name: 'user_version' | 'application_id'): number {
  return db.get<Record<string, number>>(`PRAGMA ${name}`)?.[name] ?? 0
}
