import { type ChangelogServer, startChangelogServer, STORE } from '../doubles/changelog-server.ts'
import { driverSuite } from './driver-suite.ts'

for (const generation of [1, 2] as const) {
  const start = async () => {
    const servers: ChangelogServer[] = []
    return {
      place: async () => {
        const server = await startChangelogServer({ generation })
        servers.push(server)
        return `${server.url.replace('http', 'changelog+http')}${generation === 1 ? '' : `/${STORE}`}`
      },
      stop: async () => {
        for (const server of servers) await server.stop()
      },
    }
  }
  driverSuite('changelog+http', start)
}
