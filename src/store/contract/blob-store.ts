import type { Hash } from '../../content/hash.ts'
import type { BodyRef } from '../../content/body.ts'
import type { BlobsError } from './errors.ts'
import type { Inspection } from './findings.ts'
import type {
  Blob,
  BlobInfo,
  BucketInfo,
  BucketOptions,
  Chunk,
  Collected,
  Scrubbed,
  CollectOptions,
  Cursor,
  EntryInput,
  FeedItem,
  ListOptions,
  Outcome,
  Page,
} from './types.ts'

/**
 * One bucket, as every caller sees it. Two implementations (LogStore, HttpStore); the rest are wrappers. Methods may be called
 * concurrently. Every failure is a `BlobsError`; `Unavailable` means that the outcome is unknown and the call may be repeated
 * (a commit with the same entry ids).
 */
export interface BlobStore {
  info(): Promise<BucketInfo>
  /** The current version, or `version`; null = never was. A tombstone is an info with `deleted: true`. */
  head(key: string, options?: { readonly version?: number }): Promise<BlobInfo | null>
  /**
   * Null = never was, or that version is a tombstone or was dropped. `range` is [first, last] inclusive; last may be Infinity; a negative first counts
   * from the end. Throws `InvalidRequest` for a range that holds no byte of a blob that has some.
   */
  get(key: string, options?: GetOptions): Promise<Blob | null>
  /**
   * Appends. Each entry is atomic by itself; outcomes are in the order of the entries; an entry may build on one before it. Durable as
   * the backend declares when it resolves. A put makes a version, also of equal bytes; a delete of what is not there takes effect and
   * makes none. Throws `NotFound` for a copy of what is not there, `TooLarge` for a blob over the bucket's limit. Chunks that an entry names must be staged or present: else `InvalidRequest`, and nothing is appended.
   */
  commit(entries: readonly EntryInput[], options?: CommitOptions): Promise<readonly Outcome[]>
  /** Sorted by key in UTF-8 byte order. */
  list(options?: ListOptions): Promise<Page>
  /**
   * The history after `since` (from the start when absent), in order, without gaps; a bookmark whenever it has caught up. Ends
   * at the first bookmark unless `live`. Throws `CursorExpired`, `CursorForked`. Aborting the signal ends it without an error. Versions
   * of one entry follow each other and share its cursor, so go on from a bookmark, or from an item behind which another cursor came.
   */
  changes(options: ChangesOptions): AsyncIterable<FeedItem>
  /** Which of these chunks a commit could not name yet. May name more than are truly missing; never fewer. */
  missing(hashes: readonly Hash[]): Promise<readonly Hash[]>
  /**
   * Makes chunks nameable by a later commit. Durable when it resolves; from then on nothing looks at their bytes any more, so that
   * their memory may be used again. Throws `Corrupt` if bytes do not match their hash; then something may still be reading them.
   */
  stage(chunks: readonly Chunk[], options?: StageOptions): Promise<void>
  /**
   * The bytes of many small blobs (each at most `MAX_FETCH_BYTES`) in few round trips, in any order; one that no longer is there
   * is left out. Verified. For larger ones, `get`.
   */
  fetch(wants: readonly Want[]): AsyncIterable<Fetched>
  /** The chunks of a version in order, so that one that changed a little can be patched; null as `get`. */
  chunksOf(key: string, version: number): Promise<AsyncIterable<readonly BodyRef[]> | null>
  /**
   * For those who answer others with what they know, as a server does. Absent where nothing is known here that has to be brought up.
   * Throws `Unavailable` while what the caller has seen has not come here, and what stands in the way of the place if nothing of it was ever known.
   */
  readonly reach?: (options: ReachOptions) => Promise<Reached>
  close(): Promise<void>
}

export interface ReachOptions {
  /** What the caller has seen of the history: what is known here has to hold it. Of another epoch, or of a history that went back, it is passed over. */
  readonly seen: readonly Cursor[]
  /** Milliseconds for which what was seen is waited for. */
  readonly within: number
  /** What is known will do, too, while the place cannot be read, or gives no answer within that time. */
  readonly mayBeStale: boolean
}
export interface Reached {
  /** Reads what is known here, without asking again. */
  readonly known: Pick<BlobStore, 'info' | 'head' | 'get' | 'list' | 'changes' | 'fetch' | 'chunksOf'>
  readonly head: Cursor
  /** Null when what is known here was all there is just now. */
  readonly stale: Stale | null
}
/** The place cannot be read now. */
export interface Stale {
  /** Milliseconds since what is known here was all there is. */
  readonly age: number
  readonly why: BlobsError
}

/** Largest blob that `fetch` serves. */
export const MAX_FETCH_BYTES = 1024 * 1024

export interface GetOptions {
  readonly version?: number
  readonly range?: readonly [first: number, last: number]
  /** The reader compares a whole blob with its hash himself, before he uses the last of it: the store need not do it once more. */
  readonly readerCompares?: boolean
}
/** A run of chunks of one large blob on its way: those of the call it comes with, and others that are there. */
export interface Passage {
  /** Of the blob's first chunk: what tells one blob on its way from another. */
  readonly first: Hash
  /** Bytes of the blob before the run; 0 begins it anew. */
  readonly at: number
  readonly refs: readonly BodyRef[]
}
export interface StageOptions {
  readonly passages?: readonly Passage[]
  /** A commit with `verify` will come: what passes is compared now, so that it need not be read again then. */
  readonly verify?: boolean
}
export interface CommitOptions {
  /** Re-read bodies of more than one chunk and check them against the blob's hash before appending: for writers whose word is no proof. */
  readonly verify?: boolean
  /** Ends the check with the signal's reason; nothing is appended then. */
  readonly signal?: AbortSignal
}
export interface ChangesOptions {
  readonly since?: Cursor
  readonly live?: boolean
  /**
   * Only the versions that the last command of a device made, each with its `operation`: the newest one whose id begins with this text and
   * a dot. Not to be combined with `since` and `live`.
   */
  readonly lastOf?: string
  readonly signal?: AbortSignal
}
export interface Want {
  readonly key: string
  readonly version: number
}
export interface Fetched extends Want {
  readonly bytes: Uint8Array
}
/** A place that holds buckets. */
export interface Buckets {
  /** Throws `AlreadyExists`. An embedded place also makes and opens `SYSTEM_BUCKET`. */
  create(name: string, options?: BucketOptions): Promise<BucketInfo>
  /** Without `SYSTEM_BUCKET`. */
  list(): AsyncIterable<BucketInfo>
  /** Removes the bucket with its history. Throws `NotFound`. */
  remove(name: string): Promise<void>
  configure(name: string, options: BucketOptions): Promise<BucketInfo>
  /**
   * Lets versions go that the bucket's options do not keep, and removes chunks that nothing refers to. Absent where the place does so by
   * itself, or never. Throws `Refused` where a damaged list of chunks leaves it unknown which are needed.
   */
  collect?(name: string, options?: CollectOptions): Promise<Collected>
  /**
   * Reads every chunk and looks for every version's, and reports what is damaged or lost. Throws `NotSupported` where the chunks cannot be
   * listed; absent where others keep them.
   */
  scrub?(name: string, inspection: Inspection): Promise<Scrubbed>
  /** Throws `NotFound`, with the near names in its hint. */
  open(name: string): Promise<BlobStore>
  close(): Promise<void>
}
