import { createHash } from 'node:crypto'
import { BlobsError } from '../../../src/store/contract/errors.ts'
import type {
  Foreign,
  ForeignBucket,
  ForeignChange,
  ForeignItem,
  ForeignPromises,
} from '../../../src/store/mirror/foreign.ts'

/** A place in memory that holds plain current bytes by name, as others see and change it too. */
export interface MemoryPlace {
  readonly buckets: Map<string, MemoryBucket>
  readonly promises: ForeignPromises
  /** Called before each thing that is done to it; what it throws, the place fails with. */
  step: (what: string) => void
  /** Awaited in the middle of each write. */
  pause: () => Promise<void>
}
export interface MemoryBucket {
  readonly id: string
  readonly blobs: Map<string, MemoryBlob>
}
interface MemoryBlob {
  readonly tag: string
  readonly bytes: Buffer
  /** Bytes that it should have: more than it has while it is half there. */
  readonly size: number
}

export interface MemoryTraits {
  /** It refuses to replace what is not expected. */
  readonly compares?: boolean
}

let made = 0

export function memoryPlace({ compares = false }: MemoryTraits = {}): MemoryPlace {
  return {
    buckets: new Map(),
    promises: {
      name: 'memory',
      durability: 'process',
      live: 'polled',
      cannot: compares ? {} : { 'several writers': 'the last one who writes wins' },
      fresh: 0,
      poll: 20,
      parallel: 3,
    },
    step: () => undefined,
    pause: async () => undefined,
  }
}

/** What somebody else does there. */
export function writeThere(bucket: MemoryBucket, key: string, text: string | null, missing = 0): void {
  if (text === null) bucket.blobs.delete(key)
  else {
    const bytes = Buffer.from(text)
    bucket.blobs.set(key, { tag: `t${++made}`, bytes, size: bytes.length + missing })
  }
}

export function openMemoryForeign(place: MemoryPlace): Foreign {
  return {
    promises: place.promises,
    buckets: async () => {
      place.step('buckets')
      return Array.from(place.buckets, ([name, { id }]) => ({ name, id }))
    },
    create: async (name) => {
      place.step('create')
      if (place.buckets.has(name)) return false
      place.buckets.set(name, { id: `b${++made}`, blobs: new Map() })
      return true
    },
    remove: async (name) => {
      place.step('remove')
      return place.buckets.delete(name)
    },
    open: ({ name, id }) => openBucket(place, name, id),
    close: async () => undefined,
  }
}

function openBucket(place: MemoryPlace, name: string, id: string): ForeignBucket {
  const blobs = (): Map<string, MemoryBlob> => {
    const bucket = place.buckets.get(name)
    if (bucket?.id === id) return bucket.blobs
    throw new BlobsError('NotFound', `there is no bucket ${name}`, { bucket: name })
  }
  const compares = place.promises.cannot['several writers'] === undefined
  const writeOne = async ({ key, expected, put }: ForeignChange): Promise<string | null> => {
    const pieces: Uint8Array[] = []
    for await (const piece of put?.open() ?? []) pieces.push(Buffer.from(piece))
    await place.pause()
    place.step(`write ${key}`)
    if (compares && (blobs().get(key)?.tag ?? null) !== expected) {
      throw new BlobsError('VersionConflict', `${key} is another one`, { key })
    }
    if (put === null) {
      blobs().delete(key)
      place.step(`wrote ${key}`)
      return null
    }
    const bytes = Buffer.concat(pieces)
    if (createHash('sha256').update(bytes).digest('hex') !== put.hash) throw new Error('not the bytes of the hash')
    const tag = `t${++made}`
    blobs().set(key, { tag, bytes, size: bytes.length })
    place.step(`wrote ${key}`)
    return tag
  }
  return {
    list: async function* () {
      const items = Array.from(blobs(), ([key, { tag, size }]): ForeignItem => ({ key, tag, size, modified: null }))
      for (let at = 0; at < items.length; at += 2) {
        place.step('list')
        yield items.slice(at, at + 2)
      }
      place.step('list')
    },
    read: async function* ({ key, tag }) {
      place.step(`read ${key}`)
      const blob = blobs().get(key)
      if (blob?.tag !== tag) throw new BlobsError('NotFound', `${key} is not there any more`, { key })
      const half = Math.floor(blob.bytes.length / 2)
      yield blob.bytes.subarray(0, half)
      place.step(`read ${key}`)
      yield blob.bytes.subarray(half)
    },
    check: (key) => {
      if (key === 'too long for it') throw new BlobsError('InvalidKey', `${key} cannot be written there`, { key })
    },
    write: async (changes) => {
      const tags: (string | null)[] = []
      for (const change of changes) tags.push(await writeOne(change))
      return tags
    },
    close: async () => undefined,
  }
}
