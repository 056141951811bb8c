import { bodyBuilder, type Addressed, type Body } from '../../content/body.ts'
import { cut } from '../../content/chunker.ts'
import { hasher, sha256, type Hash } from '../../content/hash.ts'
import type { BlobStore } from './blob-store.ts'
import { openShelf, openSlabs, type Shelf, type Slabs } from './slabs.ts'

/** A batch holds at most so many bytes and chunks. */
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_CHUNKS = 512
/** While these travel, the next batch is filled. */
const BATCHES_UNDER_WAY = 3
/** Slabs of as many batches; what lies in one is not divided, so a batch takes some more than its bytes. */
const SLABS_KEPT = 4 * 6

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
  /** Where chunks wait to be staged; memory of its own unless given. */
  readonly slabs?: Slabs
}

/** Memory for stagings that follow each other. */
export function stagingSlabs(): Slabs {
  return openSlabs({ kept: SLABS_KEPT })
}

/** Brings many streams into a store with few round trips: pieces of several small blobs travel together. */
export interface Staging {
  /**
   * Cuts and queues a stream, whose pieces need not stay as they are once the next is asked for; may be called for several at once.
   * What it gives may be committed after the next `flush`.
   */
  add(source: AsyncIterable<Uint8Array>): Promise<Staged>
  /** Resolves when everything added before is staged. Throws the first error of the store, as does every call after it. */
  flush(): Promise<void>
}

/**
 * Brings a stream into a store, so that a commit can name it. Only chunks that the store misses travel, in batches, three
 * under way while the next is cut: about 20 MiB are held, whatever the length. Everything is staged when it resolves; an error of
 * the source or the store is thrown as it is.
 */
export async function stageStream(
  store: Target,
  source: AsyncIterable<Uint8Array>,
  options: StagingOptions = {},
): Promise<Staged> {
  const sender = openSender(store, options)
  try {
    const staged = await addStream(sender, source)
    await sender.flush()
    return staged
  } finally {
    sender.discard()
  }
}

/**
 * Opens a staging of many streams; holds about 20 MiB, and 1 MiB for each stream. Nothing has to be closed: what was not flushed is
 * not staged, so `slabs` are to be its own, or as many as it wants.
 */
export function openStaging(store: Target, options: StagingOptions = {}): Staging {
  const sender = openSender(store, options)
  return { add: (source) => addStream(sender, source), flush: () => sender.flush() }
}

async function addStream(sender: Sender, source: AsyncIterable<Uint8Array>): Promise<Staged> {
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
}

interface Sender {
  /** Copies the chunk. */
  add(chunk: Addressed, progress: number): Promise<void>
  /** Resolves when everything added before is staged. */
  flush(): Promise<void>
  /** Gives back the memory of what was added and not flushed. */
  discard(): void
}
interface Batch {
  readonly chunks: Map<Hash, Addressed>
  readonly shelf: Shelf
  bytes: number
  progress: number
}

function openSender(store: Target, { onBytes, slabs = stagingSlabs() }: StagingOptions): Sender {
  const newBatch = (): Batch => ({ chunks: new Map(), shelf: openShelf(slabs), bytes: 0, progress: 0 })
  const underWay = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | null = null
  let batch = newBatch()
  const check = (): void => {
    if (failure !== null) throw failure.error
  }
  const travel = async ({ chunks, shelf, progress }: Batch): Promise<void> => {
    let arrived = false
    try {
      await send(store, [...chunks.values()])
      arrived = true
      onBytes?.(progress)
    } catch (error) {
      failure ??= { error }
    } finally {
      // After a failure something of the store may still look at it.
      shelf.clear(arrived)
    }
  }
  const launch = (): void => {
    const travelling = travel(batch).then(() => void underWay.delete(travelling))
    underWay.add(travelling)
    batch = newBatch()
  }
  /** False when the chunk has no place in the batch. */
  const place = ({ hash, bytes }: Addressed): boolean => {
    if (batch.chunks.has(hash)) return true
    if (batch.bytes + bytes.length > BATCH_BYTES || batch.chunks.size >= BATCH_CHUNKS) return false
    const room = batch.shelf.room(bytes.length)
    if (room === null) return false
    room.set(bytes)
    batch.chunks.set(hash, { hash, bytes: room })
    batch.bytes += bytes.length
    return true
  }
  const makePlace = async (): Promise<void> => {
    const waits = underWay.size >= BATCHES_UNDER_WAY || (batch.chunks.size === 0 && underWay.size > 0)
    if (waits) await Promise.race(underWay)
    else if (batch.chunks.size > 0) launch()
    // Only who holds nothing stands in line: else all could wait for each other.
    else batch.shelf.add(await slabs.borrow())
    check()
  }
  return {
    add: async (chunk, progress) => {
      check()
      while (!place(chunk)) await makePlace()
      batch.progress += progress
    },
    flush: async () => {
      while (batch.chunks.size > 0) await makePlace()
      await Promise.all(underWay)
      check()
    },
    discard: () => batch.shelf.clear(true),
  }
}

async function send(store: Target, chunks: readonly Addressed[]): Promise<void> {
  const missing = new Set(await store.missing(chunks.map((chunk) => chunk.hash)))
  const wanted = chunks.filter((chunk) => missing.has(chunk.hash))
  if (wanted.length > 0) await store.stage(wanted)
}
