import { type BlobsServer, blobsServerToken, startBlobsServer } from '../doubles/blobs-server.ts'
import { driverSuite } from './driver-suite.ts'

const onlyBucket = 'team'

driverSuite(
  'socketio+http',
  async () => {
    const servers: BlobsServer[] = []
    return {
      place: async () => {
        const server = await startBlobsServer()
        servers.push(server)
        return server.url.replace('http', 'socketio+http')
      },
      env: { BLOBS_TOKEN: await blobsServerToken(onlyBucket) },
      stop: async () => {
        for (const server of servers) await server.stop()
      },
    }
  },
  { onlyBucket },
)
