import { join } from 'node:path'
import { inTransaction, openDatabase, sqliteProblem, type Database } from '../../platform/sqlite.ts'
import type { FileSystem } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { migrate } from './schema.ts'

/** What the trees belong to: on another device, folder or disk they would be about something else. */
export interface Binding {
  readonly device: string
  /** Absolute. */
  readonly folder: string
  readonly root: { readonly id: string; readonly dev: bigint; readonly ino: bigint }
}

export type OpenedState =
  /** `lost`: why older trees were set aside, which is safe (the folder is linked anew and nothing is deleted); null: they were not. */
  | { readonly db: Database; readonly lost: string | null }
  /** The trees belong to another folder that is still there: this one is a copy of it, and needs an id of its own. */
  | { readonly copyOf: string }

const STATE = 'state.db'
const FILES = [STATE, `${STATE}-wal`, `${STATE}-shm`]
/** Stands while the trees were found damaged in the middle of a sync. */
const DAMAGE = 'damaged'
const DAMAGED = 'the saved state was damaged'

/**
 * Opens the trees of a folder in its state directory, which must exist. Trees that cannot be read, or that belong to another folder or
 * machine, are set aside, not deleted. Throws `NotSupported` for those of a later version of this program.
 */
export function openStateFile(fs: FileSystem, directory: string, binding: Binding): OpenedState {
  const damaged = join(directory, DAMAGE)
  const first =
    fs.lstat(damaged) === null ? tryOpen(fs, join(directory, STATE), binding) : { problem: { lost: DAMAGED } }
  if ('db' in first) return { db: first.db, lost: null }
  if ('copyOf' in first.problem) return first.problem
  setAside(fs, directory)
  if (fs.lstat(damaged) !== null) fs.rmdir(damaged)
  const second = tryOpen(fs, join(directory, STATE), binding)
  if ('db' in second) return { db: second.db, lost: first.problem.lost }
  throw new BlobsError('Corrupt', `${directory}: a new ${STATE} cannot be used`, {
    hint: 'is the disk of the state directory sound?',
  })
}

/** Notes that the trees are damaged: the next time they are opened they are set aside. */
export function noteDamage(fs: FileSystem, directory: string): void {
  if (fs.lstat(join(directory, DAMAGE)) === null) fs.mkdir(join(directory, DAMAGE), 0o700)
}

type Problem = { readonly lost: string } | { readonly copyOf: string }

/** Makes the tables ready and binds them to the folder; gives the reason when they must not be used for it. */
export function prepareState(fs: FileSystem, db: Database, binding: Binding): Problem | null {
  const problem = migrate(db)
  if (problem === 'newer') {
    throw new BlobsError('NotSupported', 'the state of this folder was written by a later version of blobs', {
      hint: 'upgrade blobs on this machine',
    })
  }
  if (problem !== null) return { lost: DAMAGED }
  const now: Bound = {
    device: binding.device,
    folder: binding.folder,
    id: binding.root.id,
    dev: String(binding.root.dev),
    ino: String(binding.root.ino),
  }
  const text = getMeta(db, 'binding')
  const before = text === null ? now : (JSON.parse(text) as Bound)
  if (before.device !== now.device) return { lost: 'the saved state comes from another machine' }
  if (before.dev !== now.dev || before.ino !== now.ino || before.id !== now.id) {
    return isThere(fs, before) ? { copyOf: before.folder } : { lost: 'the folder was moved, restored or made anew' }
  }
  if (text === null || before.folder !== now.folder) setMeta(db, 'binding', JSON.stringify(now))
  return null
}

interface Bound {
  readonly device: string
  readonly folder: string
  readonly id: string
  readonly dev: string
  readonly ino: string
}

function isThere(fs: FileSystem, bound: Bound): boolean {
  try {
    const stat = fs.lstat(bound.folder)
    return stat?.kind === 'folder' && String(stat.dev) === bound.dev && String(stat.ino) === bound.ino
  } catch {
    return false
  }
}

function tryOpen(fs: FileSystem, path: string, binding: Binding): { db: Database } | { problem: Problem } {
  let db: Database
  try {
    db = openDatabase(path, { synchronous: 'full' })
  } catch (error) {
    if (sqliteProblem(error) === 'corrupt') return { problem: { lost: DAMAGED } }
    throw error
  }
  try {
    const problem = prepareState(fs, db, binding)
    if (problem === null) return { db }
    db.close()
    return { problem }
  } catch (error) {
    db.close()
    throw error
  }
}

/** Moves trees that cannot be used out of the way, whatever they are. */
function setAside(fs: FileSystem, directory: string): void {
  let number = 1
  while (fs.lstat(join(directory, `lost-${number}`)) !== null) number++
  const aside = join(directory, `lost-${number}`)
  fs.mkdir(aside, 0o700)
  for (const name of FILES)
    if (fs.lstat(join(directory, name)) !== null) fs.rename(join(directory, name), join(aside, name))
}

type MetaName = 'binding' | 'cursor' | 'paused' | 'rules' | 'verified'

export function getMeta(db: Database, name: MetaName): string | null {
  return db.get<{ value: string }>('SELECT value FROM meta WHERE name = ?', name)?.value ?? null
}

/** Null forgets it. */
export function setMeta(db: Database, name: MetaName, value: string | null): void {
  if (value === null) db.run('DELETE FROM meta WHERE name = ?', name)
  else db.run('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value', name, value)
}

/** Forgets how far the bucket was read: the next catch-up lists it completely. */
export function forgetCursor(db: Database): void {
  setMeta(db, 'cursor', null)
}

/** Runs `fn` over one state of the tables, which costs less than a look for each question. It must not write. */
export function look<T>(db: Database, fn: () => T): T {
  db.exec('BEGIN')
  try {
    return fn()
  } finally {
    db.exec('COMMIT')
  }
}

/**
 * As `write`, for what is seen or told again after a power cut: it may be undone by one, as long as nothing was written by `write` after it.
 * A process that dies undoes nothing.
 */
export function note<T>(db: Database, fn: () => T): T {
  db.exec('PRAGMA synchronous = normal')
  try {
    return write(db, fn)
  } finally {
    db.exec('PRAGMA synchronous = full')
  }
}

/** Runs `fn` in one transaction. The file is this process's alone, so nothing is waited for. */
export function write<T>(db: Database, fn: () => T): T {
  return inTransaction(db, fn)
}
