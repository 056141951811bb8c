import type { Hash } from '../content/hash.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import type { Foreign, ForeignPromises } from './mirror/foreign.ts'
import type { AddressStore } from './contract/addresses.ts'
import type { BlobStore } from './contract/blob-store.ts'

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
  /**
   * Appends if `after` is the last position still; null, with nothing appended, if it is not. It may append the first of the entries
   * alone: it gives the positions of those that it did. Absent where the place cannot tell.
   */
  appendAt?(entries: readonly RawEntry[], options: { readonly after: Position }): Promise<readonly Position[] | null>
  /** What is in the log after `after` (0 = from the start) at the time of the call, in order, in batches. */
  read(options: { readonly after: Position }): AsyncIterable<readonly Placed[]>
  /** Resolves when something may have been appended after `after`, whichever process did it, or the signal aborts. May resolve early; never sleeps through. */
  wait(options: { readonly after: Position; readonly signal: AbortSignal }): Promise<void>
  /** Absent where entries stay for ever; `BackendPromises.cannot` says why. */
  readonly trimming?: Trimming
  close(): Promise<void>
}

/** What lets a log forget its beginning. Reading behind the floor, and `append` by who has not read up to it, throw `CursorExpired`. */
export interface Trimming {
  /** Entries up to this position are gone, or may be at any moment; 0 for none. Never goes back. */
  floor(): Promise<Position>
  /** Forgets entries up to a position that a checkpoint covers; the floor is durable before the first of them goes. */
  trim(options: { readonly through: Position }): Promise<void>
  /** The newest there is. */
  checkpoint(): Promise<Checkpoint | null>
  /** Durable when it resolves. An older one than there is changes nothing. */
  saveCheckpoint(checkpoint: Checkpoint): Promise<void>
}
/** What the log's entries up to a position amount to, in Content under one hash. */
export interface Checkpoint {
  readonly position: Position
  readonly root: Hash
}

/** Bytes by SHA-256, of one bucket. */
export interface Content {
  /** Durable when it resolves. A hash that is there already is kept, and as if it were put now. Does not check the hashes: callers did. */
  put(chunks: readonly { readonly hash: Hash; readonly bytes: Uint8Array }[]): Promise<void>
  /** In the order of `hashes`; null for one that is not there. Bytes are as stored: callers verify. They are the caller's own: nobody else has their memory. */
  get(hashes: readonly Hash[]): Promise<readonly (Uint8Array | null)[]>
  /**
   * Those that are there are as if they were put now, give or take `RENEWED_WITHIN`: who asks may be about to name them. Where there is
   * `Sweeping.aside` they are not: what is set aside then stays for so long that who has asked names it before it goes.
   */
  missing(hashes: readonly Hash[]): Promise<readonly Hash[]>
  /** How many bytes `get` would give of each, without reading them. Absent where the place cannot tell. */
  sizes?(hashes: readonly Hash[]): Promise<readonly (number | null)[]>
  /** Absent where chunks stay for ever; `BackendPromises.cannot` says why. */
  readonly sweeping?: Sweeping
  close(): Promise<void>
}
/** By how much, in milliseconds, a chunk may be older than it seems: to write down each time that it is asked for would cost too much. */
export const RENEWED_WITHIN = 15 * 60_000

export interface Sweeping {
  /** The time by the place's own clock, in milliseconds since 1970. */
  now(): Promise<number>
  /** Every chunk, in any order, in batches; what comes or goes meanwhile may be in it or not. */
  chunks(): AsyncIterable<readonly StoredChunk[]>
  /**
   * Removes chunks as they were listed, or sets them aside where there is `aside`; gives those of which that is so. One that is not there is
   * passed over; without `aside`, one that was put or asked for since stays.
   */
  remove(chunks: readonly StoredChunk[]): Promise<Removed>
  /** Absent where `remove` sees whether a chunk was put or asked for just now. */
  readonly aside?: Aside
  /** Gives the room of what was removed back to the disk; absent where `remove` does. `pace` is awaited with the bytes that were moved. */
  compact?(pace: (bytes: number) => Promise<void>): Promise<void>
}
/**
 * Where a place cannot tell, in the moment in which it takes a chunk away, whether another has just asked for it. What is aside `missing` names,
 * and `get` gives still. Who puts such a chunk again has it beside what is aside, and loses nothing by what happens to that.
 */
