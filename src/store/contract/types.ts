import type { Body } from '../../content/body.ts'
import type { Hash } from '../../content/hash.ts'

/** Opaque place in a bucket's history: `EPOCH:POSITION:ENTRY`, compared only by the store that gave it. */
export type Cursor = string

/** Free text by name; the names `mtime` (decimal seconds since 1970, up to 9 decimals) and `mode` (octal, as `755`) are ours. */
export type Meta = Readonly<Record<string, string>>

/**
 * What a writer believes it replaces. `absent`: never was, or deleted. A `hash` is the current blob's SHA-256, or the entry
 * id when what is replaced is a tombstone; without it only the version number is compared (a person's `--if-version`).
 */
export type Expectation = 'any' | 'absent' | { readonly version: number; readonly hash?: string }

/** One version of a key: a blob, or (`deleted`) the tombstone that ended it. */
export interface BlobInfo {
  readonly bucket: string
  readonly key: string
  readonly version: number
  /** Bytes; 0 for a tombstone. */
  readonly size: number
  /** SHA-256 of the whole, lower-case hex; '' for a tombstone. */
  readonly hash: Hash
  readonly contentType: string
  /** When the entry was written, by the clock of the place that holds the log; RFC 3339 in UTC. '' for a value that is in no log of ours. */
  readonly modified: string
  readonly deleted: boolean
  readonly meta: Meta
  /** Cursor of the entry that made this version. */
  readonly position: Cursor
  /** Id of that entry. */
  readonly entry: string
  /** Who wrote it: the token's name, or '' for a local writer. */
  readonly author: string
  /** Short name of the device that wrote it, or ''. */
  readonly device: string
  /** Its bytes are no more: the bucket does not keep versions as old. What it was stays known. */
  readonly dropped?: true
}

/** A piece of content with its address. `bytes` hash to `hash`; receivers check. */
export interface Chunk {
  readonly hash: Hash
  readonly bytes: Uint8Array
}

export interface PutChange {
  readonly type: 'put'
  readonly key: string
  readonly expect: Expectation
  readonly hash: Hash
  readonly size: number
  /**
   * The content, staged before or present in the bucket; or another version in this bucket whose bytes are meant; or, in an entry with
   * `time`, that its bytes are no more.
   */
  readonly body:
    | Body
    | { readonly copy: { readonly key: string; readonly version: number } }
    | { readonly dropped: true }
  readonly contentType: string
  readonly meta: Meta
}
export interface DeleteChange {
  readonly type: 'delete'
  readonly key: string
  readonly expect: Expectation
}
export type ChangeInput = PutChange | DeleteChange

/** One or more changes that happen together or not at all. */
export interface EntryInput {
  /** Unique, made by the writer once per intention: a repeat gets the first outcome and changes nothing. */
  readonly id: string
  readonly changes: readonly ChangeInput[]
  readonly author?: string
  readonly device?: string
  /** Groups the entries of one command, for `undo`: the device's id, a dot, and something unique. */
  readonly operation?: string
  /** When it was written first, in milliseconds since 1970: of each entry of a bucket that is a copy (`CopyOf`), and of no other. */
  readonly time?: number
}

/** A change that did not apply, and what stands there instead (`null`: never was). */
export interface Conflict {
  readonly key: string
  readonly expected: Expectation
  readonly current: BlobInfo | null
}
export type Outcome =
  /** `blobs`: the versions that it made, in the order of its changes. */
  | { readonly id: string; readonly ok: true; readonly cursor: Cursor; readonly blobs: readonly BlobInfo[] }
  | { readonly id: string; readonly ok: false; readonly conflicts: readonly Conflict[] }

export interface Blob {
  readonly info: BlobInfo
  /** First and last byte of `stream` within the blob, inclusive; `[0, -1]` for an empty one. */
  readonly range: readonly [number, number]
  /**
   * The bytes, verified as they pass: throws `Corrupt` before the bad chunk is handed out, never after the end. The memory of a piece is
   * its reader's alone.
   */
  readonly stream: AsyncIterable<Uint8Array>
}

