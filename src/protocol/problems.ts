import { conflicts } from './messages.ts'
import { type Checked, integer, literal, object, text } from './schema.ts'

const long = text(Number.MAX_SAFE_INTEGER)
const code = literal(
  'NotFound',
  'VersionConflict',
  'AlreadyExists',
  'Unauthenticated',
  'Forbidden',
  'Unavailable',
  'Corrupt',
  'TooLarge',
  'QuotaExceeded',
  'NotSupported',
  'CursorExpired',
  'CursorForked',
  'InvalidKey',
  'InvalidRequest',
  'Refused',
  'Internal',
)
/** Stable names of what can go wrong. `Internal`: the server failed in a way it has no name for. */
export type ProblemCode = Checked<typeof code>

/** A body of `application/problem+json` (RFC 9457). */
export const problem = object(
  { type: long, title: long, status: integer(100, 599), code, detail: long },
  { hint: long, bucket: long, key: long, retryAfter: integer(0), creatable: literal(true), conflicts },
)
export type Problem = Checked<typeof problem>
