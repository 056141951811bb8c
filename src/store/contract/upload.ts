import { bodyBuilder, type Addressed, type Body, type BodyRef } from '../../content/body.ts'
import { cut, SMALL } from '../../content/chunker.ts'
import { EMPTY_HASH, hasher, sha256, type Hash } from '../../content/hash.ts'
import type { BlobStore, Passage } from './blob-store.ts'
import { openShelf, openSlabs, type Shelf, type Slabs } from './slabs.ts'

/** A batch holds at most so many bytes and chunks. */
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_CHUNKS = 512
/** Chunks that all were there, until a request tells of them alone; with those of the batches under way they fit into one. */
const SILENT = 256
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
  /**
   * As `add`, of a whole blob of at most `SMALL` bytes, which are to stay as they are until it resolves. `isNew`: who knows what the bucket
   * has found that it lacks them, so that they travel without a question.
   */
  addSmall(bytes: Uint8Array, isNew?: (hash: Hash) => boolean): Promise<Staged>
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
  return {
    add: (source) => addStream(sender, source),
    addSmall: (bytes, isNew) => addSmall(sender, bytes, isNew),
    flush: () => sender.flush(),
  }
}

/** A small blob is one chunk, with the same hash. */
async function addSmall(sender: Sender, bytes: Uint8Array, isNew?: (hash: Hash) => boolean): Promise<Staged> {
  const size = bytes.length
  if (size > SMALL) throw new RangeError(`${size} bytes are no small blob`)
  if (size === 0) return { hash: EMPTY_HASH, size, body: { depth: 0, refs: [] } }
  const hash = sha256(bytes)
  await sender.add({ hash, bytes }, size, null, isNew?.(hash) === true)
  return { hash, size, body: { depth: 0, refs: [{ hash, size }] } }
}

async function addStream(sender: Sender, source: AsyncIterable<Uint8Array>): Promise<Staged> {
  const whole = hasher()
  const builder = bodyBuilder()
  let size = 0
  let first: Hash | null = null
  for await (const bytes of cut(source)) {
    whole.update(bytes)
    const hash = sha256(bytes)
    // Up to that size it is the only one.
    if (size === 0 && bytes.length > SMALL) first = hash
    await sender.add({ hash, bytes }, bytes.length, first === null ? null : { first, at: size })
    size += bytes.length
    for (const list of builder.add({ hash, size: bytes.length })) await sender.add(list, 0, null)
  }
  const { body, lists } = builder.finish()
  for (const list of lists) await sender.add(list, 0, null)
  return { hash: whole.digest('hex'), size, body }
}

interface Sender {
  /** Copies the chunk; `of` is the blob that it belongs to, and its place there; `lacking`: it need not be asked for. */
  add(chunk: Addressed, progress: number, of: Pick<Passage, 'first' | 'at'> | null, lacking?: boolean): Promise<void>
  /** Resolves when everything added before is staged. */
  flush(): Promise<void>
  /** Gives back the memory of what was added and not flushed. */
  discard(): void
}
interface Batch {
  readonly chunks: Map<Hash, Addressed>
  readonly shelf: Shelf
  readonly passages: Map<Hash, Passage & { readonly refs: BodyRef[] }>
  /** Chunks that travel without being asked for. */
  readonly lacking: Set<Hash>
  /** Chunks that were added, each as often as it was. */
  count: number
  bytes: number
  progress: number
}

function openSender(store: Target, { onBytes, slabs = stagingSlabs() }: StagingOptions): Sender {
  const newBatch = (): Batch => ({
    chunks: new Map(),
    passages: new Map(),
    lacking: new Set(),
    shelf: openShelf(slabs),
    count: 0,
    bytes: 0,
    progress: 0,
  })
  const underWay = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | null = null
  let batch = newBatch()
  const courier = openCourier(store)
  const check = (): void => {
    if (failure !== null) throw failure.error
  }
  const travel = async ({ chunks, passages, lacking, shelf, progress }: Batch): Promise<void> => {
    let arrived = false
    try {
      await courier.bring([...chunks.values()], [...passages.values()], lacking)
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
    if (batch.count >= BATCH_CHUNKS) return false
    if (batch.chunks.has(hash)) return true
    if (batch.bytes + bytes.length > BATCH_BYTES) return false
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
    add: async (chunk, progress, of, lacking = false) => {
      check()
      while (!place(chunk)) await makePlace()
      if (lacking) batch.lacking.add(chunk.hash)
      batch.count += 1
      batch.progress += progress
      if (of === null) return
      const passage = batch.passages.get(of.first) ?? { ...of, refs: [] }
      passage.refs.push({ hash: chunk.hash, size: chunk.bytes.length })
      batch.passages.set(of.first, passage)
    },
    flush: async () => {
      while (batch.chunks.size > 0) await makePlace()
      await Promise.all(underWay)
      check()
      await courier.settle()
    },
    discard: () => batch.shelf.clear(true),
  }
}

/** To ask whether so few bytes are there already takes as long as to send them. */
const UNASKED_BYTES = 64 * 1024

interface Courier {
  /** Stages what is missing of the chunks, and tells where they belong. */
  bring(chunks: readonly Addressed[], passages: readonly Passage[], lacking: ReadonlySet<Hash>): Promise<void>
  /** Tells what was not told yet. */
  settle(): Promise<void>
}

function openCourier(store: Target): Courier {
  /** Passages of chunks that all were there: they travel with others. */
  let silent: readonly Passage[] = []
  const tell = async (wanted: readonly Addressed[]): Promise<void> => {
    const passages = silent
    silent = []
    await store.stage(wanted, { passages })
  }
  return {
    bring: async (chunks, passages, lacking) => {
      const unsure = chunks.filter(({ hash }) => !lacking.has(hash))
      const bytes = unsure.reduce((sum, chunk) => sum + chunk.bytes.length, 0)
      const hashes = unsure.map((chunk) => chunk.hash)
      const missing = new Set(bytes <= UNASKED_BYTES ? hashes : await store.missing(hashes))
      const wanted = chunks.filter(({ hash }) => lacking.has(hash) || missing.has(hash))
      silent = [...silent, ...passages]
      const told = silent.reduce((sum, { refs }) => sum + refs.length, 0)
      if (wanted.length > 0 || told >= SILENT) await tell(wanted)
    },
    settle: async () => {
      if (silent.length > 0) await tell([])
    },
  }
}
