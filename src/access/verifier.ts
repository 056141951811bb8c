import { createHash } from 'node:crypto'
import type { Secrets } from './secrets.ts'
import { type Verdict, verifyToken } from './tokens.ts'

/** Checks tokens again and again, cheaply. */
export type Verifier = (token: string) => Promise<Verdict>

const REMEMBERED = 2000

/**
 * Opens a verifier that remembers tokens it found good, until they expire. Bad ones are not remembered: anyone can make
 * them. Tokens themselves are not kept, only their hashes.
 */
export function openVerifier(secrets: Secrets, now: () => number): Verifier {
  const good = new Map<string, Verdict & { ok: true }>()
  return async (token) => {
    const hash = createHash('sha256').update(token).digest('base64')
    const known = good.get(hash)
    if (known) {
      const { expires } = known.grant
      if (expires === null || now() < expires) return known
      good.delete(hash)
      return { ok: false, reason: 'expired' }
    }
    const verdict = await verifyToken(token, secrets, now())
    if (verdict.ok) {
      good.set(hash, verdict)
      const [oldest] = good.keys()
      if (good.size > REMEMBERED && oldest !== undefined) good.delete(oldest)
    }
    return verdict
  }
}
