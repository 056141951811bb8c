import { expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock, systemIds as ids } from '../../src/platform/system.ts'
import { keepHouse } from '../../src/server/house.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import { put } from '../store/acts.ts'

const DAY = 86_400_000

it('lets go what buckets do not keep, every so often, and goes on after one that fails', async () => {
  let passed = 0
  const clock = {
    now: () => Date.now() + passed,
    elapsed: () => performance.now() + passed,
    sleep: async (milliseconds: number, signal?: AbortSignal) => {
      passed += milliseconds
      await systemClock.sleep(0, signal)
    },
  }
  const buckets = openBuckets({ backend: openMemory(clock), clock, ids })
  await buckets.create('kept')
  await buckets.create('trimmed', { keepVersions: 1 })
  const store = await buckets.open('trimmed')
  for (const text of ['one', 'two', 'three']) await put(store, 'key', text)
  const told: Record<string, unknown>[] = []
  const failing: typeof buckets = {
    ...buckets,
    collect: async (name, options) => {
      if (name === 'kept') throw new Error('cannot be read')
      return buckets.collect?.(name, options) ?? Promise.reject(new Error('no collect'))
    },
  }
  const event = (name: string, fields = {}): void => void told.push({ name, ...fields })
  const house = keepHouse({ buckets: failing, every: DAY, clock, log: { event } })
  while (told.length < 6) await systemClock.sleep(1)
  await house.stop()
  const ofTrimmed = told.filter(({ bucket }) => bucket === 'trimmed')
  expect(ofTrimmed[0]).toMatchObject({ name: 'collected', dropped: 2, removed: { chunks: 0 } })
  expect(ofTrimmed.slice(1)).toContainEqual(expect.objectContaining({ removed: { chunks: 2, bytes: 6 } }))
  expect(told[0]).toEqual({ name: 'not collected', bucket: 'kept', error: 'Error: cannot be read' })
  await store.close()
  await buckets.close()
})
