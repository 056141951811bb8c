import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

/** What an S3 service may do that S3 does not; numbers of requests are counted down. */
export interface S3Lies {
  /** `If-None-Match` is as if it were not there: the last one wins. */
  conditionsIgnored: boolean
  /** It looks whether the name is free, and writes later: of those who come together, all win. */
  looksThenWrites: boolean
  /** Names are taken, and their bytes replaced all the same. */
  replacesAndRefuses: boolean
  /** 304 instead of 412. */
  notModified: boolean
  /** As eventlet, and so Swift: an answer to HEAD that tells of chunks is followed by the last of them. */
  headsHaveEnds: boolean
  /** As OpenStack's Swift: there are no conditional writes. */
  noConditions: boolean
  /** As some: one name is removed by one request. */
  noMultiDelete: boolean
  /** Ranges are as if they were not asked for. */
  noRanges: boolean
  /** Milliseconds until what was written is listed. */
  listsLate: number
  /** Milliseconds until what was written is read, by connections that did not write it. */
  readsLate: number
  /** Milliseconds before each answer. */
  slowBy: number
  /** Milliseconds that its clock is ahead; more than 15 minutes are refused. */
  clockAhead: number
  /** So many writes are answered by 409 and not done. */
  conflicts: number
  /** So many requests are answered by 503 and not done. */
  busy: number
  /** So many answers are cut in the middle of their body. */
  cutAnswers: number
  /** So many writes are done, and the connection is cut instead of an answer. */
  lostAnswers: number
  /** So many requests get no answer at all. */
  silent: number
  /** Every request is refused so, but for the signature; `region` is where it says that the bucket is. */
  refuses: { readonly status: number; readonly code: string; readonly region?: string } | null
  /** Most names on a page. */
  pageSize: number
}
export interface S3Double {
  /** As an endpoint. */
  readonly url: string
  readonly lies: S3Lies
  /** Of each bucket, what is in it by key. */
  readonly buckets: Map<string, Map<string, Uint8Array>>
  /** Method and path of each request, the oldest first. */
  readonly requests: readonly string[]
  stop(): Promise<void>
}

export const KEYS = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'a-secret-of-tests' } as const
const SKEW = 15 * 60_000

const HONEST: S3Lies = {
  conditionsIgnored: false,
  looksThenWrites: false,
  replacesAndRefuses: false,
  notModified: false,
  headsHaveEnds: false,
  noConditions: false,
  noMultiDelete: false,
  noRanges: false,
  listsLate: 0,
  readsLate: 0,
  slowBy: 0,
  clockAhead: 0,
  conflicts: 0,
  busy: 0,
  cutAnswers: 0,
  lostAnswers: 0,
  silent: 0,
  refuses: null,
  pageSize: 1000,
}

interface Call {
  readonly request: IncomingMessage
  readonly url: URL
  readonly bucket: string
  readonly key: string
  readonly body: Buffer
}
interface Reply {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: Uint8Array
}
interface Written {
  readonly at: number
  readonly by: unknown
}
interface State {
  readonly lies: S3Lies
  readonly buckets: Map<string, Map<string, Uint8Array>>
  /** Of each object, by its bytes. */
  readonly written: WeakMap<Uint8Array, Written>
}

