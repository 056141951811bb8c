import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLocal } from '../../src/backends/local/local.ts'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import { blobStoreConformance } from './conformance.ts'

blobStoreConformance('a LogStore in memory', async () => {
  const buckets = openBuckets({ backend: openMemory(), clock, ids })
  await buckets.create('bucket')
  const store = await buckets.open('bucket')
  return { store, reopen: () => buckets.open('bucket'), close: () => buckets.close() }
})

blobStoreConformance('a LogStore on disk', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'blobs-'))
  const open = async () => openBuckets({ backend: await openLocal({ directory, clock }), clock, ids })
  let buckets = await open()
  await buckets.create('bucket')
  return {
    store: await buckets.open('bucket'),
    reopen: async () => {
      await buckets.close()
      buckets = await open()
      return buckets.open('bucket')
    },
    close: async () => {
      await buckets.close()
      await rm(directory, { recursive: true })
    },
  }
})
