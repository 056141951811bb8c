import type { Addressed } from '../../content/body.ts'
import type { Hash } from '../../content/hash.ts'
import { momentOf, since } from '../../platform/moment.ts'
import type { Clock } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import type { Content } from '../../store/ports.ts'
import type { StoredMessage } from './answers.ts'
import { isAside, natsSweeping, openLookForAside, SIZE } from './aside.ts'
import type { JetStream } from './jetstream.ts'
import type { BucketNames } from './names.ts'

/** Headers of a chunk that does not fit a message: how many parts it has, and bytes in all. */
const PARTS = 'Blobs-Parts'
/** Messages with bytes, and without, that are under way at the same time. */
const TRANSFERS = 16
const QUESTIONS = 128
/** Milliseconds in which all parts of a chunk are put. */
const PROMPT = 10 * 60_000

export interface NatsContentOptions {
  readonly js: JetStream
  readonly names: BucketNames
  /** Largest message's bytes. */
  readonly maxBytes: number
  /** Throws `NotFound` once the bucket is removed. */
  readonly present: () => Promise<void>
  readonly clock: Clock
}

/** Content where each chunk is the last message of a subject of its own; what does not fit a message is in parts beside it. */
export function natsContent(options: NatsContentOptions): Content {
  const { js, names, present } = options
  const anyAside = openLookForAside(options)
  return {
    put: async (chunks) => {
      await eachOf(chunks, TRANSFERS, (chunk) => putChunk(options, chunk))
    },
    get: (hashes) => eachOf(hashes, TRANSFERS, (hash) => getChunk(options, hash)),
    missing: async (hashes) => {
      const mayBeAside = await anyAside()
      const found = await eachOf(hashes, QUESTIONS, async (hash) => {
        const sequence = await js.lastOf(names.chunks, names.chunk(hash), present)
        return sequence > 0 && !(mayBeAside && (await isAside(options, hash, sequence)))
      })
      return hashes.filter((_, index) => !found[index])
    },
    sweeping: natsSweeping(options),
    close: async () => undefined,
  }
}

async function putChunk(options: NatsContentOptions, chunk: Addressed): Promise<void> {
  const { js, names, maxBytes, present, clock } = options
  const { hash, bytes } = chunk
  if (bytes.length <= maxBytes) {
    return void (await js.publish({ stream: names.chunks, subject: names.chunk(hash), data: bytes }, present))
  }
  for (;;) {
    const began = momentOf(clock)
    await putParts(options, chunk)
    // Who was stopped in between may find the first parts swept.
    if (since(clock, began) < PROMPT) return
  }
}

async function putParts(
  { js, names, maxBytes, present }: NatsContentOptions,
  { hash, bytes }: Addressed,
): Promise<void> {
  const stream = names.chunks
  const count = Math.ceil(bytes.length / maxBytes)
  for (let index = 0; index < count; index++) {
    const data = bytes.subarray(index * maxBytes, (index + 1) * maxBytes)
    await js.publish({ stream, subject: names.part(hash, index), data }, present)
  }
  const headers = { [PARTS]: String(count), [SIZE]: String(bytes.length) }
  await js.publish({ stream, subject: names.chunk(hash), data: '', headers }, present)
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

function partsOf({ headers }: StoredMessage): number {
  return Number(headers.get(PARTS) ?? 0)
}

function missingPart(hash: Hash, index: number): BlobsError {
  return new BlobsError('Corrupt', `part ${index} of the chunk ${hash} is missing`, {
    hint: 'was a message deleted by hand? put the blob again',
  })
}
