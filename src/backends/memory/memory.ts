import type { Hash } from '../../content/hash.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Backend, BackendPromises, BucketPorts, Content, Log, Placed } from '../../store/ports.ts'

const MAX_ENTRY_BYTES = 1024 * 1024
const READ_BATCH = 1000
const PROMISES: BackendPromises = {
  name: 'memory',
  durability: 'process',
  maxEntryBytes: MAX_ENTRY_BYTES,
  live: 'pushed',
  cannot: {
    trimming: 'it lives as long as its process',
    sweeping: 'it lives as long as its process',
  },
}

interface Bucket {
  readonly entries: Placed[]
  readonly chunks: Map<Hash, Uint8Array>
  readonly waiting: Set<() => void>
  removed: boolean
}

/** Buckets in this process's memory: gone with it. */
export function openMemory(): Backend {
  const buckets = new Map<string, Bucket>()
  return {
    promises: PROMISES,
    viewDirectory: null,
    create: async (name) => {
      if (buckets.has(name)) return false
      buckets.set(name, { entries: [], chunks: new Map(), waiting: new Set(), removed: false })
      return true
    },
    names: async () => [...buckets.keys()].sort(),
    remove: async (name) => {
      const bucket = buckets.get(name)
      if (bucket === undefined) return false
      bucket.removed = true
      buckets.delete(name)
      wake(bucket)
      return true
    },
    open: async (name) => {
      const bucket = buckets.get(name)
      return bucket === undefined ? null : ports(name, bucket)
    },
    close: async () => undefined,
  }
}

function ports(name: string, bucket: Bucket): BucketPorts {
  const present = (): Bucket => {
    if (!bucket.removed) return bucket
    throw new BlobsError('NotFound', `bucket ${name} was removed`, { bucket: name })
  }
  return { log: memoryLog(present), content: memoryContent(present) }
}

function memoryLog(bucket: () => Bucket): Log {
  return {
    append: async (added) => {
      const { entries } = bucket()
      const large = added.find((entry) => entry.data.length > MAX_ENTRY_BYTES)
      if (large !== undefined) throw new BlobsError('TooLarge', `entry ${large.id} has ${large.data.length} bytes`)
      const positions = added.map(({ id, data }) => {
        const position = entries.length + 1
        entries.push({ id, data: new Uint8Array(data), position })
        return position
      })
      if (positions.length > 0) wake(bucket())
      return positions
    },
    read: async function* ({ after }) {
      const { entries } = bucket()
      const end = entries.length
      for (let at = after; at < end; at += READ_BATCH) yield entries.slice(at, Math.min(end, at + READ_BATCH))
    },
    wait: ({ after, signal }) => waitFor(bucket(), after, signal),
    close: async () => undefined,
  }
}

function waitFor(bucket: Bucket, after: number, signal: AbortSignal): Promise<void> {
  if (bucket.entries.length > after || signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      bucket.waiting.delete(done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    bucket.waiting.add(done)
    signal.addEventListener('abort', done)
  })
}

function wake(bucket: Bucket): void {
  for (const done of bucket.waiting) done()
}

function memoryContent(bucket: () => Bucket): Content {
  return {
    put: async (added) => {
      const { chunks } = bucket()
      // Not slice(): of a Buffer that is no copy.
      for (const { hash, bytes } of added) if (!chunks.has(hash)) chunks.set(hash, new Uint8Array(bytes))
    },
    get: async (hashes) => {
      const { chunks } = bucket()
      return hashes.map((hash) => chunks.get(hash)?.slice() ?? null)
    },
    missing: async (hashes) => {
      const { chunks } = bucket()
      return hashes.filter((hash) => !chunks.has(hash))
    },
    close: async () => undefined,
  }
}