export interface ListOptions {
  /** Keys that start with this text; whole segments are the caller's business. */
  readonly prefix?: string
  /** Keys that share the text up to the next delimiter after the prefix are folded into one of `prefixes`. */
  readonly delimiter?: '/'
  /** Only keys and folded prefixes greater than this text, by UTF-8 byte order. */
  readonly after?: string
  /** At most this many items and prefixes together; the store may return fewer. Default 1000. */
  readonly limit?: number
  /** Tombstones too. */
  readonly deleted?: boolean
  /** Every kept version of each key, newest first within a key; tombstones only with `deleted`. */
  readonly versions?: boolean
  /** The bucket as it was at this time (RFC 3339): of each key the newest version that was `modified` by then. */
  readonly at?: string
  /** Adds `history` to each item. */
  readonly digests?: boolean
}
export interface ListItem extends BlobInfo {
  /** With `digests`: the different hashes of older versions of the key, newest first, at most 100, without the current one. */
  readonly history?: readonly Hash[]
}
/** `complete` is said, never implied: an answer without `complete: true` proves no absence. */
export interface Page {
  readonly items: readonly ListItem[]
  readonly prefixes: readonly string[]
  readonly complete: boolean
  /** The next page's `after`, when not complete: to be passed on as it is. */
  readonly next?: string
  /** The view the page was read from. */
  readonly cursor: Cursor
}

/** Something in a bucket's history, in order. A bookmark says: everything up to `cursor` has been told. */
export type FeedItem =
  | ({
      readonly type: 'put' | 'delete'
      /** Told when the last operation was asked for. */
      readonly operation?: string
    } & BlobInfo)
  | { readonly type: 'bookmark'; readonly cursor: Cursor }

export interface BucketOptions {
  /** Largest blob accepted, in bytes. */
  readonly maxBlobSize?: number
  /** The newest so many versions of each key keep their bytes, the current one, or the tombstone, among them. */
  readonly keepVersions?: number
  /** Versions keep their bytes for so many seconds after they were replaced or deleted. With both, what either keeps is kept; with none, everything. */
  readonly keepFor?: number
  /** Most bytes of all current blobs together. */
  readonly quotaBytes?: number
  /** Most current blobs. */
  readonly quotaBlobs?: number
  /** Of a bucket that is a copy of another: who does not go on copying may not write into it. */
  readonly copyOf?: CopyOf
}
/** Of which bucket another is a copy, entry by entry, with the ids, times and writers of its entries: a backup. */
export interface CopyOf {
  readonly bucket: string
  readonly epoch: string
  /** The original's own options, without those of a copy. */
  readonly options: BucketOptions
  /** A cursor of the original: everything up to it is here. Absent while nothing is. */
  readonly through?: Cursor
  /** Id of the last entry that is here, where there is one. */
  readonly last?: string
  /** When `through` was the end of the original, RFC 3339; absent until it was for the first time. */
  readonly at?: string
  /** It is to become a bucket of its own: until that is done nobody may read it, for it would seem to have lost what is still to come. */
  readonly restoring?: {
    /** What was written later stays away, RFC 3339. */
    readonly until?: string
  }
}
/** How a bucket's garbage is collected. */
export interface CollectOptions {
  /** Milliseconds that a chunk is spared which nothing refers to yet: longer than the longest upload. At least an hour; a day unless given. */
  readonly grace?: number
  /** Changes nothing; of versions that are kept no more it does not tell the bytes. */
  readonly dryRun?: boolean
  /** Awaited often, with bytes that were moved: what makes it slow. */
  readonly pace?: (bytes: number) => Promise<void>
  readonly signal?: AbortSignal
}
interface ChunkCount {
  readonly chunks: number
  readonly bytes: number
}
export interface Collected {
  /** Versions that lost their bytes. */
  readonly dropped: number
  readonly removed: ChunkCount
  /** Set aside: they go for good a grace later, if nothing refers to them then. Only in places that several machines use. */
  readonly aside: ChunkCount
  /** That nothing refers to, but that are within the grace, or are aside for less than that. */
  readonly waiting: ChunkCount
  readonly kept: ChunkCount
}
export interface Scrubbed {
  /** That were read, and compared with their hashes. */
  readonly chunks: number
  readonly bytes: number
  /** Chunks with other bytes. */
  readonly damaged: number
  readonly versions: number
}
export interface BucketInfo {
  readonly name: string
  /** Random id of the log, new when it is made or restored: a bucket of the same name with another epoch is another bucket. */
  readonly epoch: string
  readonly head: Cursor
  readonly created: string
  readonly blobs: number
  readonly bytes: number
  readonly options: BucketOptions
}
