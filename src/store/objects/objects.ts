/**
 * Named objects, each made once by whoever is first, whole, and never changed: all that a log and content need of a place. Names are
 * of lower-case letters, digits, `-`, `.`, `_` and `/`. Failures that may pass are `Unavailable`: then the outcome is not known.
 */
export interface Objects {
  /** Durable as the place promises when it resolves; false, with nothing done, if the name is taken. Of many callers at once one makes it. */
  create(name: string, bytes: Uint8Array): Promise<boolean>
  /** Makes each that is not there; durable when it resolves. For objects whose names tell their bytes: any of several callers may be the one who makes one. */
  createAll(objects: readonly { readonly name: string; readonly bytes: Uint8Array }[]): Promise<void>
  /** The caller's own memory. Null if there is none. Whoever learnt of an object reads it, whole. */
  read(name: string): Promise<Uint8Array | null>
  /** Which of these are not there. */
  missing(names: readonly string[]): Promise<readonly string[]>
  /** Those whose names start with `prefix` and sort behind `after`, in the order of their bytes, in batches. An object that was made before the call is in it. */
  list(options: { readonly prefix: string; readonly after?: string }): AsyncIterable<readonly StoredObject[]>
  /**
   * Gives objects other names, which nobody else uses; gives the places in `moves` of those that have theirs. What is not there is passed over.
   * At every moment each is there by one of both names at least. By its new one it counts as made at the time of the move, and nothing is
   * taken from its old name later than `MOVED_WITHIN` after that.
   */
  move(moves: readonly Move[]): Promise<readonly number[]>
  /** The time by the place's clock, in milliseconds since 1970. */
  now(): Promise<number>
  /** What is not there is passed over. */
  remove(names: readonly string[]): Promise<void>
  /** Resolves when there may be a new object under `prefix`, or when the signal aborts. Absent: look every so often. */
  wait?(options: { readonly prefix: string; readonly signal: AbortSignal }): Promise<void>
  close(): Promise<void>
}
export interface Move {
  readonly from: string
  readonly to: string
}
/** Milliseconds. */
export const MOVED_WITHIN = 10 * 60_000
export interface StoredObject {
  readonly name: string
  readonly size: number
  /** Milliseconds since 1970 by the place's clock. */
  readonly modified: number
}
