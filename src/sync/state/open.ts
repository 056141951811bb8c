import { join } from 'node:path'
import { openDatabase, sqliteProblem, type Database } from '../../platform/sqlite.ts'
import type { FileSystem } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { migrate } from './schema.ts'

/** What the trees belong to: on another device, folder or disk they would be about something else. */
export interface Binding {
  readonly device: string
  readonly root: { readonly id: string; readonly dev: bigint; readonly ino: bigint }
}

export interface OpenedState {
  readonly db: Database
  /** Why older trees were set aside, which is safe (the folder is linked anew and nothing is deleted); null: they were not. */
  readonly lost: string | null
}

const FILES = ['state.db', 'state.db-wal', 'state.db-shm']

/**
 * Opens the trees of a folder in its state directory, which must exist. Trees that cannot be read, or that belong to another folder or
 * machine, are set aside, not deleted. Throws `NotSupported` for those of a later version of this program.
 */
export function openStateFile(fs: FileSystem, directory: string, binding: Binding): OpenedState {
  const first = tryOpen(join(directory, FILES[0] ?? ''), binding)
  if (typeof first !== 'string') return { db: first, lost: null }
  setAside(fs, directory)
  const second = tryOpen(join(directory, FILES[0] ?? ''), binding)
  if (typeof second === 'string')
    throw new BlobsError('Corrupt', `${directory}: a new state.db cannot be used: ${second}`)
  return { db: second, lost: first }
}

/** Makes the tables ready and binds them; gives the reason when they must not be used. */
export function prepareState(db: Database, binding: Binding): string | null {
  const problem = migrate(db)
  if (problem === 'newer') {
    throw new BlobsError('NotSupported', 'the state of this folder was written by a later version of blobs', {
      hint: 'upgrade blobs on this machine',
    })
  }
  if (problem !== null) return 'the saved state was damaged'
  const bound = JSON.stringify([binding.device, binding.root.id, String(binding.root.dev), String(binding.root.ino)])
  const before = getMeta(db, 'binding')
  if (before === null) setMeta(db, 'binding', bound)
  else if (before !== bound) return 'the folder was copied or moved, or comes from another machine'
  return null
}

function tryOpen(path: string, binding: Binding): Database | string {
  let db: Database
  try {
    db = openDatabase(path, { synchronous: 'full' })
  } catch (error) {
    if (sqliteProblem(error) === 'corrupt') return 'the saved state was damaged'
    throw error
  }
  try {
    const problem = prepareState(db, binding)
    if (problem === null) return db
    db.close()
    return problem
  } catch (error) {
    db.close()
    throw error
  }
}

function setAside(fs: FileSystem, directory: string): void {
  let number = 1
  while (fs.lstat(join(directory, `lost-${number}`)) !== null) number++
  const aside = join(directory, `lost-${number}`)
  fs.mkdir(aside, 0o700)
  for (const name of FILES)
    if (fs.lstat(join(directory, name)) !== null) fs.rename(join(directory, name), join(aside, name))
}

type MetaName =
  | 'binding'
  | 'cursor'
  | 'rules'
  | 'verified'
  | 'brake.local'
  | 'brake.remote'
  | 'approved.local'
  | 'approved.remote'

export function getMeta(db: Database, name: MetaName): string | null {
  return db.get<{ value: string }>('SELECT value FROM meta WHERE name = ?', name)?.value ?? null
}

/** Null forgets it. */
export function setMeta(db: Database, name: MetaName, value: string | null): void {
  if (value === null) db.run('DELETE FROM meta WHERE name = ?', name)
  else db.run('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value', name, value)
}

/** Runs `fn` in one transaction. The file is this process's alone, so nothing is waited for. */
export function write<T>(db: Database, fn: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = fn()
    db.exec('COMMIT')
    return result
  } catch (error) {
    if (db.inTransaction()) db.exec('ROLLBACK')
    throw error
  }
}
