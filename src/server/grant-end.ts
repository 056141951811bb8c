import type { Grant } from '../access/grant.ts'
import { BlobsError } from '../store/contract/errors.ts'

/** Calls `end` with the reason, once, when a grant that was good is so no longer; returns how to stop waiting for that. */
export function watchGrant(
  grant: Pick<Grant, 'expires'>,
  now: () => number,
  end: (why: BlobsError) => void,
): () => void {
  if (grant.expires === null) return () => undefined
  return at(grant.expires, now, () =>
    end(new BlobsError('Unauthenticated', 'the token has expired', { hint: 'ask for a new token' })),
  )
}

/** Calls at a time that may lie beyond what a timer takes; returns how to cancel it. */
function at(time: number, now: () => number, fn: () => void): () => void {
  const longest = 2 ** 31 - 1
  const step = (): NodeJS.Timeout =>
    setTimeout(() => (now() >= time ? fn() : (timer = step())), Math.min(Math.max(time - now(), 0), longest))
  let timer = step()
  return () => clearTimeout(timer)
}
