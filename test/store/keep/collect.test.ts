import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openLocal } from '../../../src/backends/local/local.ts'
import { openMemory } from '../../../src/backends/memory/memory.ts'
import { systemIds as ids } from '../../../src/platform/system.ts'
import { isBlobsError } from '../../../src/store/contract/errors.ts'
import type { BlobStore } from '../../../src/store/contract/blob-store.ts'
import { openLogStore } from '../../../src/store/log-store.ts'
import type { Backend } from '../../../src/store/ports.ts'
import { bytesOf, commit, deleteChange, entry, listAll, put, putChange, remove } from '../acts.ts'
import { noise } from '../noise.ts'
import { handClock, interleaved } from './interleaved.ts'

const HOUR = 3_600_000
type HandClock = ReturnType<typeof handClock>
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

/** Throws unless all versions that are not said to be dropped can be read. */
async function readAll(store: BlobStore): Promise<number> {
  const versions = (await listAll(store, { versions: true })).flatMap(({ items }) => items)
  const kept = versions.filter(({ dropped }) => dropped !== true)
  for (const { key, version, size } of kept) expect((await bytesOf(store, key, { version }))?.length).toBe(size)
  return kept.length
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

/** What a writer does; `stage` and `commit` are apart, so that hours may lie between them. */
type Act =
  | { readonly type: 'stage' | 'commit' | 'delete'; readonly key: string; readonly content: number }
  | { readonly type: 'hours'; readonly hours: number }
  | Copy
interface Copy {
  readonly type: 'copy'
  readonly key: string
  readonly from: string
  readonly back: number
}

const key = fc.constantFrom('a', 'b', 'c')
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ type: fc.constantFrom('stage' as const, 'commit' as const, 'delete' as const), key, content: fc.nat(3) }),
  fc.record({ type: fc.constant('hours' as const), hours: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ type: fc.constant('copy' as const), key, from: key, back: fc.nat(3) }),
)

/** Commits so that nothing is ever lost: what was staged too long ago is staged again. */
async function commitBytes(store: BlobStore, name: string, content: number): Promise<void> {
  await commit(store, entry(await putChange(store, name, noise(content === 0 ? 70_000 : 500, content))))
}

async function perform(store: BlobStore, one: Act, clock: HandClock, busy: { count: number }): Promise<void> {
  if (one.type === 'hours') {
    // A commit is in the log soon after it asked for its chunks: that is what collecting relies on.
    if (busy.count === 0) clock.forward(one.hours * HOUR)
    return
  }
  if (one.type === 'stage')
    return void (await putChange(store, one.key, noise(one.content === 0 ? 70_000 : 500, one.content)))
  busy.count += 1
  try {
    if (one.type === 'commit') await commitBytes(store, one.key, one.content)
    else if (one.type === 'delete') await commit(store, entry(deleteChange(one.key)))
    else if (one.type === 'copy') await copy(store, one)
  } catch (error) {
    // Removed between its staging and its commit, or dropped between the look at it and the copy: told, and nothing is written.
    if (!isBlobsError(error, 'InvalidRequest') && !isBlobsError(error, 'NotFound')) throw error
  } finally {
    busy.count -= 1
  }
}

async function copy(store: BlobStore, { key: to, from, back }: Copy): Promise<void> {
  const newest = await store.head(from)
  const version = (newest?.version ?? 0) - back
  const old = version < 1 ? null : await store.head(from, { version })
  if (old === null || old.deleted) return
  const { hash, size, contentType, meta } = old
  const body = { copy: { key: from, version } }
  await commit(store, entry({ type: 'put', key: to, expect: 'any', hash, size, body, contentType, meta }))
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
          for (const one of all) await perform(store, one, clock, busy)
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
