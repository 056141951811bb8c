import { type Body, ContentDamaged, refsOnce } from '../../content/body.ts'
import type { Hash } from '../../content/hash.ts'

/** What a writer is known to have brought itself. */
export interface Brought {
  has(hash: Hash): boolean
  /** The bytes of a list object it brought, or null. */
  list(hash: Hash): Uint8Array | null
}

/** A chunk or list object, on any level of the body, that was not brought; null if all were. `pause` is awaited now and then. */
export async function notBrought(body: Body, brought: Brought, pause: () => Promise<void>): Promise<Hash | null> {
  try {
    const lists = (hashes: readonly Hash[]) => Promise.resolve(hashes.map((hash) => brought.list(hash)))
    for await (const refs of refsOnce(body, lists, pause)) {
      const other = refs.find((ref) => !brought.has(ref.hash))
      if (other) return other.hash
    }
    return null
  } catch (error) {
    if (error instanceof ContentDamaged) return error.hash
    throw error
  }
}
