import { driverSuite } from './driver-suite.ts'
import { lacksGateway, startGateway } from './radosgw.ts'

driverSuite(
  's3',
  async () => {
    const gateway = await startGateway()
    const bucket = await gateway.makeBucket()
    let places = 0
    return {
      place: async () => `s3://${bucket}/place/${++places}?endpoint=${gateway.url}`,
      env: gateway.env,
      stop: gateway.stop,
    }
  },
  { lacks: lacksGateway() },
)
