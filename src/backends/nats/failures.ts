import { BlobsError, type ErrorCode } from '../../store/contract/errors.ts'

/** Codes of JetStream's API errors that are acted upon. */
export const API = {
  noMessage: 10037,
  noSequence: 10043,
  notDeleted: 10057,
  streamNotFound: 10059,
  nameInUse: 10058,
  subjectsOverlap: 10065,
  wrongLastMessage: 10070,
  wrongLastSequence: 10071,
  wrongLastSequenceUntold: 10164,
} as const

const FULL: ReadonlySet<number> = new Set([10002, 10023, 10026, 10027, 10028, 10031, 10047, 10077, 10120])
const TOO_FEW_SERVERS: ReadonlySet<number> = new Set([10005, 10074])
const TOO_LARGE: ReadonlySet<number> = new Set([10054, 10097])
/** What servers say in the middle of a change of leaders, true or not. */
const CHANGING: ReadonlySet<number> = new Set([10007, 10008, 10009, 10039, 10076, 10118, 10158])

export interface ApiError {
  readonly code: number
  readonly err_code: number
  readonly description: string
}

/** JetStream refused; `apiCode` says why. */
export class JetStreamError extends BlobsError {
  readonly apiCode: number

  constructor(place: string, { code, err_code: apiCode, description }: ApiError) {
    const [kind, hint] = meaning(code, apiCode)
    super(kind, `${place}: JetStream says: ${description} (${apiCode})`, { hint })
    this.apiCode = apiCode
  }
}

/** 0 for what is no refusal of JetStream. */
export function apiCodeOf(error: unknown): number {
  return error instanceof JetStreamError ? error.apiCode : 0
}

function meaning(code: number, apiCode: number): readonly [ErrorCode, string] {
  if (FULL.has(apiCode)) return ['QuotaExceeded', 'make room there, or raise the limits of the account or the stream']
  if (TOO_LARGE.has(apiCode)) return ['TooLarge', 'the stream, or the server, takes no message as large as that']
  if (TOO_FEW_SERVERS.has(apiCode)) {
    return ['InvalidRequest', 'there are too few servers with JetStream for so many replicas: ?replicas=1 needs one']
  }
  if (CHANGING.has(apiCode) || code === 503) {
    return ['Unavailable', 'is JetStream on (nats-server -js), and a majority of the cluster there? it is tried again']
  }
  return ['Refused', 'the streams of this place should be changed by blobs alone: docs/backends.md']
}

/** What the client library throws, as an error to act on. */
export function told(place: string, cause: unknown): BlobsError {
  if (cause instanceof BlobsError) return cause
  const name = cause instanceof Error ? cause.name : ''
  const message = cause instanceof Error ? cause.message : String(cause)
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : null
  if (name === 'PermissionViolationError' || inner?.name === 'PermissionViolationError') {
    return new BlobsError('Forbidden', `${place}: the server does not let this user do that: ${message}`, {
      cause,
      hint: 'what blobs needs: docs/backends.md',
    })
  }
  if (name === 'AuthorizationError' || name === 'UserAuthenticationExpiredError') {
    return new BlobsError('Unauthenticated', `${place} does not take these credentials: ${message}`, {
      cause,
      hint: 'set NATS_CREDS, NATS_NKEY, NATS_USER and NATS_PASSWORD, or NATS_TOKEN',
    })
  }
  if (/certificate|self-signed|altnames/i.test(message)) {
    return new BlobsError('Refused', `${place} cannot be trusted: ${message}`, {
      cause,
      hint: 'name the authority that vouches for it: --ca-cert FILE',
    })
  }
  if (/does not support 'tls'|is not available on this server/.test(message)) {
    return new BlobsError('Refused', `${place} offers no TLS, which was asked for`, {
      cause,
      hint: 'leave out ?tls=required and --ca-cert, if the network may be trusted',
    })
  }
  return new BlobsError('Unavailable', `${place} cannot be reached: ${message}`, {
    cause,
    hint: 'is nats-server running there? nothing is lost: try again',
  })
}
