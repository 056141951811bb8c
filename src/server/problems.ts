import type { FastifyReply } from 'fastify'
import { encodeText } from '../protocol/blob-headers.ts'
import { BadFrames } from '../protocol/frames.ts'
import type { Problem, ProblemCode } from '../protocol/problems.ts'
import { PROBLEM_TYPE } from '../protocol/routes.ts'
import { Malformed } from '../protocol/schema.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { BodyBroken } from './body.ts'

/** The one place that knows which status an error has. */
const STATUS: Readonly<Record<ProblemCode, number>> = {
  InvalidKey: 400,
  InvalidRequest: 400,
  Unauthenticated: 401,
  Forbidden: 403,
  NotFound: 404,
  AlreadyExists: 409,
  CursorForked: 409,
  Refused: 409,
  CursorExpired: 410,
  VersionConflict: 412,
  TooLarge: 413,
  Internal: 500,
  Corrupt: 500,
  NotSupported: 501,
  Unavailable: 503,
  QuotaExceeded: 507,
}

const TITLE: Readonly<Record<ProblemCode, string>> = {
  InvalidKey: 'Not a key',
  InvalidRequest: 'Not a request of this protocol',
  Unauthenticated: 'A valid token is needed',
  Forbidden: 'Not allowed by the scope of the token',
  NotFound: 'Not there',
  AlreadyExists: 'Already there',
  CursorForked: 'The bucket has another history than the cursor',
  Refused: 'Refused for safety',
  CursorExpired: 'The history does not reach back to the cursor',
  VersionConflict: 'Another version is there than the expected one',
  TooLarge: 'Larger than what is taken',
  Internal: 'The server failed',
  Corrupt: 'The bytes do not match their hash',
  NotSupported: 'Not supported',
  Unavailable: 'Not possible at the moment',
  QuotaExceeded: 'No room left',
}

/** Who asks: a wrong hash is the fault of one who sends bytes, and the server's where it sends them. */
type Direction = 'sends-bytes' | 'asks'

const MAX_DETAIL = 4096
const MAX_KEY = 1024

/** Any error as the problem that is told. An unknown one tells nothing of itself: the log has it. */
export function problemOf(error: unknown, direction: Direction = 'asks'): Problem {
  const known = asBlobsError(error)
  if (known === null) {
    return { ...frame('Internal', 500), detail: 'the server failed to do this; its log says why' }
  }
  const { code, bucket, key, retryAfter, conflicts } = known
  const status = code === 'Corrupt' && direction === 'sends-bytes' ? 422 : STATUS[code]
  const { message, hint } = isOfThisMachine(error) ? { message: TITLE[code], hint: undefined } : known
  return {
    ...frame(code, error instanceof BodyBroken ? 408 : status),
    detail: message.toWellFormed().slice(0, MAX_DETAIL),
    ...(hint === undefined ? {} : { hint }),
    ...(bucket === undefined ? {} : { bucket }),
    // Longer than any key, it is none, and would not fit into a header.
    ...(key === undefined || key.length > MAX_KEY ? {} : { key: key.toWellFormed() }),
    // Whole milliseconds, whatever was reckoned.
    ...(retryAfter === undefined ? {} : { retryAfter: Math.ceil(retryAfter) }),
    ...(conflicts.length === 0
      ? {}
      : { conflicts: conflicts.map(({ key, expected, current }) => ({ key, expected, current })) }),
  } as Problem
}

/** A failure of the disk or the database below: its message tells of folders here, which are nobody's business; the log has it. */
function isOfThisMachine(error: unknown): boolean {
  if (!(error instanceof BlobsError) || STATUS[error.code] < 500 || error.key !== undefined) return false
  return error.cause instanceof Error || /(^|\s)\/\S/.test(error.message)
}

function frame(code: ProblemCode, status: number): Pick<Problem, 'type' | 'title' | 'status' | 'code'> {
  return { type: `urn:blobs:problem:${code}`, title: TITLE[code], status, code }
}

function asBlobsError(error: unknown): BlobsError | null {
  if (error instanceof BlobsError) return error
  if (error instanceof Malformed) return new BlobsError('InvalidRequest', error.message, { cause: error })
  if (error instanceof BadFrames) {
    return new BlobsError(error.reason === 'too-large' ? 'TooLarge' : 'InvalidRequest', error.message, { cause: error })
  }
  if (error instanceof BodyBroken) return new BlobsError('Unavailable', error.message, { cause: error })
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new BlobsError('QuotaExceeded', 'the disk of the server is full', { cause: error })
  }
  if (code === 'SQLITE_BUSY' || code === 'EMFILE' || code === 'ENFILE') {
    return new BlobsError('Unavailable', 'the server is too busy', { cause: error, retryAfter: 1000 })
  }
  return null
}

/** Writes the answer of a failed request. */
export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const { code, key, retryAfter, detail } = problem
  reply.code(problem.status).header('content-type', PROBLEM_TYPE).header('x-blobs-code', code)
  if (key !== undefined) reply.header('x-blobs-key', encodeText(key))
  if (code === 'Unavailable' && problem.status === 503)
    reply.header('retry-after', Math.ceil((retryAfter ?? 1000) / 1000))
  if (reply.request.method === 'HEAD') {
    // Its answer has no body to say it in.
    reply.header('x-blobs-detail', encodeText(detail))
    if (problem.hint !== undefined) reply.header('x-blobs-hint', encodeText(problem.hint))
  }
  if (code === 'Unauthenticated') reply.header('www-authenticate', challenge(reply, detail))
  if (code === 'Forbidden') reply.header('www-authenticate', 'Bearer realm="blobs", error="insufficient_scope"')
  return reply.send(JSON.stringify(problem))
}

function challenge(reply: FastifyReply, detail: string): string {
  if (reply.request.headers.authorization === undefined) return 'Bearer realm="blobs"'
  return `Bearer realm="blobs", error="invalid_token", error_description="${detail.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '')}"`
}
