import { BlobsError } from '../store/contract/errors.ts'

/** Requests, counted by who sent them, so that one cannot keep the server from all others. */
export interface Shares {
  /** Counts one in until the returned function is called; throws `Unavailable` when there are too many under way, or too many in short time. */
  enter(name: string): () => void
}

export interface SharesOptions {
  /** Requests of one name under way. */
  readonly most: number
  /** Requests of one name a second, over time. */
  readonly perSecond: number
  /** How many may come at once after a while without any. */
  readonly burst: number
  /** Milliseconds. */
  readonly now: () => number
}

interface Share {
  underWay: number
  /** What is left of the burst, as it was at that time. */
  left: number
  at: number
}

/** Names kept before those are looked for that have their whole burst again. */
const NAMES = 10_000

export function openShares({ most, perSecond, burst, now }: SharesOptions): Shares {
  const shares = new Map<string, Share>()
  const refill = (share: Share, time: number): void => {
    // A clock that was set back gives nothing.
    share.left = Math.min(burst, share.left + (Math.max(0, time - share.at) * perSecond) / 1000)
    share.at = time
  }
  const shareOf = (name: string, time: number): Share => {
    const known = shares.get(name)
    if (known !== undefined) return known
    if (shares.size >= NAMES) forgetIdle(time)
    const share = { underWay: 0, left: burst, at: time }
    shares.set(name, share)
    return share
  }
  const forgetIdle = (time: number): void => {
    for (const [name, share] of shares) {
      refill(share, time)
      if (share.underWay === 0 && share.left >= burst) shares.delete(name)
    }
  }
  return {
    enter: (name) => {
      const time = now()
      const share = shareOf(name, time)
      refill(share, time)
      if (share.underWay >= most)
        throw tooMany(`this token has ${most} requests under way`, 'wait for some of them to end')
      if (share.left < 1)
        throw tooMany(`this token sends more than ${perSecond} requests a second`, 'send fewer, larger requests')
      share.left--
      share.underWay++
      return () => void share.underWay--
    },
  }
}

function tooMany(message: string, hint: string): BlobsError {
  return new BlobsError('Unavailable', message, { retryAfter: 1000, hint })
}
