import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/content/hash.ts'
import type { Passage, StageOptions } from '../../src/store/contract/blob-store.ts'
import type { Chunk } from '../../src/store/contract/types.ts'
import { openSlabs, type Slabs } from '../../src/store/contract/slabs.ts'
import { openStaging, stageStream } from '../../src/store/contract/upload.ts'
import { once } from './acts.ts'
import { noise } from './noise.ts'

const MiB = 1024 * 1024

/** A store that takes its time, and looks at the bytes again at the end of it. */
function slowStore(options: { readonly fail?: (call: number) => boolean } = {}) {
  const kept = new Map<string, Buffer>()
  const sizes: number[] = []
  const altered: string[] = []
  let [calls, now, atOnce] = [0, 0, 0]
  const stage = async (chunks: readonly Chunk[]): Promise<void> => {
    const call = ++calls
    atOnce = Math.max(atOnce, ++now)
    sizes.push(chunks.reduce((sum, { bytes }) => sum + bytes.length, 0))
    await new Promise((resolve) => setTimeout(resolve, (call * 7) % 5))
    now--
    if (options.fail?.(call)) throw new Error(`call ${call} failed`)
    for (const { hash, bytes } of chunks) {
      if (sha256(bytes) !== hash) altered.push(hash)
      kept.set(hash, Buffer.from(bytes))
    }
  }
  const missing = async (hashes: readonly string[]): Promise<string[]> => hashes.filter((hash) => !kept.has(hash))
  return { missing, stage, kept, sizes, altered, atOnce: () => atOnce }
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const lent = new Uint8Array(size)
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.subarray(at, at + size)
    lent.set(piece)
    yield lent.subarray(0, piece.length)
    lent.fill(0xee)
  }
}

/** Slabs that count how many were lent at once, and are overwritten when they come back. */
function watched(most: number): Slabs & { readonly peak: () => number; readonly lent: () => number } {
  const slabs = openSlabs({ most, kept: most })
  let [lent, peak] = [0, 0]
  const count = <T>(slab: T): T => {
    if (slab !== null) peak = Math.max(peak, ++lent)
    return slab
  }
  return {
    take: () => count(slabs.take()),
    borrow: async (signal) => count(await slabs.borrow(signal)),
    giveBack: (all, untouched) => {
      lent -= all.length
      if (untouched) for (const slab of all) slab.fill(0xdd)
      slabs.giveBack(all, untouched)
    },
    peak: () => peak,
    lent: () => lent,
  }
}

describe('staging a stream', () => {
  it('holds a few batches at a time, and uses their memory again only when they have arrived', async () => {
    const store = slowStore()
    const slabs = watched(1000)
    const bytes = noise(40 * MiB)
    const staged = await stageStream(store, pieces(bytes, 100_000), { slabs })
    expect(staged.hash).toBe(sha256(bytes))
    expect(store.altered).toEqual([])
    expect(Math.max(...store.sizes)).toBeLessThanOrEqual(4 * MiB)
    expect(store.sizes.length).toBeLessThan(14)
    expect(store.atOnce()).toBe(3)
    expect(slabs.peak()).toBeLessThan(26)
    expect(slabs.lent()).toBe(0)
  })

  it('ends with what little memory there is, several at once', async () => {
    const store = slowStore()
    const slabs = watched(3)
    const all = Array.from({ length: 5 }, (_, seed) => noise(3 * MiB, seed + 1))
    const staged = await Promise.all(all.map((bytes) => stageStream(store, pieces(bytes, 70_000), { slabs })))
    expect(staged.map(({ hash }) => hash)).toEqual(all.map(sha256))
    expect(store.altered).toEqual([])
    expect(slabs.peak()).toBe(3)
    expect(slabs.lent()).toBe(0)
  })

  it('a small blob in one piece comes to what its stream would', async () => {
    const store = slowStore()
    const staging = openStaging(store)
    for (const size of [0, 1, 4096, 65_535, 65_536]) {
      const bytes = noise(size, size + 1)
      const whole = Buffer.from(bytes)
      const staged = await staging.addSmall(whole)
      // Its memory is the caller's again.
      whole.fill(0xee)
      expect(staged).toEqual(await stageStream(store, pieces(bytes, 1000)))
    }
    await staging.flush()
    expect(store.altered).toEqual([])
    await expect(staging.addSmall(noise(65_537))).rejects.toThrow('no small blob')
  })

  it('that breaks off gives its memory back', async () => {
    const slabs = watched(4)
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield noise(2 * MiB)
      throw new Error('cut')
    }
    await expect(stageStream(slowStore(), broken(), { slabs })).rejects.toThrow('cut')
    expect(slabs.lent()).toBe(0)
  })

  it('throws the first failure of the store, and leaves the bytes of that call as they are', async () => {
    const seen: Chunk[] = []
    const store = slowStore({ fail: (call) => call === 2 })
    const watching = {
      missing: store.missing,
      stage: (chunks: readonly Chunk[]) => {
        if (store.sizes.length === 1) seen.push(...chunks)
        return store.stage(chunks)
      },
    }
    const slabs = watched(1000)
    await expect(stageStream(watching, once(noise(30 * MiB)), { slabs })).rejects.toThrow('call 2 failed')
    await stageStream(slowStore(), once(noise(30 * MiB, 2)), { slabs })
    expect(seen.length).toBeGreaterThan(5)
    expect(seen.filter(({ hash, bytes }) => sha256(bytes) !== hash)).toEqual([])
  })
})

