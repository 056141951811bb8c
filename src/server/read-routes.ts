import type { FastifyReply } from 'fastify'
import { mayRead } from '../access/grant.ts'
import { blobToHeaders, COMPARES, etagOf } from '../protocol/blob-headers.ts'
import type { BlobStore } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { checkKey } from '../store/contract/keys.ts'
import type { Blob, BlobInfo } from '../store/contract/types.ts'
import { primed } from '../store/contract/primed.ts'
import { type Call, forbid, sendBytes, useBucket } from './call.ts'
import { matches, parseRange } from './conditions.ts'
import { problemOf, sendProblem } from './problems.ts'
import { countParameter, readQuery } from './query.ts'

/** `GET` and `HEAD` of a blob: its bytes, or a range of them, with all that is known of it in headers. */
export async function getBlob(call: Call): Promise<FastifyReply> {
  const { version } = readQuery(call.query, { version: countParameter(1, Number.MAX_SAFE_INTEGER) })
  checkKey(call.key)
  if (!mayRead(call.grant, call.bucket, call.key)) forbid(call, `read ${call.bucket}/${call.key}`)
  return useBucket(call, async (store) => {
    const which = version === undefined ? {} : { version }
    if (isPlain(call)) {
      // In one look what else takes two: there is nothing to decide before its bytes are asked for.
      const blob = await store.get(call.key, { ...which, readerCompares: readerCompares(call) })
      if (blob !== null) {
        describe(call, blob.info)
        return answerBytes(call, blob, null)
      }
    }
    const info = await store.head(call.key, which)
    return info === null ? refuseAbsent(call, version) : answerBlob(call, store, info)
  })
}

/** Throws that there is no such blob. */
function refuseAbsent({ bucket, key }: Call, version: number | undefined): never {
  const what = version === undefined ? `${bucket}/${key}` : `version ${version} of ${bucket}/${key}`
  throw new BlobsError('NotFound', `there is no ${what}`, { bucket, key })
}

/** Whether all bytes are asked for, on no condition. */
function isPlain({ request: { method, headers } }: Call): boolean {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch, range } = headers
  return method === 'GET' && ifMatch === undefined && ifNoneMatch === undefined && range === undefined
}

function readerCompares({ request }: Call): boolean {
  return request.headers[COMPARES] === 'true'
}

/** Puts what is known of the blob into the head of the answer. */
function describe({ reply }: Call, info: BlobInfo): void {
  reply.headers(blobToHeaders(info)).headers({
    'cache-control': 'private, no-cache',
    'accept-ranges': 'bytes',
    'x-content-type-options': 'nosniff',
    // A blob may be a page of a stranger: nothing in it runs in this origin.
    'content-security-policy': "default-src 'none'; sandbox",
  })
}

async function answerBlob(call: Call, store: BlobStore, info: BlobInfo): Promise<FastifyReply> {
  const { reply, request } = call
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers
  describe(call, info)
  if (info.deleted) {
    const { bucket, key, version } = info
    throw new BlobsError('NotFound', `${bucket}/${key} was deleted in its version ${version}`, { bucket, key })
  }
  if (info.dropped && request.method === 'GET') {
    const { bucket, key, version } = info
    throw new BlobsError('NotFound', `version ${version} of ${bucket}/${key} is no more`, { bucket, key })
  }
  if (ifMatch !== undefined && !matches(ifMatch, info)) {
    throw new BlobsError('VersionConflict', `${info.bucket}/${info.key} is at version ${info.version}`, {
      key: info.key,
    })
  }
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, info)) {
    return reply.code(304).removeHeader('content-type').send()
  }
  const asked =
    request.method === 'HEAD' || !rangeHolds(request.headers['if-range'], info) ? undefined : request.headers.range
  const range = parseRange(asked, info.size)
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${info.size}`)
    const { bucket, key, size } = info
    const error = new BlobsError('InvalidRequest', `${bucket}/${key} has ${size} bytes, none of them in that range`, {
      key,
    })
    return sendProblem(reply, { ...problemOf(error), status: 416 })
  }
  if (request.method === 'HEAD') return reply.header('content-length', info.size).send()
  const { key, version } = info
  const whole = { version, readerCompares: readerCompares(call) }
  const blob = await store.get(key, range === null ? whole : { version, range })
  return blob === null ? refuseAbsent(call, version) : answerBytes(call, blob, range)
}

function rangeHolds(ifRange: unknown, info: BlobInfo): boolean {
  return ifRange === undefined || ifRange === etagOf(info)
}

async function answerBytes(
  call: Call,
  { info: { size }, stream }: Blob,
  range: readonly [number, number] | null,
): Promise<FastifyReply> {
  const pieces = await primed(stream)
  const length = range === null ? size : range[1] - range[0] + 1
  call.reply.code(range === null ? 200 : 206).header('content-length', length)
  if (range !== null) call.reply.header('content-range', `bytes ${range[0]}-${range[1]}/${size}`)
  return sendBytes(call, pieces)
}
