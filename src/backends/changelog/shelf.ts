import type { Hash } from '../../content/hash.ts'

/** Largest chunk that is kept, and most bytes of all, in bytes. */
const LARGEST = 16 * 1024
const MOST = 4 * 1024 * 1024

/** Small chunks that came by lately, in memory: most that is read is new. */
export interface Shelf {
  /** `bucket` is its id. */
  keep(bucket: string, hash: Hash, bytes: Uint8Array): void
  /** Not to be changed by the caller. */
  get(bucket: string, hash: Hash): Uint8Array | undefined
}

export function openShelf(): Shelf {
  const kept = new Map<string, Uint8Array>()
  let total = 0
  return {
    keep: (bucket, hash, bytes) => {
      const name = `${bucket} ${hash}`
      if (bytes.length > LARGEST || kept.has(name)) return
      kept.set(name, Uint8Array.from(bytes))
      total += bytes.length
      for (const [oldest, old] of kept) {
        if (total <= MOST && kept.size <= MOST / 64) break
        kept.delete(oldest)
        total -= old.length
      }
    },
    get: (bucket, hash) => kept.get(`${bucket} ${hash}`),
  }
}
