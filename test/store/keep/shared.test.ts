import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../../src/platform/ports.ts'
import { systemIds as ids } from '../../../src/platform/system.ts'
import { isWhole } from '../../../src/store/checkpoint/walk.ts'
import { openLogStore } from '../../../src/store/log-store.ts'
import { bytesOf, entry, put, putChange, remove } from '../acts.ts'
import { noise } from '../noise.ts'
import { handClock, type HandClock } from './interleaved.ts'
import { objectsPlace, streamPlace, type SharedPlace, type Turn } from './shared-places.ts'
import { act, perform, readAll, type Act } from './writers.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const RUNS = 15
/** `mayStop`: a writer may be stopped for any time, also between its last look and its append. */
const PLACES = {
  'named objects': { make: objectsPlace, mayStop: true },
  'a stream': { make: streamPlace, mayStop: false },
} as const
type Name = keyof typeof PLACES
const NAMES = Object.keys(PLACES) as Name[]
const atOnce: Turn = async () => undefined

/** A machine whose clock is so much ahead. */
async function openMachine(place: SharedPlace, clock: HandClock, turn: Turn = atOnce, ahead = 0) {
  const backend = place.open(turn)
  await backend.create('one')
  const ports = await backend.open('one')
  if (ports === null) throw new Error('no bucket')
  const own: Clock = { ...clock, now: () => clock.now() + ahead }
  return openLogStore({ name: 'one', ports, viewDirectory: null, promises: backend.promises, clock: own, ids })
}
type Machine = Awaited<ReturnType<typeof openMachine>>

async function withMachines(
  name: Name,
  check: (machines: { a: Machine; b: Machine; place: SharedPlace; clock: HandClock }) => Promise<void>,
): Promise<void> {
  const clock = handClock()
  const place = PLACES[name].make(clock)
  const [a, b] = [await openMachine(place, clock), await openMachine(place, clock)]
  try {
    await check({ a, b, place, clock })
  } finally {
    await a.close()
    await b.close()
  }
}

describe.each(NAMES)('collecting garbage of several machines, in %s', (name) => {
  it('sets aside what nothing refers to, and removes it a grace later', () =>
    withMachines(name, async ({ a, b, place, clock }) => {
      await put(a, 'a', noise(1000))
      const before = place.chunks()
      await putChange(a, 'never committed', noise(300_000, 4))
      clock.forward(DAY - HOUR)
      expect(await b.collect()).toMatchObject({
        removed: { chunks: 0 },
        aside: { chunks: 0 },
        waiting: { bytes: 300_000 },
      })
      clock.forward(2 * HOUR)
      const told = await b.collect({ dryRun: true })
      const first = await a.collect()
      expect([first.aside.bytes, first.removed.chunks]).toEqual([300_000, 0])
      expect(told).toEqual(first)
      expect(await b.collect()).toMatchObject({ removed: { chunks: 0 }, aside: { chunks: 0 }, waiting: first.aside })
      clock.forward(DAY + 1)
      expect(await b.collect({ dryRun: true })).toMatchObject({ removed: first.aside, waiting: { chunks: 0 } })
      expect(await b.collect()).toMatchObject({ removed: first.aside, waiting: { chunks: 0 } })
      expect(place.chunks()).toBe(before)
      expect(await readAll(a)).toBe(1)
    }))

  it('what is aside is missing to who asks, is put again by a commit that names it all the same, and stays then', () =>
    withMachines(name, async ({ a, b, clock }) => {
      const change = await putChange(a, 'late', noise(1000))
      clock.forward(DAY + HOUR)
      expect((await b.collect()).aside.chunks).toBe(1)
      expect(await a.missing([change.hash])).toEqual([change.hash])
      await a.commit([entry(change)])
      expect(await a.missing([change.hash])).toEqual([])
      clock.forward(DAY + HOUR)
      await b.collect()
      clock.forward(DAY + HOUR)
      expect(await b.collect()).toMatchObject({ removed: { chunks: 0 }, aside: { chunks: 0 } })
      expect(await b.missing([change.hash])).toEqual([])
      expect((await bytesOf(b, 'late'))?.length).toBe(1000)
    }))

  it('what was named just before it was set aside can be read all the time, and is put back', () =>
    withMachines(name, async ({ a, b, place, clock }) => {
      const change = await putChange(a, 'named', noise(1000))
      clock.forward(DAY + HOUR)
      const { hash } = change
      // The sweeper has marked by now, and does not know of the commit.
      const backend = place.open(atOnce)
      const { content } = (await backend.open('one')) ?? {}
      const listed = []
      for await (const batch of content?.sweeping?.chunks() ?? []) listed.push(...batch)
      await a.commit([entry(change)])
      await content?.sweeping?.remove(listed)
      expect(await b.missing([hash])).toEqual([hash])
      expect((await bytesOf(b, 'named'))?.length).toBe(1000)
      await b.collect()
      expect(await b.missing([hash])).toEqual([])
      expect((await bytesOf(b, 'named'))?.length).toBe(1000)
    }))

  it('versions that go are gone in the end, as are old checkpoints, and what was copied from them stays', () =>
    withMachines(name, async ({ a, b, place, clock }) => {
      await a.configure({ keepVersions: 1 })
      for (let version = 1; version <= 4; version++) await put(a, 'a', noise(80_000, version))
      const { hash, size, contentType, meta } = (await a.head('a', { version: 2 })) ?? {}
      if (hash === undefined || size === undefined || contentType === undefined) throw new Error('no version 2')
      const body = { copy: { key: 'a', version: 2 } }
      await a.commit([
        entry({ type: 'put', key: 'copy', expect: 'any', hash, size, body, contentType, meta: meta ?? {} }),
      ])
      await remove(a, 'a')
      for (let times = 0; times < 6; times++) {
        if (times < 3) await a.checkpoint()
        clock.forward(DAY + HOUR)
        await b.collect()
      }
      expect(await readAll(b)).toBe(1)
      const { removed, aside, waiting, kept } = await b.collect({ dryRun: true })
      expect([removed.chunks, aside.chunks, waiting.chunks]).toEqual([0, 0, 0])
      // Beside its chunks a stream has the parts of the large one.
      expect(place.chunks()).toBe(kept.chunks + (name === 'a stream' ? 2 : 0))
    }))
})

