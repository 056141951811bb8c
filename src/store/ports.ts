import type { Hash } from '../content/hash.ts'

/** An entry's place in its log: a safe integer, 1 for the first; later is larger, gaps may occur. */
export type Position = number

/** An entry as the log keeps it: `data` is the entry format of docs/entry-format.md, opaque to the backend. */
export interface RawEntry {
  readonly id: string
  readonly data: Uint8Array
}
export interface Placed extends RawEntry {
  readonly position: Position
}

/** A totally ordered, append-only log. Its order is the truth; nothing else has to be decided by it. */
export interface Log {
  /** Appends in the given order; resolves when durable as `Backend.promises` declares. A crash leaves each entry whole or absent. */
  append(entries: readonly RawEntry[]): Promise<readonly Position[]>
  /** What is in the log after `after` (0 = from the start) at the time of the call, in order, in batches. */
  read(options: { readonly after: Position }): AsyncIterable<readonly Placed[]>
  /** Resolves when something may have been appended after `after`, whichever process did it, or the signal aborts. May resolve early; never sleeps through. */
  wait(options: { readonly after: Position; readonly signal: AbortSignal }): Promise<void>
  close(): Promise<void>
}

/** Bytes by SHA-256, of one bucket. */
export interface Content {
  /** Durable when it resolves. A hash that is there already is kept. Does not check the hashes: callers did. */
  put(chunks: readonly { readonly hash: Hash; readonly bytes: Uint8Array }[]): Promise<void>
  /** In the order of `hashes`; null for one that is not there. Bytes are as stored: callers verify. They are the caller's own: nobody else has their memory. */
  get(hashes: readonly Hash[]): Promise<readonly (Uint8Array | null)[]>
  missing(hashes: readonly Hash[]): Promise<readonly Hash[]>
  close(): Promise<void>
}

export interface BucketPorts {
  readonly log: Log
  readonly content: Content
}

/** A place that can hold buckets: a name for each, with a log and content of its own. */
export interface Backend {
  readonly promises: BackendPromises
  /** Makes an empty log and content; false if the name is taken. Atomic among concurrent callers. */
  create(name: string): Promise<boolean>
  /** Sorted. */
  names(): Promise<readonly string[]>
  /** False if there is none. */
  remove(name: string): Promise<boolean>
  /** Null if there is none. Every call opens anew; the caller closes both ports. */
  open(name: string): Promise<BucketPorts | null>
  /** Directory for this bucket's disposable views, or null to keep them in memory. */
  readonly viewDirectory: string | null
  close(): Promise<void>
}

/** What a backend can promise; what it cannot is a reason in words, shown by `blobs doctor` and checked by the conformance suite. */
export interface BackendPromises {
  readonly name: string
  /** What survives a power cut once `append` resolved. */
  readonly durability: 'fsync' | 'process' | 'replicated'
  /** Largest entry that `append` takes, in bytes. */
  readonly maxEntryBytes: number
}
