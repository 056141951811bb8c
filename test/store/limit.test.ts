import { expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock, systemIds as ids } from '../../src/platform/system.ts'
import type { Clock } from '../../src/platform/ports.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { limited } from '../../src/store/limit.ts'
import { bytesOf, collect, put } from './acts.ts'
import { fastClock } from './clocks.ts'
import { noise } from './noise.ts'

async function openLimited(bytesPerSecond: number, clock: Clock): Promise<{ store: BlobStore; inner: BlobStore }> {
  const buckets = openBuckets({ backend: openMemory(), clock: systemClock, ids })
  await buckets.create('bucket')
  const inner = await buckets.open('bucket')
  return { inner, store: limited(inner, { bytesPerSecond, clock }) }
}

const SIZE = 2_000_000

it('takes as long for an upload and a download as the rate says', async () => {
  const clock = fastClock()
  const { store } = await openLimited(500_000, clock)
  const start = clock.elapsed()
  await put(store, 'k', noise(SIZE))
  expect(clock.elapsed() - start).toBeGreaterThan(3980)
  expect(clock.elapsed() - start).toBeLessThan(4020)
  expect((await bytesOf(store, 'k'))?.equals(noise(SIZE))).toBe(true)
  expect(clock.elapsed() - start).toBeGreaterThan(7980)
  expect(clock.elapsed() - start).toBeLessThan(8020)
})

it('never stands still for long: downloads by a tenth of a second, uploads by a chunk', async () => {
  const clock = fastClock()
  const { store, inner } = await openLimited(500_000, clock)
  await put(inner, 'k', noise(SIZE))
  await bytesOf(store, 'k')
  expect(Math.max(...clock.slept)).toBeLessThanOrEqual(101)
  clock.slept.length = 0
  await put(store, 'other', noise(SIZE, 2))
  // 512 KiB is the largest chunk.
  expect(Math.max(...clock.slept)).toBeLessThanOrEqual(1050)
})

it('shares the rate among all who read and write at once, on a real clock', async () => {
  const { store, inner } = await openLimited(4_000_000, systemClock)
  await put(inner, 'k', noise(500_000))
  await put(inner, 'small', noise(100_000, 3))
  const start = performance.now()
  await Promise.all([
    bytesOf(store, 'k'),
    bytesOf(store, 'k'),
    collect(store.fetch([{ key: 'small', version: 1 }])),
    put(store, 'new', noise(900_000, 4)),
  ])
  const seconds = (performance.now() - start) / 1000
  expect(seconds).toBeGreaterThan(0.47)
  expect(seconds).toBeLessThan(1.5)
})

it('does not save up for later what was not used', async () => {
  const clock = fastClock()
  const { store, inner } = await openLimited(100_000, clock)
  await put(inner, 'k', noise(50_000))
  await clock.sleep(60_000)
  const start = clock.elapsed()
  await bytesOf(store, 'k')
  expect(clock.elapsed() - start).toBeGreaterThan(490)
})
