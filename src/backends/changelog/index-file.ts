import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { isHash, sha256 } from '../../content/hash.ts'
import { makePrivate } from '../../platform/directories.ts'
import type { Clock } from '../../platform/ports.ts'
import { type Database, openDatabase, sqliteProblem, transact } from '../../platform/sqlite.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import type { RawEntry } from '../../store/ports.ts'
import { openShelf, type Shelf } from './shelf.ts'
import { decodeValue, readKey } from './records.ts'
import type { Row } from './wire.ts'

const FORMAT = 1
const TABLES = `
  CREATE TABLE IF NOT EXISTS last (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER, key TEXT, size INTEGER);
  INSERT OR IGNORE INTO last VALUES (1, 0, '', 0);
  CREATE TABLE IF NOT EXISTS buckets (id TEXT PRIMARY KEY, name TEXT, remover TEXT) WITHOUT ROWID;
  CREATE UNIQUE INDEX IF NOT EXISTS current ON buckets (name) WHERE remover IS NULL;
  CREATE TABLE IF NOT EXISTS frames (bucket TEXT, position INTEGER, behind INTEGER, key TEXT UNIQUE, value TEXT,
    PRIMARY KEY (bucket, position)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS pieces (bucket TEXT, hash TEXT, part INTEGER, parts INTEGER, record INTEGER, key TEXT,
    PRIMARY KEY (bucket, hash, part)) WITHOUT ROWID;
  PRAGMA user_version = ${FORMAT}`

/** The last record that was read. */
export interface Last {
  readonly id: number
  readonly key: string
  /** Bytes of its value. */
  readonly size: number
}
/** Entries of a log that came together. */
export interface FrameRow {
  readonly position: number
  /** Position behind its last entry. */
  readonly behind: number
  readonly key: string
  readonly value: string
}
/** Where a chunk, or a part of it, is. */
export interface Piece {
  readonly hash: string
  readonly part: number
  readonly parts: number
  /** Id and key of the record that holds it. */
  readonly record: number
  readonly key: string
}

/** What the records of a server amount to, in a file that may be deleted at any time. Any number of processes may use it at once. */
export interface Index {
  readonly db: Database
  /** Chunks that came by. */
  readonly shelf: Shelf
  last(): Last
  /** Takes records in, in their order; those that it has are passed over. */
  add(rows: readonly Row[]): Promise<void>
  /** Forgets everything, if `last` is still the last one. */
  reset(last: Last): Promise<void>
  close(): void
}

/** Throws errors of the disk. */
export function openIndex(directory: string, clock: Clock): Index {
  makePrivate(directory)
  const db = openFile(join(directory, 'index.db'))
  const last = (): Last => db.get<Last>('SELECT id, key, size FROM last') ?? { id: 0, key: '', size: 0 }
  const shelf = openShelf()
  return {
    db,
    shelf,
    last,
    add: (rows) =>
      transact(db, clock, () => {
        const { id } = last()
        const fresh = rows.filter((row) => row.id > id)
        for (const row of fresh) if (row.isAdd) take(db, shelf, row)
        const newest = fresh.at(-1)
        if (newest === undefined) return
        db.run('UPDATE last SET id = ?, key = ?, size = ?', newest.id, newest.key, newest.value.length)
      }),
    reset: (seen) =>
      transact(db, clock, () => {
        const { id, key } = last()
        if (id !== seen.id || key !== seen.key) return
        db.exec(
          `DELETE FROM buckets; DELETE FROM frames; DELETE FROM pieces; UPDATE last SET id = 0, key = '', size = 0`,
        )
      }),
    close: () => db.close(),
  }
}

/** One that is damaged, or of another format, is made anew in its place. */
function openFile(path: string): Database {
  try {
    return openTables(path)
  } catch (error) {
    if (sqliteProblem(error) !== 'corrupt' && !(error instanceof OtherFormat)) throw error
  }
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  return openTables(path)
}

class OtherFormat extends Error {}

function openTables(path: string): Database {
  const db = openDatabase(path, { synchronous: 'normal' })
  try {
    const format = db.get<{ user_version: number }>('PRAGMA user_version')?.user_version
    if (format !== 0 && format !== FORMAT) throw new OtherFormat()
    db.exec(TABLES)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** What a record changes. Every reader takes the same records in the same order, so all come to the same. */
function take(db: Database, shelf: Shelf, { id: record, key, value }: Row): void {
  const known = readKey(key)
  if (known === null) return
  const { id, kind } = known
  if (kind === 'make') {
    db.run('INSERT OR IGNORE INTO buckets VALUES (?, ?, NULL)', id, known.name)
    return
  }
  const bucket = db.get<{ name: string }>('SELECT name FROM buckets WHERE id = ? AND remover IS NULL', id)
  if (bucket === undefined) return
  if (kind === 'remove') {
    if (known.name !== bucket.name) return
    db.run('UPDATE buckets SET remover = ? WHERE id = ?', key, id)
    db.run('DELETE FROM frames WHERE bucket = ?', id)
    db.run('DELETE FROM pieces WHERE bucket = ?', id)
    return
  }
  const entries = entriesOf(key, value)
  if (entries === null) return
  if (kind === 'log') addFrame(db, { bucket: id, key, value, count: entries.length })
  else for (const entry of entries) addPiece(db, shelf, { bucket: id, record, key, entry })
}

/** Null for what is damaged: it is so for every reader. */
function entriesOf(key: string, value: string): readonly RawEntry[] | null {
  try {
    return decodeValue(key, value)
  } catch (error) {
    if (isBlobsError(error, 'Corrupt')) return null
    throw error
  }
}

/** The position behind the last entry of a bucket's log. */
export function behindAll(db: Database, bucket: string): number {
  const sql = 'SELECT behind FROM frames WHERE bucket = ? ORDER BY position DESC LIMIT 1'
  return db.get<{ behind: number }>(sql, bucket)?.behind ?? 1
}

/** A key that is there already, sent twice because an answer was lost, counts once. */
function addFrame(
  db: Database,
  {
    bucket,
    key,
    value,
    count,
  }: { readonly bucket: string; readonly key: string; readonly value: string; readonly count: number },
): void {
  const position = behindAll(db, bucket)
  db.run('INSERT OR IGNORE INTO frames VALUES (?, ?, ?, ?, ?)', bucket, position, position + count, key, value)
}

function addPiece(
  db: Database,
  shelf: Shelf,
  {
    bucket,
    record,
    key,
    entry,
  }: { readonly bucket: string; readonly record: number; readonly key: string; readonly entry: RawEntry },
): void {
  const [hash = '', part = '0', parts = '1'] = entry.id.split('/')
  if (!isHash(hash) || (parts === '1' && sha256(entry.data) !== hash)) return
  if (parts === '1') shelf.keep(bucket, hash, entry.data)
  db.run(
    'INSERT OR IGNORE INTO pieces VALUES (?, ?, ?, ?, ?, ?)',
    bucket,
    hash,
    Number(part),
    Number(parts),
    record,
    key,
  )
}
