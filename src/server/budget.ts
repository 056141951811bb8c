import { BlobsError } from '../store/contract/errors.ts'

/** A sum of bytes that may be held at once. */
export interface Budget {
  /** Takes so many bytes for one of many until the returned function is called; throws `Unavailable` when they are not left. */
  take(name: string, bytes: number): () => void
}

/** `share` is the most that one name has of the total. */
export function openBudget(total: number, share: number): Budget {
  const held = new Map<string, number>()
  let left = total
  const add = (name: string, bytes: number): void => {
    left -= bytes
    const sum = (held.get(name) ?? 0) + bytes
    if (sum === 0) held.delete(name)
    else held.set(name, sum)
  }
  return {
    take: (name, bytes) => {
      const own = held.get(name) ?? 0
      // What is larger than a share may still come, alone.
      if (bytes > left || (own > 0 && own + bytes > share)) {
        throw new BlobsError('Unavailable', 'the server has too many uploads under way', {
          retryAfter: 1000,
          hint: 'the same request may succeed in a moment',
        })
      }
      add(name, bytes)
      let taken = bytes
      return () => {
        add(name, -taken)
        taken = 0
      }
    },
  }
}
