import { startContainersServer, type ContainersServer } from '../doubles/containers-server.ts'
import { foreignSuite } from './foreign-suite.ts'

const start = async () => {
  const servers: ContainersServer[] = []
  return {
    place: async () => {
      const server = await startContainersServer()
      servers.push(server)
      server.signUp('ann', 'secret of ann')
      return server.url.replace('http:', 'containers+http:')
    },
    env: { BLOBS_USER: 'ann', BLOBS_PASSWORD: 'secret of ann' },
    stop: async () => {
      for (const server of servers) await server.stop()
    },
  }
}

foreignSuite('containers+http', start, {
  singleWriter: true,
})