export interface Aside {
  /** `modified` is when it was set aside. A chunk may be there more than once, and in `Sweeping.chunks` as well. */
  chunks(): AsyncIterable<readonly StoredChunk[]>
  /** Puts chunks back as they were listed; those that are there no more are passed over. */
  restore(chunks: readonly StoredChunk[]): Promise<void>
  /** Removes chunks as they were listed, for good; those that are there no more are passed over. */
  remove(chunks: readonly StoredChunk[]): Promise<Removed>
}
export interface StoredChunk {
  readonly hash: Hash
  readonly size: number
  /** When it was put last, or asked for, in milliseconds since 1970 by the place's own clock. */
  readonly modified: number
  /** Tells it from the same chunk at another time, where the place needs that. */
  readonly tag?: string
}
export interface Removed {
  readonly chunks: number
  readonly bytes: number
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

/** What a place can promise; what it cannot is a reason in words, shown by `blobs doctor` and in docs/backends.md, and checked by the tests. */
export interface PlacePromises {
  readonly name: string
  /**
   * What survives a power cut once `append` resolved: all (`fsync`), nothing (`process`), all while most of the replicas live on
   * (`replicated`), or what the service at the other end promises for what it acknowledged (`service`).
   */
  readonly durability: 'fsync' | 'process' | 'replicated' | 'service'
  /** How those who wait learn of an append by another process: they are told, or look every so often. */
  readonly live: 'pushed' | 'polled'
  readonly cannot: Readonly<Partial<Record<Ability, string>>>
}
export interface BackendPromises extends PlacePromises {
  /** Largest entry that `append` takes, in bytes. */
  readonly maxEntryBytes: number
  /** While it changes its leader, a reader may for some seconds find the log as it was a moment ago. */
  readonly mayLag?: true
}
/** What callers may want of a place that not every place can do. */
type Ability = (typeof ABILITIES)[number]
export const ABILITIES = [
  /** Several writers at once: nothing that one wrote is overwritten by another who did not see it. */
  'several writers',
  /** Of several who replace the same version at the same time one does; the others are told. */
  'compare and swap',
  /** The changes of one entry happen together for everybody, also for those who use the place by other programs. */
  'batches',
  /** Older versions can be read. */
  'history',
  /** The same version numbers for every machine. */
  'one order',
  /** Buckets are made and removed. */
  'making buckets',
  /** The log forgets its beginning. */
  'trimming',
  /** Chunks that nothing refers to are removed. */
  'sweeping',
] as const

/** What a backend gets to know when it is opened. */
export interface BackendContext {
  readonly clock: Clock
  readonly ids: Ids
  readonly env: Readonly<Record<string, string | undefined>>
  /** What was given by hand or is kept for this place, and for no other; null if there is nothing. */
  token(): Promise<string | null>
  /** PEM: authorities to trust besides the usual. */
  readonly ca?: string
  /** The HTTP proxy that the way to an `http:` or `https:` URL goes by, or null for none. Throws `InvalidRequest` for what is no proxy. */
  proxyFor(url: string): string | null
  /** For disposable files about this place alone; absolute, not made yet. */
  readonly cacheDirectory: string
  /** For what should stay, about this place alone; absolute, not made yet. */
  readonly stateDirectory: string
  /** The user says that nobody else writes there: a place that cannot keep several writers apart may be used. */
  readonly singleWriter: boolean
  /** Tells the user something once; never a secret. */
  warn(message: string): void
}

/** Where a place is, as its URL says: `SCHEME://AUTHORITY/PATH?OPTIONS`, without a bucket. */
export interface PlaceAddress {
  readonly scheme: string
  /** As written; no user name, no password. '' for what is on this machine. */
  readonly authority: string
  /** '' or from its first slash on, without one at its end; percent-decoded. */
  readonly path: string
  readonly options: ReadonlyMap<string, string>
  /** The whole, for messages and as a name. */
  readonly text: string
}

/**
 * How the places of one scheme are opened. I/O may wait for the first call. Both throw `InvalidRequest` for an option that is unknown or wrong,
 * naming those there are; `single-writer`, which every place takes, is taken out before.
 */
export type Driver = BackendDriver | ForeignDriver
/** Of places that can hold our logs. */
export interface BackendDriver extends Examining {
  readonly promises: BackendPromises
  open(address: PlaceAddress, context: BackendContext): Promise<Backend>
  /**
   * Opens what a bucket there holds besides what is ours, one by one, under keys that `locations/drivers.ts` knows. The store reads and
   * writes single keys; the rest it refuses with `NotSupported`.
   */
  openSingles?(address: PlaceAddress, context: BackendContext, bucket: string): Promise<BlobStore>
}
/** Of places that hold plain current bytes by name: a mirror on this machine gives them versions. */
export interface ForeignDriver extends Examining {
  readonly promises: ForeignPromises
  openForeign(address: PlaceAddress, context: BackendContext): Promise<Foreign>
}
interface Examining {
  /** What `blobs doctor` tells of a place beside what it promises and whether it opens; ends with the first error that stops it, which is thrown. */
  examine?(address: PlaceAddress, context: BackendContext): AsyncIterable<PlaceFinding>
}
/** `fact`: as it should be, or just so. */
export interface PlaceFinding {
  readonly code: string
  readonly severity: 'warning' | 'fact'
  readonly message: string
  /** '' for a fact. */
  readonly remedy: string
}

/** How the places of one scheme are opened that hold bytes by their address, and no buckets. */
export interface AddressDriver {
  /** As `Driver.open`. */
  open(address: PlaceAddress, context: BackendContext): Promise<AddressStore>
}
