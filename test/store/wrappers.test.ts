import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { faultsByChance, faulty } from '../../src/store/faulty.ts'
import { limited } from '../../src/store/limit.ts'
import { lazily } from '../../src/store/lazy.ts'
import { readOnly } from '../../src/store/read-only.ts'
import { retrying } from '../../src/store/retry.ts'
import { fastClock } from './clocks.ts'
import { blobStoreConformance, type Opened } from './conformance.ts'

async function openBucket(wrap: (store: BlobStore) => BlobStore): Promise<Opened> {
  const buckets = openBuckets({ backend: openMemory(), clock, ids })
  await buckets.create('bucket')
  return {
    store: wrap(await buckets.open('bucket')),
    reopen: async () => wrap(await buckets.open('bucket')),
    close: () => buckets.close(),
  }
}

blobStoreConformance('a store that is retried', () =>
  openBucket((store) => retrying(store, { clock, chance: () => 0.5 })),
)

blobStoreConformance('a store that is limited', () =>
  openBucket((store) => limited(store, { bytesPerSecond: 400_000_000, clock })),
)

blobStoreConformance('a store with a fault injector that lets all pass', () =>
  openBucket((store) => faulty(store, () => null)),
)

blobStoreConformance('a store that is opened by its first call', () => openBucket((store) => lazily(async () => store)))

let seed = 0
blobStoreConformance('a store that fails a third of all calls, retried', () => {
  seed += 1
  const options = { clock: fastClock(), chance: () => 0.5, attempts: 30 }
  return openBucket((store) => retrying(faulty(store, faultsByChance(seed, 1 / 3)), options))
})

blobStoreConformance(
  'a store for reading only',
  async () => {
    const opened = await openBucket((store) => store)
    return { ...opened, store: readOnly(opened.store), writer: opened.store }
  },
  { deviations: { writes: 'it is for reading only; it is filled by another store over the same bucket' } },
)
