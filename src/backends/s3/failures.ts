import { isUntrusted, networkReason } from '../../platform/network.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { HttpAnswer } from './http.ts'
import { parseXml, textOf } from './xml.ts'

/** What an answer says that is no success. */
export interface Refusal {
  readonly status: number
  /** S3's word for it, as `NoSuchBucket`; '' where it says none: an answer to HEAD, or no S3 service. */
  readonly code: string
  readonly message: string
  /** Where the bucket is, if that is told. */
  readonly region: string
}

const PASSING: ReadonlySet<number> = new Set([408, 409, 429, 500, 502, 503, 504])
const PASSING_CODES: ReadonlySet<string> = new Set([
  'RequestTimeout',
  'SlowDown',
  'Throttling',
  'InternalError',
  'ServiceUnavailable',
  // Bytes that were damaged on their way.
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'IncompleteBody',
])
const NOT_SIGNED_IN: ReadonlySet<string> = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'TokenRefreshRequired',
  'RequestTimeTooSkewed',
  'RequestExpired',
])

export async function refusalOf({ status, headers, body }: HttpAnswer): Promise<Refusal> {
  const xml = body.length === 0 ? null : await parseXml(body.toString('utf8'), 'Error')
  const told = headers['x-amz-bucket-region']
  return {
    status,
    code: xml === null ? '' : textOf(xml, 'Code'),
    message: xml === null ? '' : textOf(xml, 'Message'),
    region: typeof told === 'string' ? told : xml === null ? '' : textOf(xml, 'Region'),
  }
}

/** The same request may do later. */
export function passes({ status, code }: Pick<Refusal, 'status' | 'code'>): boolean {
  return PASSING.has(status) || PASSING_CODES.has(code)
}

/** An answer of which is not known whether it was done all the same. */
export function isDoubtful({ status }: Pick<Refusal, 'status'>): boolean {
  return status === 408 || (status >= 500 && status !== 501)
}

/** What a refusal means to who asked; `bucket` and `endpoint` are those of S3, `what` is what was to be done, as `read KEY`. */
export function toldAs(refusal: Refusal, bucket: string, endpoint: string, what: string): BlobsError {
  const { status, code, message, region } = refusal
  const said = code === '' ? `status ${status}` : message === '' ? code : `${code}: ${message}`
  const place = `S3 bucket ${bucket} at ${endpoint}`
  if (code === 'NoSuchBucket' || (status === 404 && code === '')) {
    return new BlobsError('NotFound', `there is no S3 bucket ${bucket} at ${endpoint}`, {
      hint: `make it there (aws s3 mb s3://${bucket}), or name another service: ?endpoint=URL`,
    })
  }
  if (NOT_SIGNED_IN.has(code) || status === 401) {
    return new BlobsError('Unauthenticated', `${place} does not take the credentials (${said})`, {
      hint: hintFor(code),
    })
  }
  if (code === 'QuotaExceeded' || code === 'InsufficientCapacity' || status === 507) {
    return new BlobsError('QuotaExceeded', `${place} takes no more (${said})`, { hint: 'make room there' })
  }
  if (region !== '' || [301, 302, 307, 308].includes(status)) {
    return new BlobsError('InvalidRequest', `S3 bucket ${bucket} is not to be asked for at ${endpoint} (${said})`, {
      hint: region === '' ? 'name its region: ?region=REGION' : `it is in another region: ?region=${region}`,
    })
  }
  if (status === 403) {
    return new BlobsError('Forbidden', `${place} does not allow to ${what} (${said})`, {
      hint: 'these credentials need to list, get, put and delete objects there',
    })
  }
  if (status === 413 || code === 'EntityTooLarge')
    return new BlobsError('TooLarge', `${place}: ${what} is too large (${said})`)
  if (status === 501 || status === 405 || status === 304) {
    return new BlobsError('NotSupported', `${place} cannot ${what} as S3 does (${said})`)
  }
  if (passes(refusal)) return new BlobsError('Unavailable', `${place} cannot ${what} now (${said})`)
  if (code === '') return new BlobsError('Unavailable', `${endpoint} does not answer as an S3 service (${said})`)
  return new BlobsError('InvalidRequest', `${place} refused to ${what} (${said})`)
}

function hintFor(code: string): string {
  if (code === 'RequestTimeTooSkewed') return "is this machine's clock right?"
  if (code === 'ExpiredToken') return 'get new ones, as by: aws sso login'
  return 'are they for this service? see AWS_ACCESS_KEY_ID, AWS_PROFILE, ?profile=NAME and ?endpoint=URL'
}

/** An error of the network; only one of trust cannot pass. */
export function unreachable(cause: unknown, origin: string, proxy: string | null): BlobsError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const reason = reasonOf(code, cause)
  if (isUntrusted(code)) {
    return new BlobsError('Refused', `the certificate of ${origin} is not trusted: ${reason}`, {
      cause,
      hint: 'if it is yours, name its authority: --ca-cert FILE',
    })
  }
  if (proxy !== null) {
    // What it says of the proxy may have its password in it.
    return new BlobsError('Unavailable', `cannot reach ${origin} by the proxy ${new URL(proxy).host} (${code})`, {
      hint: 'is the proxy right? HTTPS_PROXY and HTTP_PROXY name it, NO_PROXY what is reached without it',
    })
  }
  return new BlobsError('Unavailable', `cannot reach ${origin}: ${reason}`, {
    cause,
    hint: ELSEWHERE.test(code) ? 'is the endpoint right?' : 'it may work again in a moment',
  })
}

/** Errors of those who ask at the wrong place. */
const ELSEWHERE = /^(ENOTFOUND|ECONNREFUSED|EPROTO|HPE_)/

function reasonOf(code: string, cause: unknown): string {
  if (code.startsWith('HPE_')) return 'what answers there does not speak HTTP'
  if (code === 'EPROTO') return 'what answers there does not speak TLS (https:)'
  return networkReason(code, cause)
}
