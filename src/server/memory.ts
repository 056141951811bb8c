import { BlobsError } from '../store/contract/errors.ts'
import { openSlabs, SLAB_BYTES, type Slabs } from '../store/contract/slabs.ts'

/** Slabs that stay between requests: what a few large uploads take. */
const KEPT = 16

/** Memory for the chunks of all requests, `bytes` at most. Who waits longer than `patience` milliseconds gets `Unavailable`. */
export function openMemory(bytes: number, patience: number): Slabs {
  const slabs = openSlabs({ most: Math.floor(bytes / SLAB_BYTES), kept: KEPT })
  return {
    ...slabs,
    borrow: async () => {
      const waiting = new AbortController()
      const timer = setTimeout(() => waiting.abort(tooMany()), patience)
      try {
        return await slabs.borrow(waiting.signal)
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

function tooMany(): BlobsError {
  return new BlobsError('Unavailable', 'the server has too many uploads under way', {
    retryAfter: 1000,
    hint: 'the same request may succeed in a moment',
  })
}
