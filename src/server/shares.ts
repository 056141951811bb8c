import { BlobsError } from '../store/contract/errors.ts'

/** Requests under way, counted by who sent them, so that one cannot keep the server from all others. */
export interface Shares {
  /** Counts one in until the returned function is called; throws `Unavailable` when there are too many. */
  enter(name: string): () => void
}

export function openShares(most: number): Shares {
  const counts = new Map<string, number>()
  const add = (name: string, one: 1 | -1): void => {
    const count = (counts.get(name) ?? 0) + one
    if (count === 0) counts.delete(name)
    else counts.set(name, count)
  }
  return {
    enter: (name) => {
      if ((counts.get(name) ?? 0) >= most) {
        throw new BlobsError('Unavailable', `this token has ${most} requests under way`, {
          retryAfter: 1000,
          hint: 'wait for some of them to end',
        })
      }
      add(name, 1)
      return () => add(name, -1)
    },
  }
}
