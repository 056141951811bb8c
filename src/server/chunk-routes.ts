import { hash as digest } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import { mayIn, mayRead } from '../access/grant.ts'
import { ABSENT, decodeFrames, FAILED, FRAMES_END, frameHead, PASSAGES } from '../protocol/frames.ts'
import { limits } from '../protocol/limits.ts'
import { parseJson } from '../protocol/json.ts'
import { fetchRequest, missingRequest, passages as passagesCheck } from '../protocol/messages.ts'
import { FRAMES_TYPE, NDJSON_TYPE } from '../protocol/routes.ts'
import { Malformed } from '../protocol/schema.ts'
import type { BlobStore, Passage, StageOptions, Want } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { checkKey } from '../store/contract/keys.ts'
import { openShelf, type Slabs } from '../store/contract/slabs.ts'
import type { Chunk } from '../store/contract/types.ts'
import {
  type Call,
  forbid,
  readJson,
  REQUEST,
  sendJson,
  sendStream,
  useBucket,
  useBucketToWrite,
  withBody,
} from './call.ts'
import { problemOf } from './problems.ts'
import { countParameter, readQuery } from './query.ts'

/** Chunks are staged together up to this many bytes: what a client sends at once. */
const STAGE_BYTES = 4 * 1024 * 1024
/** Bytes that a connection holds beside the memory for chunks. */
const PIECE_BYTES = 64 * 1024
/** Blobs that are fetched from the store at once, and may have to be put in order. */
const FETCH_GROUP = 64

/** `POST …/chunks/missing`: which of these chunks have to be sent before a commit names them. */
export async function findMissing(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  if (!mayIn(call.grant, 'write', call.bucket)) forbid(call, `write to ${call.bucket}`)
  const { hashes } = await readJson(call, missingRequest)
  return sendJson(call.reply, { missing: await useBucketToWrite(call, (store) => store.missing(hashes)) })
}

/** `POST …/chunks`: takes chunks in frames. Those of a body that is not whole may have been kept, and do no harm. */
export async function stageChunks(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  if (!mayIn(call.grant, 'write', call.bucket)) forbid(call, `write to ${call.bucket}`)
  if (call.request.headers['content-type'] !== FRAMES_TYPE) {
    throw new BlobsError('InvalidRequest', `chunks are sent as ${FRAMES_TYPE}`)
  }
  const { bounds, memory } = call.context
  const slabs = memory.of(call.grant.id)
  const rules = { maxBytes: limits.framesBytes, total: bounds.bodyTotal, held: PIECE_BYTES, lent: true }
  const staged = await withBody(call, rules, (body) => useBucketToWrite(call, (store) => stageAll(store, body, slabs)))
  return sendJson(call.reply, { staged })
}

async function stageAll(store: BlobStore, body: AsyncIterable<Uint8Array>, slabs: Slabs): Promise<number> {
  const shelf = openShelf(slabs)
  let batch: Chunk[] = []
  let [count, bytes] = [0, 0]
  let passages: readonly Passage[] = []
  // While the store has the bytes, and after it failed, their memory must stay as it is.
  let untouched = true
  const stage = async (options?: StageOptions): Promise<void> => {
    untouched = false
    await store.stage(batch, options)
    untouched = true
    batch = []
    bytes = 0
    shelf.clear(true)
  }
  const room = async (length: number): Promise<Uint8Array> => {
    if (bytes + length > STAGE_BYTES && batch.length > 0) await stage()
    for (;;) {
      const found = shelf.room(length)
      if (found !== null) return found
      // Only who holds nothing stands in line: else all could wait for each other.
      if (batch.length > 0) await stage()
      else shelf.add(await slabs.borrow())
    }
  }
  try {
    for await (const frame of decodeFrames(body, limits.chunkBytes, room)) {
      if (frame.label === PASSAGES && count === 0 && passages.length === 0) {
        passages = passagesOf(frame.bytes)
        continue
      }
      if (++count > limits.chunks) throw new BlobsError('TooLarge', `more than ${limits.chunks} chunks in one request`)
      batch.push({ hash: frame.label, bytes: frame.bytes })
      bytes += frame.bytes.length
    }
    if (batch.length > 0 || passages.length > 0) await stage({ passages, verify: true })
    return count
  } finally {
    shelf.clear(untouched)
  }
}

