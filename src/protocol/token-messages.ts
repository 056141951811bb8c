import { limits } from './limits.ts'
import { label, timestamp } from './messages.ts'
import { flag, integer, list, literal, nullable, object, text } from './schema.ts'

const bucket = text(63)
const can = list(literal('read', 'write', 'delete', 'admin'), 4, 1)
const prefixes = list(text(1025), limits.tokenPrefixes, 1)
const id = text(limits.label)
/** A name that was taken from a token of somebody else's making. */
const anyText = text(Number.MAX_SAFE_INTEGER)

/** Body of `POST /v1/tokens`. */
export const tokenRequest = object({ bucket }, { can, prefixes, name: label, expires: timestamp }, 'closed')
/** Body of `POST /v1/tokens/revoke`. */
export const revokeRequest = object(
  {},
  { ids: list(id, limits.tokenIds, 1), made: flag, issuedBefore: timestamp, bucket },
  'closed',
)
/** Body of `POST /v1/tokens/rotate`; `keep` in milliseconds. */
export const rotateRequest = object({ keep: integer(0) }, {}, 'closed')

const scope = {
  id: anyText,
  name: anyText,
  bucket,
  prefixes: nullable(list(anyText, 100_000)),
  can: list(literal('read', 'write', 'delete', 'admin'), 4),
  expires: nullable(timestamp),
}
const record = { ...scope, issued: timestamp, by: anyText, revoked: nullable(timestamp) }
/** Answer of `GET /v1/tokens/{id}`. */
export const tokenRecord = object(record)
/** Answer of `POST /v1/tokens`. */
export const newToken = object({ token: text(16_384), ...record })
/** Answer of `GET /v1/tokens`. */
export const tokensAnswer = object({ tokens: list(tokenRecord, limits.page), complete: flag }, { next: anyText })
/** Answer of `GET /v1/tokens/self`. */
export const ownToken = object({ ...scope, issued: nullable(timestamp) })
/** Answer of `POST /v1/tokens/revoke`. */
export const revokedAnswer = object({ revoked: list(anyText, 1_000_000) })
