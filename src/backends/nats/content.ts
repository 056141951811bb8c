import type { JsMsg } from '@nats-io/jetstream'
import type { Hash } from '../../content/hash.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import type { Content } from '../../store/ports.ts'
import type { StoredMessage } from './answers.ts'
import type { JetStream } from './jetstream.ts'
import type { BucketNames } from './names.ts'

/** Headers of a chunk that does not fit a message: how many parts it has, and bytes in all. */
const PARTS = 'Blobs-Parts'
const SIZE = 'Blobs-Size'
/** Messages with bytes, and without, that are under way at the same time. */
const TRANSFERS = 16
const QUESTIONS = 128
const BATCH = 1000

export interface NatsContentOptions {
  readonly js: JetStream
  readonly names: BucketNames
  /** Largest message's bytes. */
  readonly maxBytes: number
  /** Throws `NotFound` once the bucket is removed. */
  readonly present: () => Promise<void>
}

/** Content where each chunk is the last message of a subject of its own; what does not fit a message is in parts beside it. */
export function natsContent(options: NatsContentOptions): Content {
  const { js, names, present } = options
  return {
    put: async (chunks) => {
      await eachOf(chunks, TRANSFERS, (chunk) => putChunk(options, chunk))
    },
    get: (hashes) => eachOf(hashes, TRANSFERS, (hash) => getChunk(options, hash)),
    missing: async (hashes) => {
      const found = await eachOf(hashes, QUESTIONS, (hash) => js.lastOf(names.chunks, names.chunk(hash), present))
      return hashes.filter((_, index) => found[index] === 0)
    },
    sweeping: {
      chunks: async function* () {
        let batch: { readonly hash: Hash; readonly size: number; readonly modified: number }[] = []
        for await (const message of js.scan(names.chunks, names.anyChunk)) {
          batch.push(storedChunk(message))
          if (batch.length < BATCH) continue
          yield batch
          batch = []
        }
        if (batch.length > 0) yield batch
      },
      races: 'a stream does not tell, as a chunk is removed, whether that was asked for just now',
      remove: async (chunks) => {
        await eachOf(chunks, TRANSFERS, ({ hash }) => removeChunk(options, hash))
        return { chunks: chunks.length, bytes: chunks.reduce((sum, { size }) => sum + size, 0) }
      },
    },
    close: async () => undefined,
  }
}

async function putChunk(
  { js, names, maxBytes, present }: NatsContentOptions,
  { hash, bytes }: { readonly hash: Hash; readonly bytes: Uint8Array },
): Promise<void> {
  const stream = names.chunks
  const subject = names.chunk(hash)
  if (bytes.length <= maxBytes) return void (await js.publish({ stream, subject, data: bytes }, present))
  const count = Math.ceil(bytes.length / maxBytes)
  for (let index = 0; index < count; index++) {
    const data = bytes.subarray(index * maxBytes, (index + 1) * maxBytes)
    await js.publish({ stream, subject: names.part(hash, index), data }, present)
  }
  const headers = { [PARTS]: String(count), [SIZE]: String(bytes.length) }
  await js.publish({ stream, subject, data: '', headers }, present)
}

async function getChunk({ js, names, present }: NatsContentOptions, hash: Hash): Promise<Uint8Array | null> {
  const head = await js.get(names.chunks, { last_by_subj: names.chunk(hash) }, present)
  if (head === null) return null
  const count = partsOf(head)
  if (count === 0) return head.data
  const parts: Uint8Array[] = []
  for (let index = 0; index < count; index++) {
    const part = await js.get(names.chunks, { last_by_subj: names.part(hash, index) }, present)
    if (part === null) throw missingPart(hash, index)
    parts.push(part.data)
  }
  return Buffer.concat(parts)
}

async function removeChunk({ js, names, present }: NatsContentOptions, hash: Hash): Promise<void> {
  const stream = names.chunks
  const sequence = await js.lastOf(stream, names.chunk(hash), present)
  // By its sequence: one that was put again meanwhile stays.
  if (sequence > 0) await js.deleteMessage(stream, sequence)
  for (let index = 0; ; index++) {
    const part = await js.lastOf(stream, names.part(hash, index), present)
    if (part === 0) return
    await js.deleteMessage(stream, part)
  }
}

function storedChunk(message: JsMsg): { readonly hash: Hash; readonly size: number; readonly modified: number } {
  const { subject, headers, info } = message
  const size = Number(headers?.get(SIZE) || headers?.get('Nats-Msg-Size') || 0)
  return { hash: subject.slice(-64), size, modified: Math.floor(info.timestampNanos / 1e6) }
}

function partsOf({ headers }: StoredMessage): number {
  return Number(headers.get(PARTS) ?? 0)
}

function missingPart(hash: Hash, index: number): BlobsError {
  return new BlobsError('Corrupt', `part ${index} of the chunk ${hash} is missing`, {
    hint: 'was a message deleted by hand? put the blob again',
  })
}
