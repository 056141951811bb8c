import { createHash } from 'node:crypto'
import type { Secrets } from './secrets.ts'
import { keyId, type Verdict, verifyToken } from './tokens.ts'

/** Checks tokens again and again, cheaply. */
export interface Verifier {
  verify(token: string): Promise<Verdict>
  /** Whether the secret of this name is valid. */
  knows(key: string): boolean
  /** From now on these are valid and no others; false when they were before. */
  renew(secrets: Secrets): boolean
}

const REMEMBERED = 2000

/**
 * Opens a verifier that remembers tokens it found good, until they expire. Bad ones are not remembered: anyone can make
 * them. Tokens themselves are not kept, only their hashes.
 */
export function openVerifier(first: Secrets, now: () => number): Verifier {
  const good = new Map<string, Verdict & { ok: true }>()
  let secrets = first
  let keys = keysOf(first)
  const remembered = (hash: string): Verdict | null => {
    const known = good.get(hash)
    if (!known) return null
    const { expires } = known.grant
    if (expires === null || now() < expires) return known
    good.delete(hash)
    return { ok: false, reason: 'expired' }
  }
  return {
    verify: async (token) => {
      const hash = createHash('sha256').update(token).digest('base64')
      const known = remembered(hash)
      if (known) return known
      const verdict = await verifyToken(token, secrets, now())
      // The secrets may have changed meanwhile.
      if (verdict.ok && keys.has(verdict.grant.key)) {
        good.set(hash, verdict)
        const [oldest] = good.keys()
        if (good.size > REMEMBERED && oldest !== undefined) good.delete(oldest)
      }
      return verdict
    },
    knows: (key) => keys.has(key),
    renew: (fresh) => {
      if (fresh.current === secrets.current && fresh.previous === secrets.previous) return false
      secrets = fresh
      keys = keysOf(fresh)
      good.clear()
      return true
    },
  }
}

function keysOf({ current, previous }: Secrets): ReadonlySet<string> {
  return new Set([current, ...(previous === null ? [] : [previous])].map(keyId))
}
