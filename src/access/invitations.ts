import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { openTries } from './tries.ts'

/** What whoever brings the code gets a token for. */
interface Invited {
  readonly bucket: string
  /** Keys below `prefix/`; '' for the whole bucket. */
  readonly prefix: string
}
interface Invitation {
  /** 22 characters of base64url: 128 random bits. */
  readonly code: string
  /** Milliseconds since 1970. */
  readonly expires: number
}
export type Redeemed =
  | { readonly ok: true; readonly invited: Invited }
  | { readonly ok: false; readonly reason: 'unknown' | 'spent' | 'expired' }
  | { readonly ok: false; readonly reason: 'too-many-tries'; readonly retryIn: number }

/** One-time codes, in memory only: they end with the process. */
export interface Invitations {
  /** Lasts `milliseconds`. */
  issue(invited: Invited, milliseconds: number): Invitation
  /** Spends the code if it is good. `from` is the address that it came from; one that tries too many wrong codes must wait. */
  redeem(code: string, from: string): Redeemed
}
export interface Times {
  /** Milliseconds since 1970; may step. */
  now(): number
  /** Milliseconds that only go forward; may stand still while the machine sleeps. */
  elapsed(): number
}

export const CODE = /^[A-Za-z0-9_-]{22}$/
/** How long a code is good unless said otherwise, and at most: 10 minutes. */
export const CODE_LASTS = 10 * 60_000

/** Wrong codes that one address may bring within `WINDOW` milliseconds. */
const TRIES = 5
const WINDOW = 60_000
/** Codes that are remembered; the oldest are forgotten first. */
const CODES = 1000

interface Held {
  readonly digest: Buffer
  readonly invited: Invited
  readonly expires: { readonly now: number; readonly elapsed: number }
  spent: boolean
}

export function openInvitations(times: Times): Invitations {
  const codes: Held[] = []
  const tries = openTries({ most: TRIES, window: WINDOW, elapsed: () => times.elapsed() })
  return {
    issue: (invited, milliseconds) => {
      // Chance is not an argument here: a code that a caller could choose is no secret.
      const code = randomBytes(16).toString('base64url')
      const lasts = Math.min(milliseconds, CODE_LASTS)
      const expires = { now: times.now() + lasts, elapsed: times.elapsed() + lasts }
      codes.push({ digest: digestOf(code), invited, expires, spent: false })
      if (codes.length > CODES) codes.shift()
      return { code, expires: expires.now }
    },
    redeem: (code, from) => {
      const retryIn = tries.waitOf(from)
      if (retryIn > 0) return { ok: false, reason: 'too-many-tries', retryIn }
      const held = find(codes, code)
      // Whoever brings a right code may know what became of it.
      if (held === null) tries.count(from)
      if (held === null) return { ok: false, reason: 'unknown' }
      if (held.spent) return { ok: false, reason: 'spent' }
      // A clock that is set, or one that stood still, must not make it last longer.
      if (times.now() >= held.expires.now || times.elapsed() >= held.expires.elapsed)
        return { ok: false, reason: 'expired' }
      held.spent = true
      return { ok: true, invited: held.invited }
    },
  }
}

/** Looks at all of them, each in constant time. */
function find(codes: readonly Held[], code: string): Held | null {
  const digest = digestOf(code)
  let found: Held | null = null
  for (const held of codes) if (timingSafeEqual(held.digest, digest)) found = held
  return found
}

function digestOf(code: string): Buffer {
  return createHash('sha256').update(code).digest()
}
