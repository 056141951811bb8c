import type { Hash } from '../../content/hash.ts'
import type { PlacePromises } from '../ports.ts'

/** What a place promises that holds plain current bytes by name, and knows neither versions nor hashes. */
export interface ForeignPromises extends PlacePromises {
  /** Milliseconds for which a listing is good enough for those who only read. */
  readonly fresh: number
  /** Milliseconds between two looks for those who wait for changes. */
  readonly poll: number
  /** Calls of `read` or `write` that are made at the same time. */
  readonly parallel: number
}

/** A place of that kind. All methods throw `BlobsError`; nothing is asked of the place before the first call. */
export interface Foreign {
  readonly promises: ForeignPromises
  /** Complete or thrown, in any order. */
  buckets(): Promise<readonly ForeignName[]>
  /** False if the name is taken. */
  create(name: string): Promise<boolean>
  /** False if there is none. */
  remove(name: string): Promise<boolean>
  open(bucket: ForeignName): ForeignBucket
  close(): Promise<void>
}
export interface ForeignName {
  readonly name: string
  /** Another one for every bucket that ever had the name, and for every user who has one of that name. */
  readonly id: string
}

export interface ForeignBucket {
  /**
   * All that is there now, in batches; complete or thrown: who is not in it is taken for deleted. Several of one key come one after the other, the newest
   * first: the first that is whole counts. Throws `NotFound` when the bucket is gone.
   */
  list(): AsyncIterable<readonly ForeignItem[]>
  /**
   * The bytes of what was listed. Throws `NotFound` or `Corrupt` if they are not there now, or not whole yet, for which the item counts as not
   * whole; `Unavailable` if the place cannot tell.
   */
  read(item: ForeignItem): AsyncIterable<Uint8Array>
  /** Throws `InvalidKey` or `TooLarge` for what could never be written. */
  check(key: string, size: number): void
  /**
   * Writes the changes of one entry, all puts before the first delete; gives the tags of what stands there now, null for what was deleted. Called by one at a time of
   * those who have this bucket, after `list`. Throws `VersionConflict` where the place compares and a tag was not the expected one. After
   * any error some of them may have happened, unless the place promises batches.
   */
  write(changes: readonly ForeignChange[]): Promise<readonly (string | null)[]>
  /** Resolves when something may have changed, or the signal aborts. Absent where only looking tells. */
  wait?(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
export interface ForeignItem {
  readonly key: string
  /** Opaque; another one whenever the bytes are others. */
  readonly tag: string
  /** Bytes; null if the place does not tell. What has another number of them is not whole. */
  readonly size: number | null
  /** Milliseconds since 1970; null if the place does not tell. */
  readonly modified: number | null
}
export interface ForeignChange {
  readonly key: string
  /** The tag of what it replaces; null if nothing is there. */
  readonly expected: string | null
  /** Null: a delete. */
  readonly put: ForeignPut | null
}
export interface ForeignPut {
  readonly hash: Hash
  readonly size: number
  /** The bytes, as often as they are asked for. */
  open(): AsyncIterable<Uint8Array>
}
