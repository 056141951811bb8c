import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sha256 } from '../../src/content/hash.ts'
import type { Backend, BucketPorts, Log, Placed, Position, RawEntry } from '../../src/store/ports.ts'
import { sweepingConforms, trimmingConforms } from './trimming-laws.ts'

/** A place to test, made anew for each test. */
export interface Place {
  /** Another opener of the same place; for a place in memory the one there is. */
  open(): Promise<Backend>
  /** Takes the place away after the openers were closed. */
  drop(): Promise<void>
}

export interface Traits {
  /** The only name that a bucket can have, where there can be only one, which is never removed. */
  readonly onlyBucket?: string
  /** Why nothing survives closing and opening again, if so. */
  readonly forgets?: string
}

/** What holds for the two ports of every backend (src/store/ports.ts). */
export function backendConformance(name: string, makePlace: () => Promise<Place>, traits: Traits = {}): void {
  describe(`${name} is a backend`, () => {
    let place: Place
    let opened: Backend[]
    const open = async (): Promise<Backend> => {
      const backend = await place.open()
      opened.push(backend)
      return backend
    }
    const { onlyBucket } = traits
    const bucket = async (backend: Backend, bucketName = onlyBucket ?? 'one'): Promise<BucketPorts> => {
      await backend.create(bucketName)
      return present(await backend.open(bucketName))
    }
    beforeEach(async () => {
      opened = []
      place = await makePlace()
    })
    afterEach(async () => {
      for (const backend of new Set(opened)) await backend.close()
      await place.drop()
    })
    if (onlyBucket === undefined) bucketsConform(open, bucket)
    else oneBucketConforms(open, onlyBucket)
    logConforms(open, bucket)
    waitConforms(open, bucket)
    contentConforms(open, bucket)
    trimmingConforms(open, bucket)
    sweepingConforms(open, bucket)
    if (traits.forgets === undefined) durabilityConforms(open, bucket, onlyBucket ?? 'one')
    else
      test(`declares that closing forgets: ${traits.forgets}`, async () =>
        expect((await open()).promises.durability).toBe('process'))
  })
}

type Open = () => Promise<Backend>
type MakeBucket = (backend: Backend, name?: string) => Promise<BucketPorts>

function bucketsConform(open: Open, bucket: MakeBucket): void {
  test('names are sorted, and empty at first', async () => {
    const backend = await open()
    expect(await backend.names()).toEqual([])
    for (const name of ['pear', 'apple', 'fig.9', 'fig-9', '_system']) expect(await backend.create(name)).toBe(true)
    expect(await backend.names()).toEqual(['_system', 'apple', 'fig-9', 'fig.9', 'pear'])
  })
  test('of many that create the same name at once, one does', async () => {
    const backends = [await open(), await open()]
    const made = await Promise.all(Array.from({ length: 16 }, (_, i) => present(backends[i % 2]).create('same')))
    expect(made.filter(Boolean)).toHaveLength(1)
  })
  test('a bucket that is not there opens as null and is not removed', async () => {
    const backend = await open()
    expect(await backend.open('nothing')).toBeNull()
    expect(await backend.remove('nothing')).toBe(false)
  })
  test('a removed bucket is gone, and one of the same name starts empty', async () => {
    const backend = await open()
    const old = await bucket(backend)
    const chunk = someChunk(200_000)
    await old.content.put([chunk])
    await old.log.append(entries(3))
    expect(await backend.remove('one')).toBe(true)
    expect(await backend.names()).toEqual([])
    await expect(old.log.append(entries(1))).rejects.toMatchObject({ code: 'NotFound' })
    await expect(old.content.put([chunk])).rejects.toMatchObject({ code: 'NotFound' })
    const { log, content } = await bucket(backend)
    expect(await readAll(log)).toEqual([])
    expect(await content.get([chunk.hash])).toEqual([null])
  })
  test('buckets know nothing of each other', async () => {
    const backend = await open()
    const [a, b] = [await bucket(backend, 'aa'), await bucket(backend, 'bb')]
    const chunk = someChunk(100)
    await a.content.put([chunk])
    await a.log.append(entries(2))
    expect(await b.content.missing([chunk.hash])).toEqual([chunk.hash])
    expect(await b.log.append(entries(1))).toEqual([1])
  })
}

