import type { Hash } from '../../content/hash.ts'

/** What mends whatever is wrong with a store as far as it can be mended. */
export const REPAIR = 'blobs doctor --repair'

/** Chunks whose bytes are not those of their hash, or not there at all. */
export interface Damage {
  add(bucket: number, hash: Hash): void
  has(bucket: number, hash: Hash): boolean
  all(): Iterable<{ readonly bucket: number; readonly hash: Hash }>
}

export function openDamage(): Damage {
  const found = new Map<number, Set<Hash>>()
  return {
    add: (bucket, hash) => void found.set(bucket, (found.get(bucket) ?? new Set()).add(hash)),
    has: (bucket, hash) => found.get(bucket)?.has(hash) ?? false,
    all: function* () {
      for (const [bucket, hashes] of found) for (const hash of hashes) yield { bucket, hash }
    },
  }
}
