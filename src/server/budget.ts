import { BlobsError } from '../store/contract/errors.ts'

/** A sum of bytes that may be held at once. */
export interface Budget {
  /** Takes so many bytes until the returned function is called; throws `Unavailable` when they are not left. */
  take(bytes: number): () => void
}

export function openBudget(total: number): Budget {
  let left = total
  return {
    take: (bytes) => {
      if (bytes > left) {
        throw new BlobsError('Unavailable', 'the server has too many uploads under way', {
          retryAfter: 1000,
          hint: 'the same request may succeed in a moment',
        })
      }
      left -= bytes
      let held = bytes
      return () => {
        left += held
        held = 0
      }
    },
  }
}
