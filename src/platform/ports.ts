/** Nanosecond times are bigints since 1970; may be negative. */
export interface FileStat {
  readonly kind: 'file' | 'folder' | 'symlink' | 'other'
  readonly size: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly ino: bigint
  readonly dev: bigint
  /** Permission bits only. */
  readonly mode: number
  readonly uid: number
}

/** A name in a folder. `name` is null when the bytes on disk are not UTF-8; `shown` is then readable for a message. */
export interface FolderItem {
  readonly name: string | null
  readonly shown: string
  readonly kind: FileStat['kind']
}

/**
 * The disk as the engine sees it. Metadata calls are synchronous on purpose: nothing of this process can run between a last look
 * and the act that depends on it. All throw Node's errno errors (`code: 'EACCES'` …) unless said otherwise. No call follows a
 * symbolic link in the last component.
 */
export interface FileSystem {
  /** Null only for ENOENT and ENOTDIR: every other failure is thrown, never taken for absence. */
  lstat(path: string): FileStat | null
  /** The same place without links on the way or at the end. Throws ENOENT if it is not there. */
  realpath(path: string): string
  /** True if the files may change without this system's kernel being told: a network or user-space file system. */
  isShared(path: string): boolean
  /** Unsorted; complete or thrown. */
  list(path: string): FolderItem[]
  mkdir(path: string, mode?: number): void
  rmdir(path: string): void
  unlink(path: string): void
  /** Replaces `to` silently: only for paths that are ours. */
  rename(from: string, to: string): void
  /** Throws EEXIST if `to` is there; atomic. */
  renameNew(from: string, to: string): void
  /** Swaps two existing paths atomically; false, with nothing done, where the system has no such call. */
  exchange(a: string, b: string): boolean
  /** Hard link; throws EEXIST if `to` is there. */
  link(from: string, to: string): void
  chmod(path: string, mode: number): void
  setModified(path: string, mtimeNs: bigint): void
  /** A whole small file at once. Null if it is not there; throws EFBIG if it is over `limit` bytes. */
  readSmall(path: string, limit: number): Uint8Array | null
  /** Writes a whole small file at once, and its modification time unless that is null. Creates, never opens an existing path. */
  writeSmall(path: string, bytes: Uint8Array, mode: number, mtimeNs: bigint | null): FileStat
  /** Opens for reading without following a link. */
  open(path: string): Promise<ReadFile>
  /** Creates (never opens an existing path), mode 0600 unless given. */
  create(path: string, mode?: number): Promise<WriteFile>
  /** Copies bytes into a new file, sharing blocks where the file system can. */
  copy(from: string, to: string): Promise<void>
  /**
   * Holds a folder open, so that paths below `handle.path` lead into this very folder even if its name is given to something else
   * meanwhile (Linux; elsewhere `handle.path` is `path`). Throws ENOTDIR or ELOOP if `path` is not a folder. Close it.
   */
  openFolder(path: string): OpenFolder
  /** Makes a folder's names durable. */
  syncFolder(path: string): void
  /** Makes everything written so far to the file system of `path` durable, in one call where the system has it (`syncfs`); else the given files and folders one by one. */
  syncGroup(path: string, files: readonly string[]): Promise<void>
}
export interface OpenFolder {
  readonly path: string
  stat(): FileStat
  close(): void
}
export interface ReadFile {
  stat(): FileStat
  /** Null when the system cannot tell; true if some process has it open for writing (Linux lease). */
  openForWriting(): boolean | null
  /** Fills from `position`; returns bytes read, 0 at the end. */
  read(buffer: Uint8Array, position: number): Promise<number>
  close(): Promise<void>
}
export interface WriteFile {
  write(bytes: Uint8Array): Promise<void>
  sync(): Promise<void>
  stat(): FileStat
  close(): Promise<void>
}

export interface Clock {
  /** Milliseconds since 1970; may step in any direction. */
  now(): number
  /** Milliseconds on a clock that only goes forward. */
  elapsed(): number
  /** Resolves early, without an error, when the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
}

export interface Ids {
  /** 32 lower-case hex digits, 128 random bits. */
  next(): string
}
