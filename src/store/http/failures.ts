import { isUntrusted, networkReason } from '../../platform/network.ts'
import { decodeText } from '../../protocol/blob-headers.ts'
import { parseJson } from '../../protocol/json.ts'
import { type Problem, problem } from '../../protocol/problems.ts'
import { PROBLEM_TYPE } from '../../protocol/routes.ts'
import { Malformed } from '../../protocol/schema.ts'
import { BlobsError, type ErrorCode, isBlobsError } from '../contract/errors.ts'
import type { Answer } from './transport.ts'

/** What is read of an answer that tells of a failure. */
const PROBLEM_BYTES = 8 * 1024 * 1024

/** Nobody is told to wait longer, in milliseconds: a server that wants more is asked again. */
const LONGEST_WAIT = 300_000

/** An error of the network as `Unavailable`; one of trust as `Refused`; `pinned`: only one certificate was good. Ours stay as they are. */
export function unreachable(
  cause: unknown,
  origin: string,
  { pinned = false, proxy }: { readonly pinned?: boolean; readonly proxy?: string | undefined } = {},
): BlobsError {
  if (isBlobsError(cause)) return cause
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const reason = networkReason(code, cause)
  if (isUntrusted(code) && pinned) {
    return new BlobsError(
      'Refused',
      `${origin} is not the server that this machine joined: its certificate is another`,
      {
        cause,
        hint: 'nothing was sent to it; if its owner made it anew, take a new link from there: blobs join LINK FOLDER',
      },
    )
  }
  if (isUntrusted(code)) {
    return new BlobsError('Refused', `the certificate of ${origin} is not trusted: ${reason}`, {
      cause,
      hint: 'if it is yours, name it: --ca-cert FILE',
    })
  }
  if (proxy !== undefined) {
    const { protocol, host } = new URL(proxy)
    // What it says of the proxy has its password in it.
    const why = code === 'ERR_PROXY_TUNNEL' ? refusalOf(reason) : reason
    return new BlobsError('Unavailable', `cannot reach ${origin} by the proxy ${protocol}//${host}: ${why}`, {
      cause,
      hint: 'is the proxy right? HTTPS_PROXY and HTTP_PROXY name it, NO_PROXY what is reached without it',
    })
  }
  return new BlobsError('Unavailable', `cannot reach ${origin}: ${reason}`, {
    cause,
    hint: code === 'ECONNREFUSED' ? 'is the server running? blobs serve' : 'it may work again in a moment',
  })
}

/** What a proxy answered: its status line, without what was asked. */
function refusalOf(message: string): string {
  const status = /HTTP\/\S+ (\d{3}[^\r\n]*)/.exec(message)?.[1]?.trim()
  if (status?.startsWith('407')) return 'it asks for a user and a password (http://user:password@host:port)'
  return status === undefined ? 'it gives no way through' : `it says ${status}`
}

/** An answer that no server of this protocol gives: a proxy's page, perhaps. Never taken for content, nor for absence. */
export function strange(
  { status, headers }: Pick<Answer, 'status' | 'headers'>,
  origin: string,
  what: string,
): BlobsError {
  const type = headers['content-type'] ?? 'no content type'
  return new BlobsError(
    'Unavailable',
    `${origin} does not answer as a blobs server: ${what} (status ${status}, ${type})`,
    {
      hint: 'is something between here and the server?',
      ...retryAfter(headers),
    },
  )
}

/** The error that an answer other than the wanted one tells of; reads its body. */
export async function failureOf(answer: Answer, origin: string): Promise<BlobsError> {
  return asError(answer, await problemIn(answer, origin), origin)
}

/** The problem that an answer tells, as an error; without one, what its status says. */
export function asError({ status, headers }: Answer, told: Problem | null, origin: string): BlobsError {
  return told === null ? withoutProblem(status, headers, origin) : fromProblem(told, headers)
}

