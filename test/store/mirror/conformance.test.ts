import { blobStoreConformance } from '../conformance.ts'
import { mirrorMachine } from './machine.ts'
import { memoryPlace } from './memory-foreign.ts'

blobStoreConformance('a mirror', async () => {
  const machine = mirrorMachine(memoryPlace(), { inMemory: true })
  let buckets = machine.open()
  await buckets.create('bucket')
  return {
    store: await buckets.open('bucket'),
    reopen: async () => {
      await buckets.close()
      buckets = machine.open()
      return buckets.open('bucket')
    },
    close: () => machine.dispose(),
  }
})
