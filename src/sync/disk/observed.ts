import type { Content, Path, Reason } from '../core/types.ts'

/**
 * What `lstat` said of a file when its bytes were read (size, times, inode, mode), as one comparable text. The same identity means the
 * same bytes. `''` equals nothing: look at the bytes again next time (the file was written too close to the look to tell).
 */
export type Identity = string

/** What is on disk at a path. */
export type Observed =
  | (Content & { readonly kind: 'file'; readonly identity: Identity; readonly mtimeNs: bigint })
  /** A folder with nothing at all in it; its path ends with `/`. */
  | (Content & { readonly kind: 'folder' })
  /** Proved: the root is the root, the folder above was listed without an error. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown'; readonly reason: Reason }
  /** The rules leave it alone now: forget the path in all three trees; nothing is deleted anywhere. */
  | { readonly kind: 'ignored' }

export interface Observation {
  readonly path: Path
  readonly node: Observed
}

/** What was known of a path before. */
export type Known =
  | { readonly kind: 'file'; readonly identity: Identity; readonly hash: string; readonly executable: boolean }
  | { readonly kind: 'folder' }
  | { readonly kind: 'unknown'; readonly reason: Reason }

/** What was known directly in a folder, by last segment. */
export interface Children {
  /** Files with their identities: all that it takes to see that nothing changed. */
  readonly files: ReadonlyMap<string, Identity>
  /** What could not be judged as `name`, empty folders as `name/`. */
  readonly others: ReadonlyMap<string, Known>
  /** Names of folders with something known inside them. */
  readonly folders: ReadonlySet<string>
}

/** The local tree as it was last recorded: only what is present or unknown, never what was absent. */
export interface KnownTree {
  /** `''` is the root. */
  children(folder: Path): Children
  get(path: Path): Known | null
  /** Every known path below `folder/`, in any order; the folder's own marker `folder/` is not below it. */
  below(folder: Path): Iterable<Path>
  /** Every known file below `folder/` that has an identity, in any order. */
  filesBelow(folder: Path): Iterable<KnownFile>
}

/** A file's bytes, known by what `lstat` says of it. */
export type KnownFile = Pick<Content, 'hash' | 'size' | 'executable'> & { readonly identity: Identity }

/** A folder to look at again; `deep`: and everything below it. */
export interface DirtyFolder {
  /** `''` is the root; no trailing slash. */
  readonly path: Path
  readonly deep: boolean
}
