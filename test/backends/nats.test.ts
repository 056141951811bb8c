import { driverSuite } from './driver-suite.ts'
import { lacksNats, startNats } from './nats-server.ts'

driverSuite(
  'nats',
  async () => {
    const server = await startNats()
    let places = 0
    return {
      place: async () => `nats://${server.address}/place-${places++}`,
      stop: () => server.stop(),
    }
  },
  { lacks: lacksNats() },
)