describe('a staging of many streams', () => {
  it('keeps them apart, also when they come at once', async () => {
    const store = slowStore()
    const staging = openStaging(store)
    const all = Array.from({ length: 8 }, (_, seed) => noise((seed + 1) * 700_000, seed + 1))
    const staged = await Promise.all(all.map((bytes) => staging.add(pieces(bytes, 65_536))))
    await staging.flush()
    expect(staged.map(({ hash }) => hash)).toEqual(all.map(sha256))
    expect(store.altered).toEqual([])
    const first = staged[0]?.body.refs.map(({ hash }) => store.kept.get(hash) ?? Buffer.alloc(0)) ?? []
    expect(Buffer.concat(first).equals(all[0] ?? Buffer.alloc(0))).toBe(true)
  })

  it('throws the same failure with every later call', async () => {
    const staging = openStaging(slowStore({ fail: () => true }))
    await staging.add(once(noise(100_000)))
    await expect(staging.flush()).rejects.toThrow('call 1 failed')
    await expect(staging.add(once(noise(100)))).rejects.toThrow('call 1 failed')
    await expect(staging.flush()).rejects.toThrow('call 1 failed')
  })
})

describe('what a staging tells of large blobs', () => {
  /** The refs that were told of each blob, which follow each other from its beginning. */
  function follow(told: Map<string, { next: number; refs: string[] }>, { first, at, refs }: Passage): void {
    const blob = at === 0 ? { next: 0, refs: [] } : told.get(first)
    expect(blob?.next).toBe(at)
    for (const { hash, size } of refs) {
      if (blob === undefined) return
      blob.next += size
      blob.refs.push(hash)
    }
    if (blob !== undefined) told.set(first, blob)
  }

  it('is each of their chunks in order, with few requests where all are there, and nothing of small ones', async () => {
    const told = new Map<string, { next: number; refs: string[] }>()
    const kept = new Set<string>()
    let requests = 0
    const store = {
      missing: async (hashes: readonly string[]) => hashes.filter((hash) => !kept.has(hash)),
      stage: async (chunks: readonly Chunk[], { passages = [] }: StageOptions = {}) => {
        requests++
        for (const { hash } of chunks) kept.add(hash)
        for (const passage of passages) follow(told, passage)
      },
    }
    const large = noise(30 * MiB)
    for (const most of [8, 1]) {
      told.clear()
      requests = 0
      const staging = openStaging(store)
      const { size } = await staging.add(pieces(large, MiB))
      await staging.add(once(Buffer.from('small')))
      await staging.flush()
      expect(size).toBe(large.length)
      expect([...told.values()].map(({ next }) => next)).toEqual([large.length])
      expect([...told.values()].flatMap(({ refs }) => refs).every((hash) => kept.has(hash))).toBe(true)
      expect(requests).toBeLessThanOrEqual(most + 1)
    }
  })

  it('stays small for a blob of one chunk again and again', async () => {
    const runs: number[] = []
    const store = {
      missing: async (hashes: readonly string[]) => [...hashes],
      stage: async (_chunks: readonly Chunk[], { passages = [] }: StageOptions = {}) => {
        runs.push(passages.reduce((sum, { refs }) => sum + refs.length, 0))
      },
    }
    const zeros = Buffer.alloc(4 * MiB)
    await stageStream(
      store,
      (async function* () {
        for (let i = 0; i < 100; i++) yield zeros
      })(),
    )
    expect(runs.reduce((sum, run) => sum + run, 0)).toBe(800)
    expect(Math.max(...runs)).toBeLessThanOrEqual(1024)
  })
})
