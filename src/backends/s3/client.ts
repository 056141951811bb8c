import { BlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import { toldAs } from './failures.ts'
import { md5, openRequests, type Requests, type RequestsOptions, type S3Answer, type S3Request } from './requests.ts'
import type { S3Settings } from './settings.ts'
import { escapeXml, listOf, parseXml, textOf, type Xml } from './xml.ts'

/** Of each answer: when it was given, by the clock there; milliseconds since 1970, whole seconds; NaN if it does not say. */
interface Dated {
  readonly date: number
}
interface S3Stat extends Dated {
  readonly size: number
  readonly modified: number
  readonly etag: string
  readonly type: string
  /** '' in a bucket without versions. */
  readonly versionId: string
}
interface S3Object extends S3Stat {
  readonly bytes: Buffer
}
interface S3Put extends Dated {
  /** False: `ifAbsent` was asked for, and the name is taken. */
  readonly made: boolean
  /** An earlier try of this call, whose answer was lost, may be what took the name. */
  readonly doubtful: boolean
  readonly etag: string
  readonly versionId: string
}
interface S3Listed {
  readonly key: string
  readonly size: number
  readonly modified: number
  readonly etag: string
}
interface S3Page extends Dated {
  /** In the order of their UTF-8 bytes. */
  readonly objects: readonly S3Listed[]
  /** With a delimiter: what is common to names that have it behind the prefix. */
  readonly prefixes: readonly string[]
  /** For the next page; null on the last. */
  readonly next: string | null
}
interface S3PutOptions {
  /** Only if there is no object of this name: the service decides. */
  readonly ifAbsent?: boolean
  readonly type?: string
}
interface S3ListOptions {
  readonly prefix: string
  readonly startAfter?: string
  readonly delimiter?: string
  /** Most of one page, up to 1000. */
  readonly limit?: number
  readonly next?: string
}

/**
 * One bucket of an S3 service. What may pass is tried again for some seconds. Every call throws `Unavailable`, `Unauthenticated`, `Forbidden`,
 * `QuotaExceeded`, `NotSupported` for what this service cannot do, and `NotFound` if there is no such bucket.
 */
export interface S3Client {
  readonly settings: S3Settings
  /** Durable when it resolves. The service compares the bytes with their SHA-256 before it takes them. */
  put(key: string, bytes: Uint8Array, options?: S3PutOptions): Promise<S3Put>
  /** The whole object, or a part of it: `range` is [first, last], both included. Null if there is none. */
  get(
    key: string,
    options?: { readonly range?: readonly [number, number]; readonly versionId?: string },
  ): Promise<S3Object | null>
  head(key: string): Promise<S3Stat | null>
  page(options: S3ListOptions): Promise<S3Page>
  /** By the service itself. False if there is no such object. */
  copy(from: string, to: string): Promise<boolean>
  /** All pages. */
  list(options: Omit<S3ListOptions, 'next'>): AsyncGenerator<readonly S3Listed[]>
  /** What is not there is passed over. */
  remove(key: string): Promise<Dated>
  /** Many in few requests; what is not there is passed over. */
  removeAll(keys: readonly string[]): Promise<void>
  /** Whether the bucket keeps old versions; null if that may not be known. */
  versioning(): Promise<'on' | 'suspended' | 'off' | null>
  /** Milliseconds that the service's clock is ahead of this machine's, to about a second; null before the first answer. */
  ahead(): number | null
  /** Ends all connections. */
  close(): void
}

/** Names in one request that removes many. */
const REMOVE_BATCH = 1000
/** Requests at once where each removes one. */
const REMOVED_AT_ONCE = 32

/** Nothing is sent before the first call. Throws `Unauthenticated` without credentials. */
export async function openS3Client(options: RequestsOptions): Promise<S3Client> {
  const { settings } = options
  const requests = await openRequests(options)
  const call = callerOf(requests, settings)
  return {
    settings,
    put: async (key, bytes, { ifAbsent = false, type = 'application/octet-stream' } = {}) => {
      const headers = { 'content-type': type, ...(ifAbsent ? { 'if-none-match': '*' } : {}) }
      const request = { method: 'PUT', key, headers, body: bytes } as const
      const { status, doubtful, ...answer } = await call(request, `write ${key}`, ifAbsent ? [412] : [])
      const { etag, versionId, date } = statOf(answer)
      return { made: status < 300, doubtful, etag, versionId, date }
    },
    get: async (key, { range, versionId } = {}) => {
      const headers = range === undefined ? {} : { range: `bytes=${range[0]}-${range[1]}` }
      const query = versionId === undefined ? {} : { versionId }
      const answer = await call({ method: 'GET', key, headers, query }, `read ${key}`, MISSING)
      return answer.refusal === null ? { ...statOf(answer), size: answer.body.length, bytes: answer.body } : null
    },
    head: async (key) => {
      const answer = await call({ method: 'HEAD', key }, `look at ${key}`, MISSING)
      return answer.refusal === null ? statOf(answer) : null
    },
    copy: (from, to) => copyObject(call, settings.bucket, from, to),
    page: (options) => readPage(call, options),
    list: (options) => readPages(call, options),
    remove: async (key) => statOf(await call({ method: 'DELETE', key }, `remove ${key}`, MISSING)),
    removeAll: async (keys) => {
      // XML has no way to write control characters.
      const odd = keys.filter((key) => /\p{Cc}/u.test(key))
      const plain = odd.length === 0 ? keys : keys.filter((key) => !odd.includes(key))
      for (let at = 0; at < plain.length; at += REMOVE_BATCH) await removeSome(call, plain.slice(at, at + REMOVE_BATCH))
      await removeOneByOne(call, odd)
    },
    versioning: async () => {
      const answer = await call(
        { method: 'GET', key: '', query: { versioning: '' } },
        'tell of versions',
        [403, 405, 501],
      )
      const xml =
        answer.refusal === null ? await parseXml(answer.body.toString('utf8'), 'VersioningConfiguration') : null
      if (xml === null) return null
      const status = textOf(xml, 'Status')
      return status === 'Enabled' ? 'on' : status === 'Suspended' ? 'suspended' : 'off'
    },
    ahead: requests.ahead,
    close: requests.close,
  }
}

/** Not there: of a missing bucket, S3 says so by its code; to HEAD it says none. */
const MISSING = [404] as const

type Call = (request: S3Request, what: string, expected?: readonly number[]) => Promise<S3Answer>

/** Answers other than successes and those that are expected are errors. */
function callerOf(requests: Requests, settings: S3Settings): Call {
  return async (request, what, expected = []) => {
    const answer = await requests.send(request)
    const { refusal } = answer
    if (refusal === null || (expected.includes(refusal.status) && refusal.code !== 'NoSuchBucket')) return answer
    throw toldAs(refusal, settings.bucket, settings.endpoint, what)
  }
}

function statOf({ headers }: Pick<S3Answer, 'headers'>): S3Stat {
  const versionId = headers['x-amz-version-id']
  return {
    size: Number(headers['content-length'] ?? 0),
    modified: Date.parse(headers['last-modified'] ?? ''),
    etag: headers.etag ?? '',
    type: headers['content-type'] ?? '',
    versionId: typeof versionId === 'string' && versionId !== 'null' ? versionId : '',
    date: Date.parse(headers.date ?? ''),
  }
}

async function readPage(call: Call, { prefix, startAfter, delimiter, limit, next }: S3ListOptions): Promise<S3Page> {
  const query = {
    'list-type': '2',
    'encoding-type': 'url',
    ...(prefix === '' ? {} : { prefix }),
    ...(startAfter === undefined || startAfter === '' || next !== undefined ? {} : { 'start-after': startAfter }),
    ...(delimiter === undefined ? {} : { delimiter }),
    ...(limit === undefined ? {} : { 'max-keys': String(limit) }),
    ...(next === undefined ? {} : { 'continuation-token': next }),
  }
  const answer = await call({ method: 'GET', key: '', query }, `list ${prefix}`)
  const xml = await parseXml(answer.body.toString('utf8'), 'ListBucketResult')
  const truncated = xml !== null && textOf(xml, 'IsTruncated') === 'true'
  const token = xml === null ? '' : textOf(xml, 'NextContinuationToken')
  if (xml === null || (truncated && token === '')) {
    throw new BlobsError('Unavailable', `a listing of S3 objects (${prefix}) is not one, or goes on nowhere`, {
      hint: 'is it an S3 service that answers there?',
    })
  }
  const encoded = textOf(xml, 'EncodingType') === 'url'
  const nameOf = (xml: Xml, name: string): string => (encoded ? decodeName(textOf(xml, name)) : textOf(xml, name))
  return {
    objects: listOf(xml, 'Contents').map((object) => ({
      key: nameOf(object, 'Key'),
      size: Number(textOf(object, 'Size')),
      modified: Date.parse(textOf(object, 'LastModified')),
      etag: textOf(object, 'ETag'),
    })),
    prefixes: listOf(xml, 'CommonPrefixes').map((common) => nameOf(common, 'Prefix')),
    next: truncated ? token : null,
    date: Date.parse(answer.headers.date ?? ''),
  }
}

function decodeName(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

async function copyObject(call: Call, bucket: string, from: string, to: string): Promise<boolean> {
  const source = `/${bucket}/${from.split('/').map(encodeURIComponent).join('/')}`
  const request = { method: 'PUT', key: to, headers: { 'x-amz-copy-source': source } } as const
  const answer = await call(request, `copy ${from}`, MISSING)
  if (answer.refusal !== null) return false
  // A copy that failed late is told as a success, with an error in it.
  if ((await parseXml(answer.body.toString('utf8'), 'CopyObjectResult')) !== null) return true
  throw new BlobsError('Unavailable', `S3 did not copy ${from} to its end`, { hint: 'it is tried again' })
}

async function* readPages(call: Call, options: S3ListOptions): AsyncGenerator<readonly S3Listed[]> {
  let next: string | null = null
  do {
    const page: S3Page = await readPage(call, next === null ? options : { ...options, next })
    if (page.objects.length > 0) yield page.objects
    ;({ next } = page)
  } while (next !== null)
}

async function removeSome(call: Call, keys: readonly string[]): Promise<void> {
  const names = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join('')
  const body = Buffer.from(
    `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${names}</Delete>`,
  )
  const headers = { 'content-type': 'application/xml', 'content-md5': md5(body) }
  const request = { method: 'POST', key: '', query: { delete: '' }, headers, body } as const
  const answer = await call(request, `remove ${keys.length} objects`, [405, 501])
  // Some services know no such request.
  if (answer.refusal !== null) return await removeOneByOne(call, keys)
  const xml = await parseXml(answer.body.toString('utf8'), 'DeleteResult')
  const failed = listOf(xml ?? {}, 'Error').find((error) => textOf(error, 'Code') !== 'NoSuchKey')
  if (failed === undefined) return
  const [code, message] = [textOf(failed, 'Code'), textOf(failed, 'Message')]
  throw new BlobsError(
    code === 'AccessDenied' ? 'Forbidden' : 'Unavailable',
    `S3 did not remove ${textOf(failed, 'Key')} (${code}${message === '' ? '' : `: ${message}`})`,
  )
}

async function removeOneByOne(call: Call, keys: readonly string[]): Promise<void> {
  await eachOf(keys, REMOVED_AT_ONCE, (key) => call({ method: 'DELETE', key }, `remove ${key}`, MISSING))
}
