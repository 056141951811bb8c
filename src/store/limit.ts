import type { Clock } from '../platform/ports.ts'
import type { BlobStore } from './contract/blob-store.ts'
import type { Chunk } from './contract/types.ts'

/** Milliseconds' worth of bytes that pass at once: short, so that a line never feels stop and go. */
const STEP = 100
/** Bytes that pass at once however slow the line is. */
const LEAST = 4 * 1024
/** A pause shorter than this many milliseconds is left to the next one. */
const SHORTEST_PAUSE = 2

export interface LimitOptions {
  /** For everything together: what is staged, got and fetched. */
  readonly bytesPerSecond: number
  readonly clock: Clock
}

/** Lets the bytes of blobs through no faster than this, evenly; callers at the same time share it in turn. */
export function limited(
  { reach: _unlimited, ...store }: BlobStore,
  { bytesPerSecond, clock }: LimitOptions,
): BlobStore {
  const step = Math.max(LEAST, Math.floor((bytesPerSecond * STEP) / 1000))
  // When the line is free again. Each caller books its time behind the others', so the order is theirs.
  let free = Number.NEGATIVE_INFINITY
  const pass = async (bytes: number): Promise<void> => {
    const now = clock.elapsed()
    free = Math.max(free, now - SHORTEST_PAUSE) + (bytes * 1000) / bytesPerSecond
    if (free - now >= SHORTEST_PAUSE) await clock.sleep(free - now)
  }
  const slowly = async function* (stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    for await (const piece of stream) {
      for (let at = 0; at < piece.length; at += step) {
        const part = piece.subarray(at, at + step)
        await pass(part.length)
        yield part
      }
    }
  }
  return {
    ...store,
    get: async (key, options) => {
      const blob = await store.get(key, options)
      return blob === null ? null : { ...blob, stream: slowly(blob.stream) }
    },
    stage: async (chunks, options) => {
      if (chunks.length === 0) await store.stage(chunks, options)
      for (const group of groups(chunks, step)) {
        await pass(sizeOf(group))
        await store.stage(group)
      }
      // Only now all that it names is there.
      if (chunks.length > 0 && options !== undefined) await store.stage([], options)
    },
    fetch: async function* (wants) {
      for await (const fetched of store.fetch(wants)) {
        await pass(fetched.bytes.length)
        yield fetched
      }
    },
  }
}

/** Chunks that go together: as many as fit into `step` bytes, at least one. */
function groups(chunks: readonly Chunk[], step: number): readonly (readonly Chunk[])[] {
  const all: Chunk[][] = []
  let size = 0
  for (const chunk of chunks) {
    const last = all.at(-1)
    if (last === undefined || size + chunk.bytes.length > step) {
      all.push([chunk])
      size = 0
    } else last.push(chunk)
    size += chunk.bytes.length
  }
  return all
}

function sizeOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0)
}
