import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openLocal } from '../../../src/backends/local/local.ts'
import { openMemory } from '../../../src/backends/memory/memory.ts'
import { systemIds as ids } from '../../../src/platform/system.ts'
import type { BlobStore } from '../../../src/store/contract/blob-store.ts'
import { openLogStore } from '../../../src/store/log-store.ts'
import type { Backend } from '../../../src/store/ports.ts'
import { entry, listAll, put, putChange, remove } from '../acts.ts'
import { noise } from '../noise.ts'
import { handClock, interleaved, type HandClock } from './interleaved.ts'
import { act, perform, readAll, type Act } from './writers.ts'

const HOUR = 3_600_000
interface Place {
  readonly backend: Backend
  drop(): Promise<void>
}
const PLACES: Readonly<Record<string, (clock: HandClock) => Promise<Place>>> = {
  memory: async (clock) => ({ backend: openMemory(clock), drop: async () => undefined }),
  'the local backend': async (clock) => {
    const directory = await mkdtemp(join(tmpdir(), 'blobs-keep-'))
    const backend = await openLocal({ directory, clock, packBytes: 512 * 1024 })
    return {
      backend,
      drop: async () => {
        await backend.close()
        await rm(directory, { recursive: true })
      },
    }
  },
}

async function openStore(backend: Backend, clock: HandClock, scheduler?: fc.Scheduler) {
  await backend.create('one')
  const ports = await backend.open('one')
  if (ports === null) throw new Error('no bucket')
  const { promises } = backend
  const through = scheduler === undefined ? ports : interleaved(ports, scheduler)
  return openLogStore({ name: 'one', ports: through, viewDirectory: null, promises, clock, ids })
}

async function withStore(
  place: string,
  check: (store: Awaited<ReturnType<typeof openStore>>, clock: HandClock, backend: Backend) => Promise<void>,
): Promise<void> {
  const clock = handClock()
  const { backend, drop } = await (PLACES[place] as (clock: HandClock) => Promise<Place>)(clock)
  const store = await openStore(backend, clock)
  try {
    await check(store, clock, backend)
  } finally {
    await store.close()
    await drop()
  }
}

describe.each(Object.keys(PLACES))('collecting garbage in %s', (place) => {
  it('removes what nothing refers to once it is older than the grace, and nothing else', () =>
    withStore(place, async (store, clock) => {
      await put(store, 'a', noise(1000))
      await put(store, 'b', noise(900_000))
      await put(store, 'long', noise(9_000_000, 7))
      await putChange(store, 'never committed', noise(300_000, 4))
      clock.forward(23 * HOUR)
      expect(await store.collect()).toMatchObject({ dropped: 0, removed: { chunks: 0 } })
      clock.forward(2 * HOUR)
      const told = await store.collect({ dryRun: true })
      expect(told.removed.bytes).toBe(300_000)
      const { removed, waiting } = await store.collect()
      expect([removed, waiting.chunks]).toEqual([told.removed, 0])
      expect((await store.collect()).removed.chunks).toBe(0)
      expect(await readAll(store)).toBe(3)
    }))

  it('drops the versions that the options do not keep, keeps those that either limit keeps, and says what is gone', () =>
    withStore(place, async (store, clock) => {
      for (let version = 1; version <= 6; version++) {
        await put(store, 'a', `version ${version}`)
        clock.forward(HOUR)
      }
      await put(store, 'gone', 'deleted')
      await remove(store, 'gone')
      await store.configure({ keepVersions: 2, keepFor: 3.5 * 3600 })
      // Version 2 was replaced four hours ago, version 3 three.
      expect(await store.collect({ dryRun: true })).toMatchObject({ dropped: 2 })
      expect(await store.collect()).toMatchObject({ dropped: 2, removed: { chunks: 0 } })
      const told = (await listAll(store, { prefix: 'a', versions: true })).flatMap(({ items }) => items)
      expect(told.map(({ version, dropped = false }) => [version, dropped])).toEqual([
        [6, false],
        [5, false],
        [4, false],
        [3, false],
        [2, true],
        [1, true],
      ])
      expect(await store.get('a', { version: 2 })).toBeNull()
      expect(await store.head('a', { version: 2 })).toMatchObject({ version: 2, size: 9, dropped: true })
      clock.forward(48 * HOUR)
      // Nothing else goes by its age than what is beyond the number, too: of the deleted key that is nothing.
      expect(await store.collect()).toMatchObject({ dropped: 2, removed: { chunks: 4 } })
      await store.configure({ keepVersions: 1 })
      expect(await store.collect()).toMatchObject({ dropped: 2 })
      expect(await store.head('gone')).toMatchObject({ deleted: true, version: 2 })
      expect(await readAll(store)).toBe(1)
      expect(await put(store, 'gone', 'again')).toMatchObject({ version: 3 })
    }))

  it('a grace that an upload might outlast is refused', () =>
    withStore(place, async (store) => {
      await expect(store.collect({ grace: HOUR - 1 })).rejects.toMatchObject({ code: 'InvalidRequest' })
    }))

  it('a commit that waited so long that its chunks may be gone is not written', () =>
    withStore(place, async (_store, clock, backend) => {
      const slow = await openStore(backend, clock)
      const change = await putChange(slow, 'late', 'bytes')
      const { content } = (await backend.open('one')) ?? {}
      const committing = openSlowly(backend, clock, () => clock.forward(11 * 60_000))
      await expect((await committing).commit([entry(change)])).rejects.toMatchObject({ code: 'Unavailable' })
      expect(await slow.head('late')).toBeNull()
      await content?.close()
      await slow.close()
    }))
})

/** A store in which time passes between the look for chunks and the append. */
async function openSlowly(backend: Backend, clock: HandClock, pass: () => void): Promise<BlobStore> {
  const ports = await backend.open('one')
  if (ports === null) throw new Error('no bucket')
  const content = {
    ...ports.content,
    missing: async (hashes: readonly string[]) => {
      const missing = await ports.content.missing(hashes)
      pass()
      return missing
    },
  }
  const { promises } = backend
  return openLogStore({ name: 'one', ports: { ...ports, content }, viewDirectory: null, promises, clock, ids })
}

describe.each([
  ['memory', 150],
  ['the local backend', 25],
] as const)('while others write in %s', (place, runs) => {
  it('no version that is kept ever loses a chunk, in whatever order things happen', async () => {
    const acts = fc.array(act, { minLength: 4, maxLength: 16 })
    const collections = fc.integer({ min: 1, max: 4 })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), acts, acts, collections, async (scheduler, first, second, times) => {
        const clock = handClock()
        const { backend, drop } = await (PLACES[place] as (clock: HandClock) => Promise<Place>)(clock)
        const opening = Promise.all(Array.from({ length: 3 }, () => openStore(backend, clock, scheduler)))
        const [a, b, collector] = await scheduler.waitFor(opening)
        if (!a || !b || !collector) throw new Error('not opened')
        await scheduler.waitFor(a.configure({ keepVersions: 2 }))
        const busy = { count: 0 }
        const write = async (store: BlobStore, all: readonly Act[]): Promise<void> => {
          const writer = { store, busy, staged: null }
          for (const one of all) await perform(writer, one, clock)
        }
        const gather = async (): Promise<void> => {
          for (let time = 0; time < times; time++) await collector.collect({ grace: HOUR })
        }
        await scheduler.waitFor(Promise.all([write(a, first), write(b, second), gather()]))
        await scheduler.waitFor(readAll(b))
        await scheduler.waitFor(Promise.all([a, b, collector].map((store) => store.close())))
        await drop()
      }),
      { numRuns: runs },
    )
  }, 60_000)
})