it('of a writer that was stopped between its question and its append for longer than a grace, nothing is written that lacks its bytes', async () => {
  const clock = handClock()
  const place = objectsPlace(clock)
  let stop: (() => Promise<void>) | null = null
  const a = await openMachine(place, clock, async (label) => {
    const act = /^create .*\/log\//.test(label) ? stop : null
    if (act !== null) stop = null
    await act?.()
  })
  const b = await openMachine(place, clock)
  const change = await putChange(a, 'late', noise(1000))
  clock.forward(DAY)
  stop = async () => {
    for (let times = 0; times < 3; times++) {
      clock.forward(DAY + HOUR)
      await b.collect()
    }
  }
  await expect(a.commit([entry(change)])).rejects.toMatchObject({ code: 'Unavailable' })
  expect(await b.head('late')).toBeNull()
  await expect(a.commit([entry(change)])).rejects.toMatchObject({ code: 'InvalidRequest' })
  await put(a, 'late', noise(1000))
  expect(await readAll(b)).toBe(1)
  await a.close()
  await b.close()
})

it('a checkpoint that took longer than a grace to write has all its pages, or is written again', async () => {
  const clock = handClock()
  const place = objectsPlace(clock)
  let isSlow = false
  const b = await openMachine(place, clock)
  const a = await openMachine(place, clock, async (label) => {
    if (!isSlow || !label.startsWith('create') || !label.includes('/checkpoint/')) return
    isSlow = false
    for (let times = 0; times < 3; times++) {
      clock.forward(DAY + HOUR)
      await b.collect()
    }
  })
  await put(a, 'a', noise(100))
  isSlow = true
  const { root } = await a.checkpoint()
  const ports = await place.open(atOnce).open('one')
  expect(ports !== null && (await isWhole(ports.content, root))).toBe(true)
  await a.trim({ positions: 0, time: 0 })
  const c = await openMachine(place, clock)
  expect(await readAll(c)).toBe(1)
  for (const machine of [a, b, c]) await machine.close()
})

/** So much time passes once so many turns were taken. */
const pause = fc.record({ turns: fc.integer({ min: 1, max: 30 }), hours: fc.constantFrom(0.1, 0.5, 1.1, 3, 26) })

describe.each(NAMES)('while several write and several collect, in %s', (name) => {
  it('no version that is kept ever loses a chunk, in whatever order things happen, and no garbage stays', async () => {
    const acts = fc.array(act, { minLength: 6, maxLength: 14 })
    const pauses = fc.array(pause, { minLength: 6, maxLength: 24 })
    const ahead = fc.integer({ min: -2 * DAY, max: 2 * DAY })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), acts, acts, pauses, ahead, async (scheduler, one, two, time, skew) => {
        const clock = handClock()
        const { make, mayStop } = PLACES[name]
        const place = make(clock)
        const turn: Turn = (label) => scheduler.schedule(Promise.resolve(), label)
        const opening = [0, skew, -skew, Math.round(skew / 2)].map((each) => openMachine(place, clock, turn, each))
        const machines = await scheduler.waitFor(Promise.all(opening))
        const [a, b, c, d] = machines
        if (!a || !b || !c || !d) throw new Error('not opened')
        await scheduler.waitFor(a.configure({ keepVersions: 1 }))
        const busy = { count: 0 }
        const over = new AbortController()
        const write = async (store: Machine, all: readonly Act[]): Promise<void> => {
          const writer = { store, busy, staged: null }
          for (const each of all) await perform(writer, each, clock)
        }
        const gather = async (store: Machine): Promise<void> => {
          while (!over.signal.aborted) await store.collect({ grace: HOUR })
        }
        const pass = async (): Promise<void> => {
          for (const { turns, hours } of time) {
            for (let taken = 0; taken < turns; taken++) await turn('time')
            if (mayStop || busy.count === 0) clock.forward(hours * HOUR)
          }
        }
        const writing = Promise.all([write(a, one), write(b, two), pass()]).finally(() => over.abort())
        await scheduler.waitFor(Promise.all([writing, gather(c), gather(d)]))
        await scheduler.waitFor(readAll(b))
        for (let times = 0; times < 3; times++) {
          clock.forward(2 * HOUR)
          await scheduler.waitFor(d.collect({ grace: HOUR }))
        }
        await scheduler.waitFor(readAll(a))
        const last = await scheduler.waitFor(d.collect({ grace: HOUR }))
        expect([last.aside.chunks, last.waiting.chunks]).toEqual([0, 0])
        await scheduler.waitFor(Promise.all(machines.map((store) => store.close())))
      }),
      { numRuns: RUNS },
    )
  }, 60_000)
})