/** An S3 service in memory with the buckets `bucket` and `other`, called `s3.test` by those who reach it by a proxy; honest, and checks signatures, until it is told to lie. */
export async function startS3Double(
  lies: Partial<S3Lies> = {},
  tls?: { readonly cert: string; readonly key: string },
): Promise<S3Double> {
  const state: State = {
    lies: { ...HONEST, ...lies },
    buckets: new Map([
      ['bucket', new Map<string, Uint8Array>()],
      ['other', new Map<string, Uint8Array>()],
    ]),
    written: new WeakMap(),
  }
  const requests: string[] = []
  const listen = (request: IncomingMessage, response: ServerResponse): void => {
    requests.push(`${request.method} ${request.url}`)
    void serve(state, request, response)
  }
  const server = tls === undefined ? createServer(listen) : createTlsServer(tls, listen)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lies: state.lies,
    buckets: state.buckets,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function serve(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { lies } = state
  const parts: Buffer[] = []
  try {
    for await (const part of request) parts.push(part as Buffer)
  } catch {
    return
  }
  const url = new URL(request.url ?? '/', 'http://localhost')
  const path = decodeURIComponent(url.pathname)
  // A name before that of the service is the bucket's.
  const virtual = /^([^.]+)\.s3\.test(:|$)/.exec(request.headers.host ?? '')?.[1]
  const [, bucket = '', key = ''] =
    virtual === undefined ? (/^\/([^/]*)\/?(.*)$/s.exec(path) ?? []) : ['', virtual, path.slice(1)]
  const call = { request, url, bucket, key, body: Buffer.concat(parts) }
  await pause(lies.slowBy)
  const writes = request.method === 'PUT'
  if (lies.silent > 0) return void (lies.silent -= 1)
  const { status, headers = {}, body } = await answer(state, call)
  if (writes && status === 200 && lies.lostAnswers > 0) {
    lies.lostAnswers -= 1
    return void request.socket.destroy()
  }
  const date = new Date(Date.now() + lies.clockAhead).toUTCString()
  if (request.method === 'HEAD' && lies.headsHaveEnds) {
    return void request.socket.write(
      `HTTP/1.1 ${status} OK\r\nDate: ${date}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    )
  }
  response.writeHead(status, { date, 'content-length': String(body?.length ?? 0), ...headers })
  if (body !== undefined && body.length > 1 && request.method === 'GET' && lies.cutAnswers > 0) {
    lies.cutAnswers -= 1
    response.write(body.subarray(0, body.length / 2), () => request.socket.destroy())
    return
  }
  response.end(request.method === 'HEAD' ? undefined : body)
}

async function answer(state: State, call: Call): Promise<Reply> {
  const { lies, buckets } = state
  const { request, url, bucket, key } = call
  const refused = signatureProblem(call, Date.now() + lies.clockAhead)
  if (refused !== null) return failure(403, refused)
  if (lies.busy > 0) {
    lies.busy -= 1
    return failure(503, 'SlowDown')
  }
  if (lies.refuses !== null) {
    const { status, code, region } = lies.refuses
    const refusal = failure(status, code)
    return region === undefined
      ? refusal
      : { ...refusal, headers: { ...refusal.headers, 'x-amz-bucket-region': region } }
  }
  const objects = buckets.get(bucket)
  if (objects === undefined) return failure(404, 'NoSuchBucket')
  if (key !== '') {
    if (request.method === 'PUT') return await put(state, objects, call)
    if (request.method === 'GET' || request.method === 'HEAD') return get(state, objects, call)
    objects.delete(key)
    return { status: 204 }
  }
  if (url.searchParams.has('versioning')) return xml('<VersioningConfiguration></VersioningConfiguration>')
  if (request.method === 'GET') return list(state, objects, url.searchParams)
  return removeMany(state, objects, call)
}

async function put({ lies, written }: State, objects: Map<string, Uint8Array>, call: Call): Promise<Reply> {
  const { request, key, body } = call
  const conditional = request.headers['if-none-match'] === '*'
  if (conditional && lies.noConditions) return failure(501, 'NotImplemented')
  if (lies.conflicts > 0) {
    lies.conflicts -= 1
    return failure(409, 'ConditionalRequestConflict')
  }
  const taken = conditional && !lies.conditionsIgnored && objects.has(key)
  if (lies.looksThenWrites) await pause(20)
  if (taken && !lies.replacesAndRefuses) return lies.notModified ? { status: 304 } : failure(412, 'PreconditionFailed')
  const bytes = Uint8Array.from(body)
  written.set(bytes, { at: Date.now(), by: request.socket })
  objects.set(key, bytes)
  return taken ? failure(412, 'PreconditionFailed') : { status: 200, headers: { etag: etagOf(bytes) } }
}

function get({ lies, written }: State, objects: Map<string, Uint8Array>, { request, key }: Call): Reply {
  const bytes = objects.get(key)
  const { at = 0, by } = (bytes && written.get(bytes)) ?? {}
  if (bytes === undefined || (by !== request.socket && Date.now() - at < lies.readsLate))
    return failure(404, 'NoSuchKey')
  const headers = {
    etag: etagOf(bytes),
    'last-modified': new Date(at).toUTCString(),
    'content-length': String(bytes.length),
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
  if (first === undefined || lies.noRanges) return { status: 200, headers, body: bytes }
  const part = bytes.subarray(Number(first), Number(last) + 1)
  return { status: 206, headers: { ...headers, 'content-length': String(part.length) }, body: part }
}

function list({ lies, written }: State, objects: Map<string, Uint8Array>, query: URLSearchParams): Reply {
  const prefix = query.get('prefix') ?? ''
  const token = query.get('continuation-token')
  const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString()
  const limit = Math.min(Number(query.get('max-keys') ?? 1000), lies.pageSize)
  const found = [...objects]
    .filter(([key, bytes]) => key.startsWith(prefix) && Date.now() - (written.get(bytes)?.at ?? 0) >= lies.listsLate)
    .filter(([key]) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0)
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const page = found.slice(0, limit)
  const contents = page.map(([key, bytes]) => {
    const modified = new Date(written.get(bytes)?.at ?? 0).toISOString()
    const name = encodeURIComponent(key)
    return `<Contents><Key>${name}</Key><LastModified>${modified}</LastModified><ETag>&quot;${etagOf(bytes).slice(1, -1)}&quot;</ETag><Size>${bytes.length}</Size></Contents>`
  })
  const more = found.length > page.length
  const next = Buffer.from(page.at(-1)?.[0] ?? '').toString('base64url')
  return xml(
    `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>${
      more ? `<NextContinuationToken>${next}</NextContinuationToken>` : ''
    }${contents.join('')}</ListBucketResult>`,
  )
}

function removeMany({ lies }: State, objects: Map<string, Uint8Array>, { request, body }: Call): Reply {
  if (lies.noMultiDelete) return failure(501, 'NotImplemented')
  if (request.headers['content-md5'] !== createHash('md5').update(body).digest('base64'))
    return failure(400, 'BadDigest')
  for (const [, key = ''] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)) {
    objects.delete(key.replace(/&#(\d+);/g, (_, point) => String.fromCodePoint(Number(point))))
  }
  return xml('<DeleteResult></DeleteResult>')
}

/** S3's word for what is wrong with a signature, or null. */
function signatureProblem({ request, url, body }: Call, now: number): string | null {
  const { authorization = '', 'x-amz-date': date = '', 'x-amz-content-sha256': hash } = request.headers
  const [, id, scope = '', signed = '', signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\S+), SignedHeaders=(\S+), Signature=(\w+)$/.exec(authorization) ?? []
  if (id === undefined) return 'AccessDenied'
  if (id !== KEYS.AWS_ACCESS_KEY_ID) return 'InvalidAccessKeyId'
  const time = Date.parse(String(date).replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'))
  if (!(Math.abs(time - now) < SKEW)) return 'RequestTimeTooSkewed'
  if (hash !== createHash('sha256').update(body).digest('hex')) return 'XAmzContentSHA256Mismatch'
  const query = url.search.slice(1).split('&').filter(Boolean)
  const canonical = [
    request.method,
    url.pathname,
    query
      .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
      .sort()
      .join('&'),
    ...signed.split(';').map((name) => `${name}:${String(request.headers[name])}`),
    '',
    signed,
    hash,
  ].join('\n')
  const text = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n')
  let key = Buffer.from(`AWS4${KEYS.AWS_SECRET_ACCESS_KEY}`)
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest()
  return createHmac('sha256', key).update(text).digest('hex') === signature ? null : 'SignatureDoesNotMatch'
}

function etagOf(bytes: Uint8Array): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`
}

function failure(status: number, code: string): Reply {
  return xml(`<Error><Code>${code}</Code><Message>the double says so</Message></Error>`, status)
}

function xml(body: string, status = 200): Reply {
  const headers = { 'content-type': 'application/xml' }
  return { status, headers, body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${body}`) }
}

function pause(milliseconds: number): Promise<void> | void {
  if (milliseconds > 0) return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
