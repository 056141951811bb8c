import { describe } from 'vitest'
import { blobStoreConformance, type Deviations } from '../store/conformance.ts'
import { backendConformance } from './conformance.ts'
import { killedWriter } from './driver/killed-writer.ts'
import { bucketsAt, openPlaceOf } from './driver/open.ts'
import { promisesTold } from './driver/promises.ts'
import { racingWriters } from './driver/racing-writers.ts'
import { startService, type Service } from './driver/service.ts'
import { twoMachines } from './driver/two-machines.ts'

export interface DriverOptions {
  /** Why it cannot be tested on this machine, else null: in CI that is a failure. */
  readonly lacks?: string | null
  readonly deviations?: Deviations
  /** The only name that a bucket can have there, if so. */
  readonly onlyBucket?: string
}

/**
 * What every kind of place that a driver opens is put to: the laws of the two ports and of a store over them, eight that race for one
 * key, two machines that sync and are at odds, and a writer that is killed. `start` starts what the place needs, once.
 */
export function driverSuite(scheme: string, start: () => Promise<Service>, options: DriverOptions = {}): void {
  const { lacks = null, deviations = {}, onlyBucket } = options
  if (lacks !== null && process.env['CI'] !== undefined) throw new Error(`${scheme} cannot be tested: ${lacks}`)
  describe.skipIf(lacks !== null)(`${scheme}:// (${lacks ?? 'as its driver opens it'})`, () => {
    const service = startService(start)
    const bucket = onlyBucket ?? 'bucket'
    backendConformance(
      scheme,
      async () => {
        const url = await service().place()
        return { open: () => openPlaceOf(url, service()), drop: async () => undefined }
      },
      onlyBucket === undefined ? {} : { onlyBucket },
    )
    blobStoreConformance(
      `a LogStore at ${scheme}://`,
      async () => {
        const url = await service().place()
        let buckets = await bucketsAt(url, service())
        await buckets.create(bucket)
        return {
          store: await buckets.open(bucket),
          reopen: async () => {
            await buckets.close()
            buckets = await bucketsAt(url, service())
            return buckets.open(bucket)
          },
          close: () => buckets.close(),
        }
      },
      { deviations },
    )
    promisesTold(scheme, service, bucket)
    racingWriters(service, bucket)
    twoMachines(service, bucket)
    killedWriter(service, bucket)
  })
}
