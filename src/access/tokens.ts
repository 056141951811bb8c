import { createHash, createHmac } from 'node:crypto'
import { type Capability, type Grant, isCapabilities } from './grant.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { SYSTEM_BUCKET } from '../store/contract/keys.ts'
import type { Secrets } from './secrets.ts'

/** What a new token shall allow. */
export interface TokenRequest {
  /** One bucket, or `*`. */
  readonly bucket: string
  /** Default: read, write, delete. */
  readonly can?: readonly Capability[]
  /** Whole segments; absent: the whole bucket. */
  readonly prefixes?: readonly string[]
  readonly name?: string
  /** Milliseconds since 1970; rounded down to seconds. */
  readonly expires?: number
}

/** Why a token is not taken. */
export type Rejection =
  | 'malformed'
  | 'wrong-algorithm'
  | 'wrong-signature'
  | 'expired'
  | 'not-yet-valid'
  | 'bad-claims'
  | 'revoked'
export type Verdict = { readonly ok: true; readonly grant: Grant } | { readonly ok: false; readonly reason: Rejection }

/** What a token without a `can` claim may do. */
const DEFAULT: readonly Capability[] = ['read', 'write', 'delete']
export const ALGORITHM = 'HS256'
const MAX_TOKEN = 8192
/** Longest name, UTF-8 bytes: it becomes the author of entries. */
const MAX_NAME = 256

/** Signs a token with the current secret. `now` in milliseconds since 1970; `id` becomes its `jti`. Throws `InvalidRequest` for one that is too long. */
export async function mintToken(
  request: TokenRequest,
  secrets: Secrets,
  { now, id }: { readonly now: number; readonly id: string },
): Promise<string> {
  const { SignJWT } = await import('jose/jwt/sign')
  const claims = {
    bucket: request.bucket,
    ...(request.name === undefined ? {} : { name: request.name }),
    ...(request.prefixes === undefined ? {} : { prefixes: request.prefixes.map(trimmed) }),
    can: [...(request.can ?? DEFAULT)],
  }
  const token = new SignJWT(claims)
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: keyId(secrets.current) })
    .setJti(id)
    // To the millisecond: one made right after all older ones were revoked is not among them.
    .setIssuedAt(now / 1000)
  if (request.expires !== undefined) token.setExpirationTime(Math.floor(request.expires / 1000))
  const signed = await token.sign(bytesOf(secrets.current))
  if (signed.length <= MAX_TOKEN) return signed
  throw new BlobsError('InvalidRequest', 'the token would be too long', { hint: 'name fewer folders' })
}

/** What a token that is made as asked for allows; `expires` as RFC 3339. */
export function tokenScope(request: TokenRequest) {
  const { bucket, name = '', prefixes, can = DEFAULT, expires } = request
  return {
    name,
    bucket,
    prefixes: prefixes?.map(trimmed) ?? null,
    can,
    expires: expires === undefined ? null : new Date(Math.floor(expires / 1000) * 1000).toISOString(),
  }
}

/** Checks signature (by the current secret or the previous one), times and claims. `now` in milliseconds since 1970. */
export async function verifyToken(token: string, secrets: Secrets, now: number): Promise<Verdict> {
  const signed = await verifySigned(token, secrets, now)
  if (typeof signed === 'string') return { ok: false, reason: signed }
  const grant = grantOf(token, signed.claims, signed.key)
  return grant === null ? { ok: false, reason: 'bad-claims' } : { ok: true, grant }
}

/** The claims under a good signature that hold now, and the name of the secret that made it. */
export async function verifySigned(
  token: string,
  secrets: Secrets,
  now: number,
): Promise<{ readonly claims: Claims; readonly key: string } | Rejection> {
  if (token.length > MAX_TOKEN) return 'malformed'
  const keys = secrets.previous === null ? [secrets.current] : [secrets.current, secrets.previous]
  let reason: Rejection = 'malformed'
  for (const key of keys) {
    const read = await readClaims(token, key, now)
    if (typeof read === 'object') return { claims: read, key: keyId(key) }
    reason = read
    if (reason !== 'wrong-signature') break
  }
  return reason
}

type Claims = Readonly<Record<string, unknown>>

async function readClaims(token: string, secret: string, now: number): Promise<Claims | Rejection> {
  const [{ jwtVerify }, errors] = await Promise.all([import('jose/jwt/verify'), import('jose/errors')])
  try {
    const verified = await jwtVerify(token, bytesOf(secret), { algorithms: [ALGORITHM], currentDate: new Date(now) })
    return verified.payload
  } catch (error) {
    if (error instanceof errors.JWTExpired) return 'expired'
    if (error instanceof errors.JOSEAlgNotAllowed) return 'wrong-algorithm'
    if (error instanceof errors.JWSSignatureVerificationFailed) return 'wrong-signature'
    if (error instanceof errors.JWTClaimValidationFailed) return error.claim === 'nbf' ? 'not-yet-valid' : 'bad-claims'
    return 'malformed'
  }
}

/** Null unless every claim that we know has its form: a scope that cannot be read must not become a wider one. */
function grantOf(token: string, claims: Claims, key: string): Grant | null {
  const { bucket, jti, name, prefixes, can, exp, iat } = claims
  if (typeof bucket !== 'string' || bucket === '' || bucket === SYSTEM_BUCKET) return null
  if (jti !== undefined && typeof jti !== 'string') return null
  if (name !== undefined && !isName(name)) return null
  if (prefixes !== undefined && !isPrefixes(prefixes)) return null
  if (can !== undefined && !isCapabilities(can)) return null
  return {
    id: jti ?? createHash('sha256').update(token).digest('hex').slice(0, 32),
    name: name ?? '',
    bucket,
    prefixes: prefixes === undefined ? null : prefixes.map(trimmed),
    can: can ?? DEFAULT,
    expires: typeof exp === 'number' ? exp * 1000 : null,
    issued: typeof iat === 'number' ? Math.round(iat * 1000) : null,
    key,
  }
}

export function isName(value: unknown): value is string {
  return typeof value === 'string' && Buffer.byteLength(value) <= MAX_NAME && !value.includes('\0')
}

function isPrefixes(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string' && trimmed(one) !== '')
  )
}

function trimmed(prefix: string): string {
  return prefix.replace(/\/+$/, '')
}

/** Names a secret without telling it, for the `kid` header. */
export function keyId(secret: string): string {
  return createHmac('sha256', secret).update('blobs key id').digest('hex').slice(0, 8)
}

export function bytesOf(secret: string): Uint8Array {
  return new TextEncoder().encode(secret)
}