/** Runs of chunks of blobs on their way, as a client tells of them: no more than the chunks it may send at once. */
function passagesOf(bytes: Uint8Array): readonly Passage[] {
  const told = parseJson(new TextDecoder().decode(bytes), passagesCheck, { ...REQUEST, items: limits.chunks })
  const refs = told.reduce((sum, passage) => sum + passage.refs.length, 0)
  if (refs > limits.chunks) throw new BlobsError('TooLarge', `passages of more than ${limits.chunks} chunks`)
  return told
}

/** `POST …/fetch`: many small blobs, each in a frame, in the order they were asked for. */
export async function fetchBlobs(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  if (!mayIn(call.grant, 'read', call.bucket)) forbid(call, `read ${call.bucket}`)
  const { wants } = await readJson(call, fetchRequest)
  for (const { key } of wants) {
    if (!mayRead(call.grant, call.bucket, checkKey(key))) forbid(call, `read ${call.bucket}/${key}`)
  }
  for (const { key, version } of wants) call.audit({ action: 'get', bucket: call.bucket, key, version, result: 'ok' })
  return useBucket(call, (store) => {
    call.reply.header('content-type', FRAMES_TYPE)
    return sendStream(call, fetchFrames(call, store, wants))
  })
}

async function* fetchFrames(call: Call, store: BlobStore, wants: readonly Want[]): AsyncGenerator<Uint8Array> {
  try {
    for (let at = 0; at < wants.length; at += FETCH_GROUP) yield* fetchGroup(store, wants.slice(at, at + FETCH_GROUP))
  } catch (error) {
    const problem = problemOf(error)
    if (problem.status >= 500) call.note(error)
    const bytes = Buffer.from(JSON.stringify(problem))
    yield Buffer.concat([frameHead(FAILED, bytes.length), bytes])
  }
  yield FRAMES_END
}

async function* fetchGroup(store: BlobStore, wants: readonly Want[]): AsyncGenerator<Uint8Array> {
  const waiting = wants.map(nameOf)
  const early = new Map<string, Uint8Array>()
  for await (const found of store.fetch(wants)) {
    early.set(nameOf(found), found.bytes)
    for (let bytes = early.get(waiting[0] ?? ''); bytes; bytes = early.get(waiting[0] ?? '')) {
      const name = waiting.shift() ?? ''
      if (!waiting.includes(name)) early.delete(name)
      yield* frame(bytes)
    }
  }
  for (const name of waiting) {
    const bytes = early.get(name)
    if (bytes) yield* frame(bytes)
    else yield frameHead(ABSENT, 0)
  }
}

function* frame(bytes: Uint8Array): Generator<Uint8Array> {
  yield frameHead(digest('sha256', bytes, 'hex'), bytes.length)
  if (bytes.length > 0) yield bytes
}

function nameOf({ key, version }: Want): string {
  return `${version} ${key}`
}

/** `GET …/chunks-of/{key}?version=N`: the chunks of a version in order, and at the end a line that says so. */
export async function listChunks(call: Call): Promise<FastifyReply> {
  const { version } = readQuery(call.query, { version: countParameter(1, Number.MAX_SAFE_INTEGER) })
  if (version === undefined) throw new Malformed('version', 'missing')
  const { bucket, key } = call
  if (!mayRead(call.grant, bucket, checkKey(key))) forbid(call, `read ${bucket}/${key}`)
  return useBucket(call, async (store) => {
    const lists = await store.chunksOf(key, version)
    if (lists === null)
      throw new BlobsError('NotFound', `there is no version ${version} of ${bucket}/${key}`, { bucket, key })
    call.reply.header('content-type', NDJSON_TYPE)
    return sendStream(call, chunkLines(lists))
  })
}

async function* chunkLines(lists: AsyncIterable<readonly unknown[]>): AsyncGenerator<string> {
  for await (const refs of lists) yield `${JSON.stringify({ refs })}\n`
  yield '{"complete":true}\n'
}
