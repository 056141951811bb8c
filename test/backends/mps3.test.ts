import { foreignSuite } from './foreign-suite.ts'
import { lacksGateway, startGateway } from './radosgw.ts'

foreignSuite(
  's3+mps3',
  async () => {
    const gateway = await startGateway()
    return {
      place: async () => `s3+mps3://${await gateway.makeBucket()}?endpoint=${gateway.url}`,
      env: gateway.env,
      stop: gateway.stop,
    }
  },
  { lacks: lacksGateway(), singleWriter: false },
)
