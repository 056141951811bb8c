import type { Buckets } from '../../src/store/contract/blob-store.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import { running } from '../server/running.ts'
import { blobStoreConformance, type Opened } from './conformance.ts'

const deviations = { author: 'the author of an entry is the name of the token it came with' }

async function opened(on: 'memory' | 'disk'): Promise<Opened> {
  const server = await running({ on })
  const clients: Buckets[] = []
  const open = async () => {
    const buckets = await openHttpBuckets({
      origin: server.url,
      token: await server.token({ bucket: '*', can: ['read', 'write', 'delete', 'admin'] }),
    })
    clients.push(buckets)
    return buckets
  }
  const first = await open()
  await first.create('bucket')
  return {
    store: await first.open('bucket'),
    reopen: async () => (await open()).open('bucket'),
    close: async () => {
      for (const client of clients) await client.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

blobStoreConformance('an HttpStore of a server over memory', () => opened('memory'), { deviations })
blobStoreConformance('an HttpStore of a server on disk', () => opened('disk'), { deviations })
