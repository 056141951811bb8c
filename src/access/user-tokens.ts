import type { Grant } from './grant.ts'
import type { Secrets } from './secrets.ts'
import { ALGORITHM, bytesOf, keyId, type Rejection, verifySigned } from './tokens.ts'

/** What a user of seed 001 shows: who he is, and for how long. It names no bucket, so that it is no token of `/v1`. */
export interface UserToken {
  readonly user: number
  /** As those of a grant. */
  readonly id: string
  readonly key: string
  readonly issued: number
  readonly expires: number
}

/** Signs one with the current secret; times in milliseconds since 1970, rounded down to seconds. `id` becomes its `jti`. */
export async function mintUserToken(
  { user, id, issued, expires }: Omit<UserToken, 'key'>,
  secrets: Secrets,
): Promise<string> {
  const { SignJWT } = await import('jose/jwt/sign')
  return new SignJWT({ user_id: user })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: keyId(secrets.current) })
    .setJti(id)
    .setIssuedAt(issued / 1000)
    .setExpirationTime(Math.floor(expires / 1000))
    .sign(bytesOf(secrets.current))
}

/** Checks signature, times and claims; `now` in milliseconds since 1970. */
export async function verifyUserToken(token: string, secrets: Secrets, now: number): Promise<UserToken | Rejection> {
  const signed = await verifySigned(token, secrets, now)
  if (typeof signed === 'string') return signed
  const { user_id: user, jti: id, iat, exp, bucket } = signed.claims
  if (typeof user !== 'number' || !Number.isSafeInteger(user) || user < 1 || typeof id !== 'string') return 'bad-claims'
  if (typeof iat !== 'number' || typeof exp !== 'number' || bucket !== undefined) return 'bad-claims'
  return { user, id, key: signed.key, issued: Math.round(iat * 1000), expires: exp * 1000 }
}

/** What a user's token allows in one of his buckets. */
export function userGrant({ id, key, issued, expires }: UserToken, name: string, bucket: string): Grant {
  return { id, name, bucket, prefixes: null, can: ['read', 'write', 'delete'], expires, issued, key }
}
