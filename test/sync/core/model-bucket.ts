import type { Content, Expectation, Path, Remote } from '../../../src/sync/core/types.ts'

interface Version {
  readonly version: number
  /** Null: a tombstone. */
  readonly content: Content | null
  readonly entry: string
}

/** A bucket in memory: versions by key, conditional writes, nothing else. */
export interface Bucket {
  keys(): readonly Path[]
  current(key: Path): Remote | null
  /** True if some version of the key, after the given one, holds these bytes. */
  everHeld(key: Path, hash: string, after?: number): boolean
  /** Null: the expectation did not hold, and nothing happened. */
  put(key: Path, content: Content, expect: Expectation | 'any'): number | null
  remove(key: Path, expect: Expectation | 'any'): boolean
  holds(key: Path, version: number): Content | null
  /** How many versions the key has had, tombstones counted. */
  versions(key: Path): number
  /** Counts restores: what a cursor would notice. */
  readonly epoch: number
  snapshot(): void
  restore(): void
}

export function createBucket(): Bucket {
  let blobs = new Map<Path, readonly Version[]>()
  let saved = new Map<Path, readonly Version[]>()
  let entries = 0
  let epoch = 0
  const last = (key: Path): Version | undefined => blobs.get(key)?.at(-1)
  const meets = (key: Path, expect: Expectation | 'any'): boolean => {
    const now = last(key)
    if (expect === 'any') return true
    if (expect === 'absent') return now === undefined || now.content === null
    return now !== undefined && now.version === expect.version && (now.content?.hash ?? now.entry) === expect.hash
  }
  const append = (key: Path, content: Content | null): number => {
    const version = (last(key)?.version ?? 0) + 1
    entries += 1
    blobs.set(key, [...(blobs.get(key) ?? []), { version, content, entry: `entry${entries}` }])
    return version
  }
  return {
    keys: () => [...blobs.keys()],
    current(key) {
      const now = last(key)
      if (now === undefined) return null
      return now.content === null
        ? { kind: 'deleted', version: now.version, entry: now.entry }
        : { ...now.content, version: now.version }
    },
    everHeld: (key, hash, after = 0) =>
      (blobs.get(key) ?? []).some(({ version, content }) => version > after && content?.hash === hash),
    put: (key, content, expect) => (meets(key, expect) ? append(key, content) : null),
    remove(key, expect) {
      if (!meets(key, expect)) return false
      if (last(key)?.content) append(key, null)
      return true
    },
    holds: (key, version) => (blobs.get(key) ?? []).find((each) => each.version === version)?.content ?? null,
    versions: (key) => last(key)?.version ?? 0,
    get epoch() {
      return epoch
    },
    snapshot() {
      saved = new Map(blobs)
    },
    restore() {
      blobs = new Map(saved)
      epoch += 1
    },
  }
}
