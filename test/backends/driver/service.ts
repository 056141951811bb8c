import { afterAll, beforeAll } from 'vitest'

/** What places of one kind need to be there: a server, a directory. */
export interface Service {
  /** The URL of a new, empty place, without a bucket. */
  place(): Promise<string>
  /** What its users have in their environment. */
  readonly env?: Readonly<Record<string, string>>
  stop(): Promise<void>
}

const START_LIMIT = 120_000

/** Starts it before the tests around the call, stops it after them; the function gives it. */
export function startService(start: () => Promise<Service>): () => Service {
  let service: Service | null = null
  beforeAll(async () => {
    service = await start()
  }, START_LIMIT)
  afterAll(async () => {
    await service?.stop()
  }, START_LIMIT)
  return () => {
    if (service === null) throw new Error('the service was not started')
    return service
  }
}
