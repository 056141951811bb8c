import { bodyBuilder, type Addressed, type Body } from '../../content/body.ts'
import { cut } from '../../content/chunker.ts'
import { hasher, sha256, type Hash } from '../../content/hash.ts'
import type { BlobStore } from './blob-store.ts'

/** A batch is sent when it holds this many bytes or chunks. */
const BATCH_BYTES = 8 * 1024 * 1024
const BATCH_CHUNKS = 512

export interface Staged {
  /** SHA-256 of the whole. */
  readonly hash: Hash
  readonly size: number
  readonly body: Body
}

type Target = Pick<BlobStore, 'missing' | 'stage'>
interface StagingOptions {
  /** Told of bytes of blobs once they are staged, or known to be there. */
  readonly onBytes?: (bytes: number) => void
}

/** Brings many streams into a store with few round trips: pieces of several small blobs travel together. */
export interface Staging {
  /** Cuts and queues a stream; may be called for several at once. What it gives may be committed after the next `flush`. */
  add(source: AsyncIterable<Uint8Array>): Promise<Staged>
  /** Resolves when everything added before is staged. Throws the first error of the store, as does every call after it. */
  flush(): Promise<void>
}

/**
 * Brings a stream into a store, so that a commit can name it. Only chunks that the store misses travel, in batches, one under
 * way while the next is cut: about 20 MiB are held, whatever the length. Everything is staged when it resolves; an error of
 * the source or the store is thrown as it is.
 */
export async function stageStream(
  store: Target,
  source: AsyncIterable<Uint8Array>,
  options: StagingOptions = {},
): Promise<Staged> {
  const staging = openStaging(store, options)
  const staged = await staging.add(source)
  await staging.flush()
  return staged
}

/** Opens a staging of many streams; holds about 20 MiB. Nothing has to be closed. */
export function openStaging(store: Target, options: StagingOptions = {}): Staging {
  const sender = batchSender(store, options.onBytes)
  return {
    add: async (source) => {
      const whole = hasher()
      const builder = bodyBuilder()
      let size = 0
      for await (const bytes of cut(source)) {
        whole.update(bytes)
        size += bytes.length
        const hash = sha256(bytes)
        await sender.add({ hash, bytes }, bytes.length)
        for (const list of builder.add({ hash, size: bytes.length })) await sender.add(list, 0)
      }
      const { body, lists } = builder.finish()
      for (const list of lists) await sender.add(list, 0)
      return { hash: whole.digest('hex'), size, body }
    },
    flush: () => sender.flush(),
  }
}

interface BatchSender {
  add(chunk: Addressed, progress: number): Promise<void>
  flush(): Promise<void>
}

function batchSender(store: Target, onBytes: (bytes: number) => void = () => undefined): BatchSender {
  let batch = new Map<Hash, Addressed>()
  let bytes = 0
  let progress = 0
  let underWay: Promise<void> = Promise.resolve()
  /** Resolves when the batch before this one is staged: so at most one waits while one travels. */
  const launch = async (): Promise<void> => {
    const chunks = [...batch.values()]
    const told = progress
    batch = new Map()
    bytes = 0
    progress = 0
    const before = underWay
    underWay = before.then(() => send(store, chunks)).then(() => onBytes(told))
    // Its failure is thrown by the next call; until then nobody waits for it.
    underWay.catch(() => undefined)
    await before
  }
  return {
    add: async (chunk, of) => {
      if (!batch.has(chunk.hash)) bytes += chunk.bytes.length
      batch.set(chunk.hash, chunk)
      progress += of
      if (bytes >= BATCH_BYTES || batch.size >= BATCH_CHUNKS) await launch()
    },
    flush: async () => {
      if (batch.size > 0) await launch()
      await underWay
    },
  }
}

async function send(store: Target, chunks: readonly Addressed[]): Promise<void> {
  const missing = new Set(await store.missing(chunks.map((chunk) => chunk.hash)))
  const wanted = chunks.filter((chunk) => missing.has(chunk.hash))
  if (wanted.length > 0) await store.stage(wanted)
}