function oneBucketConforms(open: Open, name: string): void {
  test('there is no bucket at first, then the only one that there can be', async () => {
    const backend = await open()
    expect(backend.promises.cannot['making buckets']).toBeTypeOf('string')
    expect(await backend.names()).toEqual([])
    expect(await backend.open(name)).toBeNull()
    expect(await backend.create(name)).toBe(true)
    expect(await backend.names()).toEqual([name])
  })
  test('of many that create it at once, one does', async () => {
    const backends = [await open(), await open()]
    const made = await Promise.all(Array.from({ length: 16 }, (_, i) => present(backends[i % 2]).create(name)))
    expect(made.filter(Boolean)).toHaveLength(1)
  })
  test('another one is refused, and so is removing it', async () => {
    const backend = await open()
    await expect(backend.create('another')).rejects.toThrow(name)
    await backend.create(name)
    await expect(backend.remove(name)).rejects.toMatchObject({ code: 'NotSupported' })
    expect(await backend.names()).toEqual([name])
  })
}

function logConforms(open: Open, bucket: MakeBucket): void {
  test('entries come back in order, whole, with the positions that append gave', async () => {
    const { log } = await bucket(await open())
    const added = [...entries(5), { id: 'empty', data: new Uint8Array(0) }]
    const positions = await log.append(added)
    expect(positions[0]).toBe(1)
    expect(await readAll(log)).toEqual(added.map((entry, i) => ({ ...plain(entry), position: positions[i] })))
  })
  test('appending nothing gives nothing', async () => {
    const { log } = await bucket(await open())
    expect(await log.append([])).toEqual([])
    expect(await readAll(log)).toEqual([])
  })
  test('reading goes on after a position, and ends', async () => {
    const { log } = await bucket(await open())
    const positions = await log.append(entries(10))
    expect((await readAll(log, present(positions[6]))).map((entry) => entry.position)).toEqual(positions.slice(7))
    expect(await readAll(log, present(positions[9]))).toEqual([])
  })
  test('concurrent appends of several openers are all there, each in its own order, at ever higher positions', async () => {
    const logs = [(await bucket(await open())).log, (await bucket(await open())).log]
    const given = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const added = entries(3)
        return { added, positions: await present(logs[i % 2]).append(added) }
      }),
    )
    const found = new Map((await readAll(present(logs[0]))).map((entry) => [entry.id, entry.position]))
    expect(found.size).toBe(120)
    for (const { added, positions } of given) {
      expect(added.map((entry) => found.get(entry.id))).toEqual(positions)
      expect([...positions].sort((a, b) => a - b)).toEqual(positions)
    }
    expect(new Set(found.values()).size).toBe(120)
  })
  test('what one opener appended the other reads', async () => {
    const [a, b] = [await bucket(await open()), await bucket(await open())]
    await a.log.append(entries(1))
    await b.log.append(entries(1))
    expect(await readAll(a.log)).toEqual(await readAll(b.log))
  })
  test('a batch of thousands is read back in batches', async () => {
    const { log } = await bucket(await open())
    await log.append(entries(5000))
    const sizes: number[] = []
    for await (const batch of log.read({ after: 0 })) sizes.push(batch.length)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(5000)
    expect(Math.max(...sizes)).toBeLessThan(5000)
  })
  test('the largest entry fits, a larger one is TooLarge and nothing of its call is appended', async () => {
    const backend = await open()
    const { log } = await bucket(backend)
    const { maxEntryBytes } = backend.promises
    await log.append([{ id: 'fits', data: randomBytes(maxEntryBytes) }])
    const large = { id: 'large', data: randomBytes(maxEntryBytes + 1) }
    await expect(log.append([...entries(1), large])).rejects.toMatchObject({ code: 'TooLarge' })
    expect((await readAll(log)).map((entry) => entry.id)).toEqual(['fits'])
  })
}

function waitConforms(open: Open, bucket: MakeBucket): void {
  const never = new AbortController().signal
  test('waiting for what is there ends at once', async () => {
    const { log } = await bucket(await open())
    await log.append(entries(1))
    await log.wait({ after: 0, signal: never })
  })
  test("waiting ends within a second of another opener's append, and of one's own", async () => {
    const [a, b] = [await bucket(await open()), await bucket(await open())]
    let after: Position = 0
    // The first write of a machine may take longer: some places are put to a test by it.
    for (const { log } of [a, b]) after = present((await log.append(entries(1)))[0])
    for (const writer of [a.log, b.log, b.log]) {
      const waiting = a.log.wait({ after, signal: never })
      const start = performance.now()
      after = present((await writer.append(entries(1)))[0])
      await waiting
      expect(performance.now() - start).toBeLessThan(900)
    }
  })
  test('waiting ends when the signal aborts, before or while it waits', async () => {
    const { log } = await bucket(await open())
    await log.wait({ after: 0, signal: AbortSignal.abort() })
    const stop = new AbortController()
    const waiting = log.wait({ after: 0, signal: stop.signal })
    stop.abort()
    await waiting
  })
}

