import type { Placed } from './log.ts'

/** A version that lost its name to a write whose writer had not seen it. */
export interface Overwritten {
  readonly ref: string
  readonly version: string
  /** When it was written; milliseconds since 1970. */
  readonly time: number
  /** Null: it was deleted. */
  readonly by: string | null
  /** Name of the entry that did it. */
  readonly entry: string
}

/**
 * Which versions were overwritten unseen, as far as entries (the oldest first) tell: each holds what its writer had seen, so that what stood there in
 * truth, and is not what he saw, was news to him.
 */
export function findOverwritten(entries: readonly Placed[]): readonly Overwritten[] {
  const standing = new Map<string, { readonly version: string | null; readonly time: number }>()
  const found: Overwritten[] = []
  for (const { key, time, entry } of entries) {
    for (const [ref, version] of entry.update) {
      const before = standing.get(ref)
      if (before && before.version !== null && before.version !== version && before.version !== entry.files.get(ref)) {
        found.push({ ref, version: before.version, time: before.time, by: version, entry: key })
      }
      standing.set(ref, { version, time })
    }
  }
  return found
}
