/**
 * Paths are keys relative to the pairing's prefix: NFC, `/` between segments, no leading slash. A path with a trailing `/` is an
 * empty folder; folders with something in them are implied by their files.
 */
export type Path = string

/** What both sides can agree on. For a folder: hash of nothing, size 0, not executable. */
export interface Content {
  readonly kind: 'file' | 'folder'
  /** SHA-256, hex. */
  readonly hash: string
  readonly size: number
  readonly executable: boolean
}

/** What is on disk. `unknown`: there is something, or may be, that must not be judged now; the reason says why. Null: proved absent. */
export type Local = Content | { readonly kind: 'unknown'; readonly reason: Reason }

/** What the bucket holds. Null: never was (as far as a complete listing tells). */
export type Remote =
  | (Content & { readonly version: number })
  /** `entry` names the tombstone in expectations. */
  | { readonly kind: 'deleted'; readonly version: number; readonly entry: string }

/** What both sides last agreed on, and at which version. */
export type Base = Content & { readonly version: number }

/** One path of the three trees, with the facts about its neighbours that a decision needs. */
export interface Row {
  readonly path: Path
  readonly base: Base | null
  readonly local: Local | null
  readonly remote: Remote | null
  /**
   * On disk the name belongs to a folder: some other row below `path/` needs one (`needsFolder` in reconcile.ts). For a file's
   * key the marker `path/` itself is below.
   */
  readonly remoteBelow: boolean
  /** On disk the name is a folder, empty or not. For a file's key and for a marker alike. */
  readonly localFolder: boolean
  /** Why this path cannot exist on this disk, or null (names.ts). */
  readonly unfit: Reason | null
  /** Local content is an older version of this key in the bucket's history: any without a base, else one after it (`historyAfter` in reconcile.ts). */
  readonly localIsOldVersion: boolean
}

/** Why a path is not in sync. Codes are stable and shown in `status`. */
export type Reason =
  | 'symlink'
  | 'special-file'
  | 'unreadable'
  | 'name-not-unicode'
  | 'name-too-long'
  | 'name-reserved'
  | 'name-clash'
  | 'file-and-folder'
  | 'busy'
  | 'changing'
  | 'other-device'
  | 'not-writable'
  | 'disk-full'
  | 'too-large'
  | 'forbidden'
  | 'download-failed'
  | 'upload-failed'
  | 'waiting-for-approval'

/** `{version, hash}` where hash is the content's, or the tombstone's entry id; or the key must not be there. */
export type Expectation = 'absent' | { readonly version: number; readonly hash: string }

/** What is to be done for one path. Each carries what it expects to find; whoever does it looks again and drops it if that is gone. */
export type Step =
  /** Both sides agree already: write down the base (null: forget the path). No I/O. */
  | { readonly type: 'record'; readonly path: Path; readonly base: Base | null }
  /** Bucket ← disk. `copyOf`: these bytes are at another key already. */
  | {
      readonly type: 'upload'
      readonly path: Path
      readonly local: Content
      readonly expect: Expectation
      readonly copyOf: { readonly path: Path; readonly version: number } | null
    }
  | {
      readonly type: 'delete-remote'
      readonly path: Path
      readonly expect: Expectation
      /** The upload of the same plan that keeps these bytes: half of a rename, so no brake counts it. */
      readonly movedTo?: Path
    }
  /** Disk ← bucket. `replaces` is what must be on disk at the last look (null: nothing). Equal bytes, other mode: only the mode is set. */
  | {
      readonly type: 'download'
      readonly path: Path
      readonly remote: Content & { readonly version: number }
      readonly replaces: Content | null
    }
  | {
      readonly type: 'delete-local'
      readonly path: Path
      readonly replaces: Content
      /** What to record once it is done. */
      readonly base: Base | null
      /** The download of the same plan that brings these bytes back under another name; no brake counts it. */
      readonly movedTo?: Path
    }
  /** The local bytes become a sibling, durable first; then the bucket's version takes the name (null: nothing does, the name makes way for a folder) and is the base. */
  | {
      readonly type: 'conflict'
      readonly path: Path
      readonly local: Content
      readonly remote: (Content & { readonly version: number }) | null
    }
  /** Not now; the path is listed with its reason. Nothing is touched. */
  | { readonly type: 'skip'; readonly path: Path; readonly reason: Reason }
