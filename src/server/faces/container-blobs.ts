import type { FastifyReply } from 'fastify'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import { keyProblem } from '../../store/contract/keys.ts'
import { listPages } from '../../store/contract/pages.ts'
import type { BlobInfo } from '../../store/contract/types.ts'
import { stageStream } from '../../store/contract/upload.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { primed } from '../../store/contract/primed.ts'
import { type Call, sendBytes, sendJson, sendStream, useBucket } from '../call.ts'
import { CHUNK, type Upload } from './container-uploads.ts'

/** What stands for a node in answers: there is only this server, and what a client says of nodes is not looked at. */
export const NODE = 'blobs:0'
/** Chunks that are told of at most. */
const MAX_TOLD = 100_000
const BATCH = 500

interface ChunkTold {
  readonly blob_id: string
  readonly chunk_id: string
  readonly primary_node: string
  readonly replicas: readonly string[]
}

/** The blobs of a container, and those that are on their way. */
export function sendBlobs(call: Call, container: string, uploads: readonly Upload[]): Promise<FastifyReply> {
  return useBucket(call, async (_confined, store) => {
    call.reply.header('content-type', 'application/json')
    return sendStream(call, await primed(blobTexts(store, container, uploads)))
  })
}

async function* blobTexts(store: BlobStore, container: string, uploads: readonly Upload[]): AsyncGenerator<string> {
  const tell = (blob_id: string, blob_name: string, blob_size: number): string =>
    JSON.stringify({ blob_id, blob_name, blob_size, container_name: container })
  let [head, comma] = ['{"blobs":[', '']
  const text = (all: readonly string[]): string => {
    const told = `${head}${all.length > 0 ? comma : ''}${all.join(',')}`
    head = ''
    if (all.length > 0) comma = ','
    return told
  }
  for await (const { items } of listPages(store, { limit: BATCH })) {
    yield text(items.map((info) => tell(idOf(info), info.key, info.size)))
  }
  yield `${text(uploads.map(({ id, key, size }) => tell(id, key, size)))}]}`
}

/** The id that was given when it was put; of one that came another way, one made of its entry's. */
function idOf({ entry }: BlobInfo): string {
  const [a, b, c, d, e] = [
    entry.slice(0, 8),
    entry.slice(8, 12),
    entry.slice(12, 16),
    entry.slice(16, 20),
    entry.slice(20),
  ]
  return [a, b, c, d, e].join('-')
}

/** The blob as chunks in base64, by their numbers. */
export function sendChunks(call: Call): Promise<FastifyReply> {
  return withBlob(call, async (store, info) => {
    const blob = info.size === 0 ? null : await store.get(info.key, { version: info.version })
    if (blob === null) return sendJson(call.reply, {})
    call.reply.header('content-type', 'application/json')
    return sendStream(call, await primed(chunkTexts(blob.stream)))
  })
}

async function* chunkTexts(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let before = '{'
  let [number, size] = [0, 0]
  let held: Uint8Array[] = []
  const text = (): string => {
    const data = Buffer.concat(held).toString('base64')
    const told = `${before}"${number}":{"blob_data":"${data}","status":"success"}`
    before = ','
    number += 1
    size = 0
    held = []
    return told
  }
  for await (const piece of stream) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + CHUNK - size)
      held.push(part)
      at += part.length
      size += part.length
      if (size === CHUNK) yield text()
    }
  }
  yield `${size > 0 ? text() : ''}}`
}

/** The blob's bytes. */
export function sendDownload(call: Call): Promise<FastifyReply> {
  return withBlob(call, async (store, info) => {
    const blob = await store.get(info.key, { version: info.version })
    if (blob === null) throw absent(call)
    const stream = await primed(blob.stream)
    const name = encodeURIComponent(info.key.split('/').at(-1) ?? '').replaceAll(
      /['()*]/g,
      (sign) => `%${sign.charCodeAt(0).toString(16)}`,
    )
    call.reply.headers({
      'content-type': 'application/octet-stream',
      'content-length': info.size,
      'content-disposition': `attachment; filename*=UTF-8''${name}`,
    })
    return sendBytes(call, stream)
  })
}

async function withBlob(
  call: Call,
  act: (store: BlobStore, info: BlobInfo) => Promise<FastifyReply>,
): Promise<FastifyReply> {
  if (keyProblem(call.key) !== null) throw absent(call)
  return useBucket(call, async (_confined, store) => {
    const info = await store.head(call.key)
    if (info === null || info.deleted) throw absent(call)
    return act(store, info)
  })
}

function absent({ key }: Call): BlobsError {
  return new BlobsError('NotFound', 'Blob not found', { key })
}

/** Makes the bytes the next version; `id` is the blob's own, and doing it again with the same changes nothing. */
export function keepBlob(call: Call, id: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  return useBucket(call, async (_confined, store) => {
    const { key, grant, context } = call
    const staged = await stageStream(store, bytes, { slabs: context.memory.of(grant.id) })
    const put = {
      type: 'put',
      key,
      expect: 'any',
      contentType: 'application/octet-stream',
      meta: {},
      ...staged,
    } as const
    await store.commit([{ id: id.replaceAll('-', ''), author: grant.name, changes: [put] }])
  })
}

/** Deletes a blob; gives its chunks, none when there was none. */
export async function deleteBlob(call: Call): Promise<readonly ChunkTold[]> {
  if (keyProblem(call.key) !== null) return []
  return useBucket(call, async (_confined, store) => {
    const info = await store.head(call.key)
    if (info === null || info.deleted) return []
    await deleteAll(call, store, [info])
    return chunksOf(info)
  })
}

/** Deletes every blob of a container; older versions stay for who may read them by `/v1`. */
export function emptyBucket(call: Call): Promise<readonly ChunkTold[]> {
  return useBucket(call, async (_confined, store) => {
    const told: ChunkTold[] = []
    for await (const { items } of listPages(store, { limit: BATCH })) {
      if (items.length === 0) continue
      await deleteAll(call, store, items)
      for (const info of items) if (told.length < MAX_TOLD) told.push(...chunksOf(info))
    }
    return told.slice(0, MAX_TOLD)
  }).catch((error: unknown) => {
    // Removed by another way.
    if (isBlobsError(error, 'NotFound') && error.key === undefined) return []
    throw error
  })
}

async function deleteAll({ context, grant }: Call, store: BlobStore, infos: readonly BlobInfo[]): Promise<void> {
  const entries = infos.map(({ key }) => ({
    id: context.newId(),
    author: grant.name,
    changes: [{ type: 'delete', key, expect: 'any' } as const],
  }))
  await store.commit(entries)
}

function chunksOf(info: BlobInfo): ChunkTold[] {
  const id = idOf(info)
  return Array.from({ length: Math.min(Math.ceil(info.size / CHUNK), MAX_TOLD) }, (_, number) => ({
    blob_id: id,
    chunk_id: `${id}_${number}`,
    primary_node: NODE,
    replicas: [],
  }))
}