/** The problem that an answer tells, or null if it tells none; reads its body. */
export async function problemIn(answer: Answer, origin: string): Promise<Problem | null> {
  if (answer.headers['content-type']?.startsWith(PROBLEM_TYPE)) return readProblem(answer, origin)
  await discard(answer)
  return null
}

async function readProblem(answer: Answer, origin: string): Promise<Problem | null> {
  const { 'x-blobs-detail': detail, 'x-blobs-code': code, 'x-blobs-hint': hint, 'x-blobs-key': key } = answer.headers
  try {
    if (typeof detail === 'string') {
      await discard(answer)
      const decoded = { ...decodedHeader('hint', hint), ...decodedHeader('key', key) }
      return problem({ type: '', title: '', status: answer.status, code, detail: decodeText(detail), ...decoded }, '')
    }
    return parseJson(await readText(answer, PROBLEM_BYTES, origin), problem)
  } catch (error) {
    if (error instanceof Malformed) return null
    throw error
  }
}

function decodedHeader(name: string, value: unknown): Record<string, string> {
  return typeof value === 'string' ? { [name]: decodeText(value) } : {}
}

/** A problem as the error it came from. What a server cannot name may pass. */
export function fromProblem(told: Problem, headers: Answer['headers'] = {}): BlobsError {
  const { code, detail, hint, bucket, key, conflicts } = told
  const known: ErrorCode = code === 'Internal' ? 'Unavailable' : code
  return new BlobsError(known, detail, {
    // What it advises on tokens is for those who write requests themselves.
    ...(hint === undefined || code === 'Unauthenticated' ? {} : { hint }),
    ...(bucket === undefined ? {} : { bucket }),
    ...(key === undefined ? {} : { key }),
    ...(conflicts === undefined ? {} : { conflicts }),
    ...(told.retryAfter === undefined ? retryAfter(headers) : { retryAfter: Math.min(told.retryAfter, LONGEST_WAIT) }),
  })
}

function withoutProblem(status: number, headers: Answer['headers'], origin: string): BlobsError {
  const wait = retryAfter(headers)
  if (status === 407) {
    return new BlobsError('Unavailable', `the proxy before ${origin} asks for a user and a password`, {
      hint: 'write them into HTTP_PROXY: http://user:password@host:port',
    })
  }
  if (status === 401) return new BlobsError('Unauthenticated', `${origin} asks for a token`, wait)
  if (status === 403) return new BlobsError('Forbidden', `${origin} does not allow this`, wait)
  if (status === 413)
    return new BlobsError('TooLarge', `${origin}, or something before it, takes no request of this size`)
  if (status === 429 || status === 408 || status >= 500) {
    return new BlobsError('Unavailable', `${origin} cannot do this now (status ${status})`, wait)
  }
  if (status >= 300 && status < 400) return strange({ status, headers }, origin, 'it sends to another address')
  return strange({ status, headers }, origin, 'the answer is not of the protocol')
}

/** Seconds, or a time by the clock of the server, which says it in the same answer. */
function retryAfter({ 'retry-after': header, date }: Pick<Answer['headers'], 'retry-after' | 'date'>): {
  readonly retryAfter?: number
} {
  if (header === undefined) return {}
  const wait = /^\d{1,6}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.parse(date ?? '')
  return wait >= 0 ? { retryAfter: Math.min(wait, LONGEST_WAIT) } : {}
}

/** The whole body as text; throws `Unavailable` for one that is longer. */
export async function readText(answer: Answer, maxBytes: number, origin: string): Promise<string> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of answer.pieces()) {
    bytes += piece.length
    if (bytes > maxBytes) throw strange(answer, origin, `more than ${maxBytes} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

/** Reads a body that says nothing, so that its connection can be used again; a long one is cut off. */
export async function discard(answer: Answer): Promise<void> {
  let bytes = 0
  for await (const piece of answer.pieces()) {
    bytes += piece.length
    if (bytes > PROBLEM_BYTES) break
  }
}
