import type { FastifyReply } from 'fastify'
import { covers, mayAdmin, mayCreate, mayIn } from '../access/grant.ts'
import { limits } from '../protocol/limits.ts'
import { bucketRequest } from '../protocol/messages.ts'
import { Malformed } from '../protocol/schema.ts'
import type { BlobStore } from '../store/contract/blob-store.ts'
import type { BucketInfo, ListOptions } from '../store/contract/types.ts'
import { type Call, comesIntoBeing, forbid, isMissing, readJson, sendJson, sendText, useBucket } from './call.ts'
import { problemOf, sendProblem } from './problems.ts'
import { countParameter, flagParameter, readQuery, textParameter, timeParameter } from './query.ts'

/** `GET /v1/buckets`: those that the token is about, by name. */
export async function listBuckets(call: Call): Promise<FastifyReply> {
  const { after, limit = 1000 } = readQuery(call.query, {
    after: textParameter,
    limit: countParameter(1, limits.page),
  })
  const buckets: BucketInfo[] = []
  for await (const info of call.context.buckets.list()) {
    if (!covers(call.grant, info.name) || (after !== undefined && info.name <= after)) continue
    if (buckets.length === limit) {
      return sendJson(call.reply, { buckets, complete: false, next: buckets.at(-1)?.name })
    }
    buckets.push(call.grant.prefixes === null ? info : { ...info, blobs: 0, bytes: 0 })
  }
  return sendJson(call.reply, { buckets, complete: true })
}

/** `GET /v1/buckets/{bucket}`. Says of a missing one whether the first write would make it. */
export async function getBucket(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  try {
    return sendJson(call.reply, await useBucket(call, (store) => store.info()))
  } catch (error) {
    if (!isMissing(error) || !comesIntoBeing(call)) throw error
    return sendProblem(call.reply, { ...problemOf(error), creatable: true })
  }
}

/** `PUT /v1/buckets/{bucket}`: makes it. */
export async function createBucket(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  if (!mayCreate(call.grant, call.bucket)) forbid(call, `make the bucket ${call.bucket}`)
  const { options = {} } = await readJson(call, bucketRequest)
  if (Object.keys(options).length > 0 && !mayAdmin(call.grant, call.bucket)) {
    forbid(call, `set options of the bucket ${call.bucket}`)
  }
  const info = await call.context.health.write(() => call.context.buckets.create(call.bucket, options))
  return sendJson(call.reply, info, 201)
}

/** `PATCH /v1/buckets/{bucket}`: changes its options. */
export async function configureBucket(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  if (!mayAdmin(call.grant, call.bucket)) forbid(call, `set options of the bucket ${call.bucket}`)
  const { options } = await readJson(call, bucketRequest)
  if (options === undefined) throw new Malformed('options', 'missing')
  return sendJson(call.reply, await call.context.buckets.configure(call.bucket, options))
}

/** `DELETE /v1/buckets/{bucket}`: removes it with its history. */
export async function removeBucket(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  if (!mayAdmin(call.grant, call.bucket)) forbid(call, `remove the bucket ${call.bucket}`)
  await call.context.pool.drop(call.bucket)
  await call.context.buckets.remove(call.bucket)
  // A request that came between the two lines may have opened it again.
  await call.context.pool.drop(call.bucket)
  return call.reply.code(204).send()
}

/** `GET /v1/buckets/{bucket}/blobs`: one page of its keys. */
export async function listBlobs(call: Call): Promise<FastifyReply> {
  const { digests, ...asked } = readQuery(call.query, {
    prefix: textParameter,
    delimiter: (value) => (value === '/' ? ('/' as const) : undefined),
    after: textParameter,
    limit: countParameter(1, limits.page),
    deleted: flagParameter,
    versions: flagParameter,
    at: timeParameter,
    digests: flagParameter,
  })
  if (!mayIn(call.grant, 'read', call.bucket)) forbid(call, `list ${call.bucket}`)
  const limit = Math.min(asked.limit ?? 1000, digests ? limits.digestsPage : limits.page)
  const options = { ...asked, ...(digests ? { digests } : {}), limit }
  const page = await useBucket(call, (store) => pageText(store, options))
  return sendText(call.reply, page)
}

/** What is asked of the store at once. */
const PART = 1000

/** A page as JSON. It is read in parts, and ends early when it gets long: metadata can make an item a hundred times as long as others. */
async function pageText(
  store: BlobStore,
  { limit, ...options }: ListOptions & { readonly limit: number },
): Promise<string> {
  const items: string[] = []
  const prefixes: string[] = []
  let bytes = 0
  let from: Pick<ListOptions, 'after'> = {}
  let cursor: string | null = null
  for (;;) {
    const room = limit - items.length - prefixes.length
    const part = await store.list({ ...options, ...from, limit: Math.min(PART, room) })
    cursor ??= part.cursor
    prefixes.push(...part.prefixes)
    for (const item of part.items) {
      const text = JSON.stringify(item)
      bytes += text.length
      items.push(text)
    }
    const full = items.length + prefixes.length >= limit || bytes >= limits.pageBytes
    if (!part.complete && !full && part.next !== undefined) {
      from = { after: part.next }
      continue
    }
    const rest = JSON.stringify({ prefixes, complete: part.complete, next: part.next, cursor })
    return `{"items":[${items.join(',')}],${rest.slice(1)}`
  }
}
