import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { createPrivate, syncPath } from './private-files.ts'
import { openDatabase, readDatabase, tryLock, tryShare, type Database } from './sqlite.ts'

/**
 * The disk as a store of buckets uses it: folders and files for their owner alone, files that are written in place, databases and locks.
 * All calls throw Node's errno errors (`code: 'ENOSPC'` …), those of databases SQLite's.
 */
export interface StoreDisk {
  /** Makes the folder and those above it, unless they are there. */
  makeFolder(path: string): void
  /** Names in a folder, in any order. */
  names(folder: string): string[]
  /** Bytes of the file, some number for a folder; null if nothing is there. */
  size(path: string): number | null
  /** Throws unless this process may read the file. */
  checkReadable(path: string): void
  /** Makes an empty file; false if it is there. */
  create(path: string): boolean
  /** A small file of single bytes; null if it is not there. */
  readText(path: string): string | null
  /** Makes a file that is not there, for `readText`; it is not durable yet. */
  makeText(path: string, text: string): void
  /** Does nothing if it is not there. */
  remove(path: string): void
  /** The same for a file, or a folder with all that is in it. */
  removeTree(path: string): void
  removeEmptyFolder(path: string): void
  /** Gives a file or a folder another name of the same file system. */
  rename(from: string, to: string): void
  /** Makes the bytes of a file, or the names in a folder, durable. */
  sync(path: string): void
  /** Opens a file that is there; null if it is not. */
  open(path: string, use: 'read' | 'write'): Promise<StoreHandle | null>
  /** Opens a file to read a little here and there, at once; null if it is not there. */
  openPieces(path: string): StorePieces | null
  /** Opens a file that is there, to replace its first bytes again and again; nothing of it is durable. */
  openNote(path: string): { write(text: string): void; close(): void }
  /** Calls `changed` some time after the file was written by any process; it may miss writes. Null where the system cannot watch. */
  watch(path: string, changed: () => void): { close(): void } | null
  /** See `sqlite.ts`, as for the following. */
  openDatabase(path: string, options: { readonly synchronous: 'full' | 'normal' }): Database
  readDatabase(path: string): Database
  tryLock(path: string): (() => void) | null
  tryShare(path: string): (() => void) | null
}
export interface StorePieces {
  readonly size: number
  /** Fewer bytes where the file ends. */
  read(place: number, size: number): Uint8Array
  close(): void
}
export interface StoreHandle {
  size(): Promise<number>
  /** Fills from `place` on; gives the bytes read, 0 at the end. */
  read(buffer: Uint8Array, place: number): Promise<number>
  /** Gives how many bytes it wrote, which may be fewer. */
  write(buffers: readonly Uint8Array[], place: number): Promise<number>
  truncate(size: number): Promise<void>
  /** Makes all that was written durable. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** The disk of this machine. */
export const systemStoreDisk: StoreDisk = {
  makeFolder: (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
  names: (folder) => readdirSync(folder),
  size: (path) => statSync(path, { throwIfNoEntry: false })?.size ?? null,
  checkReadable: (path) => accessSync(path, constants.R_OK),
  create: createPrivate,
  readText: (path) => unlessAbsent(() => readFileSync(path, 'latin1')),
  makeText: (path, text) => writeFileSync(path, text, { encoding: 'latin1', mode: 0o600, flag: 'wx' }),
  remove: (path) => rmSync(path, { force: true }),
  removeTree: (path) => rmSync(path, { recursive: true, force: true }),
  removeEmptyFolder: (path) => rmdirSync(path),
  rename: (from, to) => renameSync(from, to),
  sync: syncPath,
  open: openHandle,
  openPieces,
  openNote: (path) => {
    const file = openSync(path, 'r+')
    return { write: (text) => void writeSync(file, text, 0), close: () => closeSync(file) }
  },
  watch: (path, changed) => {
    try {
      return watch(path, { persistent: false }, changed).on('error', () => undefined)
    } catch {
      return null
    }
  },
  openDatabase,
  readDatabase,
  tryLock,
  tryShare,
}

function openPieces(path: string): StorePieces | null {
  const file = unlessAbsent(() => openSync(path, 'r'))
  if (file === null) return null
  return {
    size: fstatSync(file).size,
    read: (place, size) => {
      const bytes = Buffer.allocUnsafeSlow(size)
      return bytes.subarray(0, readSync(file, bytes, 0, size, place))
    },
    close: () => closeSync(file),
  }
}

async function openHandle(path: string, use: 'read' | 'write'): Promise<StoreHandle | null> {
  const file = await open(path, use === 'read' ? 'r' : 'r+').catch((error: unknown) => {
    if (isAbsence(error)) return null
    throw error
  })
  if (file === null) return null
  return {
    size: async () => (await file.stat()).size,
    read: async (buffer, place) => (await file.read(buffer, 0, buffer.length, place)).bytesRead,
    write: async (buffers, place) => (await file.writev([...buffers], place)).bytesWritten,
    truncate: (size) => file.truncate(size),
    sync: () => file.datasync(),
    close: () => file.close(),
  }
}

function unlessAbsent<T>(act: () => T): T | null {
  try {
    return act()
  } catch (error) {
    if (isAbsence(error)) return null
    throw error
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
