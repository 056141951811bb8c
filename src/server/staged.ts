import type { Brought } from '../store/contract/confine.ts'
import type { Chunk } from '../store/contract/types.ts'

/** Which chunks each confined token staged lately: what it may name without being asked where it knows them from. */
export interface StagedMemory {
  add(token: string, bucket: string, chunks: readonly Chunk[]): void
  of(token: string, bucket: string): Brought
}

// A commit comes soon after its staging; later, its chunks have to be sent again.
const KEPT_FOR = 60 * 60 * 1000
const CHUNKS = 1_000_000
const LIST_BYTES = 64 * 1024 * 1024
/** Largest list object: 4096 references of 40 bytes. */
const MAX_LIST = 4096 * 40

interface Record {
  readonly at: number
  /** Bytes that may be a list object; null for those that cannot be one. */
  readonly list: Uint8Array | null
}

/** Opens a memory that is bounded: the oldest is forgotten first, which costs its writer a second upload. */
export function openStagedMemory(now: () => number): StagedMemory {
  const records = new Map<string, Record>()
  let listBytes = 0
  const forget = (name: string): void => {
    listBytes -= records.get(name)?.list?.length ?? 0
    records.delete(name)
  }
  const trim = (): void => {
    for (const [name, { at }] of records) {
      if (records.size <= CHUNKS && listBytes <= LIST_BYTES && now() - at < KEPT_FOR) return
      forget(name)
    }
  }
  const nameOf = (token: string, bucket: string, hash: string): string => `${token}\n${bucket}\n${hash}`
  return {
    add: (token, bucket, chunks) => {
      for (const { hash, bytes } of chunks) {
        const name = nameOf(token, bucket, hash)
        forget(name)
        const list = bytes.length % 40 === 0 && bytes.length <= MAX_LIST ? Uint8Array.from(bytes) : null
        records.set(name, { at: now(), list })
        listBytes += list?.length ?? 0
      }
      trim()
    },
    of: (token, bucket) => {
      const find = (hash: string): Record | undefined => {
        const found = records.get(nameOf(token, bucket, hash))
        return found && now() - found.at < KEPT_FOR ? found : undefined
      }
      return { has: (hash) => find(hash) !== undefined, list: (hash) => find(hash)?.list ?? null }
    },
  }
}
