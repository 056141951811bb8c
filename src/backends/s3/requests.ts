import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { AwsV4Signer } from 'aws4fetch'
import { sha256 } from '../../content/hash.ts'
import type { Clock } from '../../platform/ports.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { isDoubtful, passes, refusalOf, unreachable, type Refusal } from './failures.ts'
import { openHttp, type Http, type HttpAnswer, type Waits } from './http.ts'
import type { S3Settings } from './settings.ts'

export interface RequestsOptions {
  readonly settings: S3Settings
  readonly clock: Clock
  /** A number from 0 to below 1: pauses are spread by it. */
  readonly chance: () => number
  /** PEM of authorities to trust besides the usual. */
  readonly ca?: string | undefined
  /** The proxy to an address, or null. */
  readonly proxyFor?: ((url: string) => string | null) | undefined
  readonly waits?: Partial<Waits> | undefined
}

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** '' for the bucket itself. */
  readonly key: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}
export interface S3Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Null for a success. */
  readonly refusal: Refusal | null
  /** An earlier try of this request, whose answer was lost, may have been done. */
  readonly doubtful: boolean
}
/** Signed requests to one bucket. */
export interface Requests {
  /** Tries again what may pass, some seconds long. Throws `Unavailable`, `Refused` for a certificate, `Unauthenticated` without credentials. */
  send(request: S3Request): Promise<S3Answer>
  /** Milliseconds that the service's clock is ahead of this machine's, as its last answer told; null before the first. */
  ahead(): number | null
  close(): void
}

/** Requests at the same time; others wait. */
const CONNECTIONS = 64
const ATTEMPTS = 5
/** Milliseconds after which nothing is tried again: who calls may do so. */
const PATIENCE = 20_000
const FIRST_PAUSE = 100
const LONGEST_PAUSE = 5000
/** Milliseconds of difference that signatures survive in any case. */
const SKEW = 240_000

export async function openRequests(options: RequestsOptions): Promise<Requests> {
  const { settings, clock, proxyFor } = options
  const base = baseOf(settings)
  const proxy = proxyFor?.(base) ?? null
  const { ca, waits } = options
  const http = await openHttp(new URL(base).protocol, { ca, proxy, waits, clock, connections: CONNECTIONS })
  const signed = openSigner(settings, clock)
  let closed = false
  return {
    ahead: signed.ahead,
    send: (request) => sendPatiently(request, { ...options, http, base, signed, proxy, isClosed: () => closed }),
    close: () => {
      closed = true
      http.close()
    },
  }
}

function baseOf({ endpoint, bucket, style }: S3Settings): string {
  return style === 'path' ? `${endpoint}/${bucket}` : endpoint.replace('://', `://${bucket}.`)
}

interface Sending extends RequestsOptions {
  readonly http: Http
  readonly base: string
  readonly signed: Signer
  readonly proxy: string | null
  readonly isClosed: () => boolean
}

async function sendPatiently(request: S3Request, sending: Sending): Promise<S3Answer> {
  const { http, base, signed, proxy, clock, chance, isClosed } = sending
  const url = urlOf(base, request)
  const started = clock.elapsed()
  let doubtful = false
  for (let attempt = 1; ; attempt++) {
    const isLast = (): boolean => attempt === ATTEMPTS || isClosed() || clock.elapsed() - started > PATIENCE
    let wait = 0
    try {
      const answer = await http.send({ ...request, url, headers: await signed.headers(url, request) })
      signed.heard(answer)
      const refusal = answer.status < 300 ? null : await refusalOf(answer)
      if (refusal === null || isLast() || !(signed.mayHelp(refusal) || passes(refusal)))
        return { ...answer, refusal, doubtful }
      doubtful ||= isDoubtful(refusal)
      wait = askedWait(answer)
    } catch (error) {
      if (isBlobsError(error)) throw error
      const told = unreachable(error, new URL(base).origin, proxy)
      if (isLast() || !told.retryable) throw told
      doubtful = true
    }
    const most = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    await clock.sleep(Math.max(wait, most * (0.25 + 0.75 * chance())))
  }
}

function urlOf(base: string, { key, query = {} }: S3Request): URL {
  // They would be taken for ways in a tree of folders, on the way.
  if (key.split('/').some((part) => part === '.' || part === '..')) {
    throw new BlobsError('InvalidKey', `${JSON.stringify(key)} cannot be a name in S3: a part of it is . or ..`)
  }
  const path = key.split('/').map(strictly).join('/')
  // A name alone asks for a part of the bucket: some services do not know it with a = behind it.
  const search = Object.entries(query).map(([name, value]) => (value === '' ? name : `${name}=${strictly(value)}`))
  return new URL(`${base}/${path}${search.length === 0 ? '' : `?${search.join('&')}`}`)
}

function strictly(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function askedWait({ headers }: HttpAnswer): number {
  const seconds = Number(headers['retry-after'])
  return seconds >= 0 ? Math.min(seconds * 1000, 4 * LONGEST_PAUSE) : 0
}

interface Signer {
  headers(url: URL, request: S3Request): Promise<Record<string, string>>
  /** Learns the time there. */
  heard(answer: HttpAnswer): void
  /** True if the same request, signed anew, may be taken. */
  mayHelp(refusal: Refusal): boolean
  ahead(): number | null
}

function openSigner(settings: S3Settings, clock: Clock): Signer {
  const cache = new Map<string, ArrayBuffer>()
  let credentials = settings.credentials()
  let [ahead, corrected]: [number | null, number] = [null, 0]
  return {
    ahead: () => ahead,
    heard: ({ headers }) => {
      const there = Date.parse(headers.date ?? '')
      if (!Number.isNaN(there)) ahead = there - clock.now()
    },
    mayHelp: ({ code, status }) => {
      if (code === 'ExpiredToken') {
        const old = credentials.accessKeyId
        credentials = settings.credentials()
        return credentials.accessKeyId !== old
      }
      if (ahead === null || (code !== 'RequestTimeTooSkewed' && status !== 403)) return false
      if (Math.abs(ahead - corrected) < SKEW) return false
      corrected = ahead
      return true
    },
    headers: async (url, { method, headers = {}, body }) => {
      const signer = new AwsV4Signer({
        ...credentials,
        url: url.href,
        method,
        service: 's3',
        region: settings.region,
        cache,
        datetime: new Date(clock.now() + corrected).toISOString().replace(/[:-]|\.\d{3}/g, ''),
        headers: { ...headers, 'x-amz-content-sha256': sha256(body ?? new Uint8Array()) },
      })
      return { ...Object.fromEntries((await signer.sign()).headers), host: url.host }
    },
  }
}

/** As S3 wants it of what it would otherwise not check. */
export function md5(body: Uint8Array): string {
  return createHash('md5').update(body).digest('base64')
}
