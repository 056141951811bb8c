import type { Hash } from '../../content/hash.ts'
import type { Clock } from '../../platform/ports.ts'
import { systemClock } from '../../platform/system.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type {
  Backend,
  BackendPromises,
  BucketPorts,
  Checkpoint,
  Content,
  Log,
  Placed,
  Position,
  Trimming,
} from '../../store/ports.ts'

const MAX_ENTRY_BYTES = 1024 * 1024
const READ_BATCH = 1000
const PROMISES: BackendPromises = {
  name: 'memory',
  durability: 'process',
  maxEntryBytes: MAX_ENTRY_BYTES,
  live: 'pushed',
  cannot: {},
}

interface Bucket {
  /** Those behind `floor`. */
  readonly entries: Placed[]
  floor: Position
  checkpoint: Checkpoint | null
  readonly chunks: Map<Hash, { readonly bytes: Uint8Array; modified: number }>
  readonly waiting: Set<() => void>
  removed: boolean
}

/** Buckets in this process's memory: gone with it. `clock` tells the age of chunks; this machine's unless given. */
export function openMemory(clock: Pick<Clock, 'now'> = systemClock): Backend {
  const buckets = new Map<string, Bucket>()
  return {
    promises: PROMISES,
    viewDirectory: null,
    create: async (name) => {
      if (buckets.has(name)) return false
      const empty = {
        entries: [],
        floor: 0,
        checkpoint: null,
        chunks: new Map<never, never>(),
        waiting: new Set<() => void>(),
      }
      buckets.set(name, { ...empty, removed: false })
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
      return bucket === undefined ? null : ports(name, bucket, clock)
    },
    close: async () => undefined,
  }
}

function ports(name: string, bucket: Bucket, clock: Pick<Clock, 'now'>): BucketPorts {
  const present = (): Bucket => {
    if (!bucket.removed) return bucket
    throw new BlobsError('NotFound', `bucket ${name} was removed`, { bucket: name })
  }
  return { log: memoryLog(present), content: memoryContent(present, clock) }
}

function memoryLog(bucket: () => Bucket): Log {
  return {
    append: async (added) => {
      const { entries, floor } = bucket()
      const large = added.find((entry) => entry.data.length > MAX_ENTRY_BYTES)
      if (large !== undefined) throw new BlobsError('TooLarge', `entry ${large.id} has ${large.data.length} bytes`)
      const positions = added.map(({ id, data }) => {
        const position = floor + entries.length + 1
        entries.push({ id, data: new Uint8Array(data), position })
        return position
      })
      if (positions.length > 0) wake(bucket())
      return positions
    },
    read: async function* ({ after }) {
      const end = endOf(bucket())
      for (let at = after; at < end; at += READ_BATCH) {
        const { entries, floor } = bucket()
        if (at < floor) throw expired(at, floor)
        yield entries.slice(at - floor, Math.min(end, at + READ_BATCH) - floor)
      }
      const { floor } = bucket()
      if (after < floor) throw expired(after, floor)
    },
    wait: ({ after, signal }) => waitFor(bucket(), after, signal),
    trimming: memoryTrimming(bucket),
    close: async () => undefined,
  }
}

function memoryTrimming(bucket: () => Bucket): Trimming {
  return {
    floor: async () => bucket().floor,
    trim: async ({ through }) => {
      const own = bucket()
      const floor = Math.min(through, endOf(own))
      if (floor <= own.floor) return
      own.entries.splice(0, floor - own.floor)
      own.floor = floor
    },
    checkpoint: async () => bucket().checkpoint,
    saveCheckpoint: async (checkpoint) => {
      const own = bucket()
      if (checkpoint.position > (own.checkpoint?.position ?? 0)) own.checkpoint = checkpoint
    },
  }
}

function endOf({ entries, floor }: Bucket): Position {
  return floor + entries.length
}

function expired(after: Position, floor: Position): BlobsError {
  return new BlobsError('CursorExpired', `the log was trimmed up to position ${floor}: ${after} is behind that`)
}

function waitFor(bucket: Bucket, after: number, signal: AbortSignal): Promise<void> {
  if (endOf(bucket) > after || signal.aborted) return Promise.resolve()
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

function memoryContent(bucket: () => Bucket, clock: Pick<Clock, 'now'>): Content {
  const isThere = (hash: Hash): boolean => {
    const chunk = bucket().chunks.get(hash)
    if (chunk !== undefined) chunk.modified = clock.now()
    return chunk !== undefined
  }
  return {
    put: async (added) => {
      const { chunks } = bucket()
      for (const { hash, bytes } of added) {
        // Not slice(): of a Buffer that is no copy.
        if (!isThere(hash)) chunks.set(hash, { bytes: new Uint8Array(bytes), modified: clock.now() })
      }
    },
    get: async (hashes) => {
      const { chunks } = bucket()
      return hashes.map((hash) => chunks.get(hash)?.bytes.slice() ?? null)
    },
    missing: async (hashes) => hashes.filter((hash) => !isThere(hash)),
    sweeping: {
      now: async () => clock.now(),
      chunks: async function* () {
        const { chunks } = bucket()
        yield [...chunks].map(([hash, { bytes, modified }]) => ({ hash, size: bytes.length, modified }))
      },
      remove: async (listed) => {
        const { chunks } = bucket()
        const old = listed.filter(({ hash, modified }) => (chunks.get(hash)?.modified ?? Infinity) <= modified)
        for (const { hash } of old) chunks.delete(hash)
        return { chunks: old.length, bytes: old.reduce((sum, { size }) => sum + size, 0) }
      },
    },
    close: async () => undefined,
  }
}