function contentConforms(open: Open, bucket: MakeBucket): void {
  test('content of every size comes back as it was put', async () => {
    const { content } = await bucket(await open())
    const chunks = [0, 1, 100, 65_535, 65_536, 65_537, 300_000, 524_288].map(someChunk)
    await content.put(chunks)
    const found = await content.get(chunks.map((chunk) => chunk.hash))
    expect(found.map((bytes) => bytes && sha256(bytes))).toEqual(chunks.map((chunk) => chunk.hash))
  })
  test('get answers in the order asked, null for what is missing, also for a hash asked twice', async () => {
    const { content } = await bucket(await open())
    const [small, large, absent] = [someChunk(10), someChunk(100_000), someChunk(10)]
    await content.put([small, large])
    const found = await content.get([large.hash, absent.hash, small.hash, large.hash])
    expect(found.map((bytes) => bytes?.length ?? null)).toEqual([100_000, null, 10, 100_000])
  })
  test('missing names exactly what is not there', async () => {
    const { content } = await bucket(await open())
    const chunks = [10, 70_000, 20, 80_000].map(someChunk)
    await content.put(chunks.slice(0, 2))
    expect(await content.missing(chunks.map((chunk) => chunk.hash))).toEqual(chunks.slice(2).map((chunk) => chunk.hash))
    expect(await content.missing([])).toEqual([])
  })
  test('sizes, where the place tells them, are of what get gives, in the order asked', async () => {
    const { content } = await bucket(await open())
    const [small, large, empty, absent] = [someChunk(10), someChunk(70_000), someChunk(0), someChunk(20)]
    await content.put([small, large, empty])
    const sizes = await content.sizes?.([large, absent, empty, small, large].map((chunk) => chunk.hash))
    expect(sizes ?? [70_000, null, 0, 10, 70_000]).toEqual([70_000, null, 0, 10, 70_000])
    expect((await content.sizes?.([])) ?? []).toEqual([])
  })
  test('nothing put and nothing asked is fine', async () => {
    const { content } = await bucket(await open())
    await content.put([])
    expect(await content.get([])).toEqual([])
  })
  test('putting again, twice in one call, and from two openers at once keeps one', async () => {
    const [a, b] = [await bucket(await open()), await bucket(await open())]
    const chunks = [10, 90_000].map(someChunk)
    await Promise.all([a.content.put([...chunks, ...chunks]), b.content.put(chunks), a.content.put(chunks)])
    await b.content.put(chunks)
    for (const { content } of [a, b]) {
      expect((await content.get(chunks.map((chunk) => chunk.hash))).map((bytes) => bytes?.length)).toEqual([10, 90_000])
    }
  })
  test('thousands of chunks go in one call', async () => {
    const { content } = await bucket(await open())
    const chunks = Array.from({ length: 3000 }, (_, i) => someChunk(i % 100 === 0 ? 70_000 : 64))
    await content.put(chunks)
    const hashes = chunks.map((chunk) => chunk.hash)
    expect(await content.missing(hashes)).toEqual([])
    expect((await content.get(hashes)).map((bytes) => bytes && sha256(bytes))).toEqual(hashes)
  })
}

function durabilityConforms(open: Open, bucket: MakeBucket, name: string): void {
  test('everything is there after closing and opening again', async () => {
    const first = await open()
    const made = await bucket(first)
    const chunks = [0, 10, 100_000, 500_000].map(someChunk)
    await made.content.put(chunks)
    const positions = await made.log.append(entries(4))
    const before = await readAll(made.log)
    await first.close()

    const again = present(await (await open()).open(name))
    expect(await readAll(again.log)).toEqual(before)
    const found = await again.content.get(chunks.map((chunk) => chunk.hash))
    expect(found.map((bytes) => bytes && sha256(bytes))).toEqual(chunks.map((chunk) => chunk.hash))
    expect((await again.log.append(entries(1)))[0]).toBeGreaterThan(present(positions.at(-1)))
  })
}

/** Random bytes with their address. */
export function someChunk(size: number): { hash: string; bytes: Uint8Array } {
  const bytes = randomBytes(size)
  return { hash: sha256(bytes), bytes }
}

export function entries(count: number): RawEntry[] {
  return Array.from({ length: count }, () => ({ id: randomBytes(16).toString('hex'), data: randomBytes(200) }))
}

export async function readAll(log: Log, after: Position = 0): Promise<Placed[]> {
  const all: Placed[] = []
  for await (const batch of log.read({ after }))
    all.push(...batch.map((entry) => ({ ...plain(entry), position: entry.position })))
  return all
}

function plain(entry: RawEntry): RawEntry {
  return { id: entry.id, data: Uint8Array.from(entry.data) }
}

export function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('expected a value')
  return value
}
