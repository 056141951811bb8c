import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadDriver } from '../../src/locations/drivers.ts'
import { splitPlace } from '../../src/locations/target.ts'
import { ABILITIES } from '../../src/store/ports.ts'
import { put, textOf } from '../store/acts.ts'
import { blobStoreConformance, type Deviations } from '../store/conformance.ts'
import { killedWriter } from './driver/killed-writer.ts'
import { bucketsAt } from './driver/open.ts'
import { addOften } from './driver/racing-writers.ts'
import { startService, type Service } from './driver/service.ts'
import { twoMachines } from './driver/two-machines.ts'

const WRITERS = 4
const INCREMENTS = 5

interface ForeignOptions {
  /** Why it cannot be tested on this machine, else null: in CI that is a failure. */
  readonly lacks?: string | null
  readonly deviations?: Deviations
  /** True where only one writer at a time is let in. */
  readonly singleWriter: boolean
}

/**
 * What every kind of place is put to that holds plain current bytes and is seen through a mirror: the laws of a store, two machines that sync
 * and are at odds, a writer that is killed, and that it refuses what it cannot promise.
 */
export function foreignSuite(scheme: string, start: () => Promise<Service>, options: ForeignOptions): void {
  const { lacks = null, deviations = {}, singleWriter } = options
  if (lacks !== null && process.env['CI'] !== undefined) throw new Error(`${scheme} cannot be tested: ${lacks}`)
  describe.skipIf(lacks !== null)(`${scheme}:// (${lacks ?? 'seen through a mirror'})`, () => {
    const plain = startService(start)
    const alone = (): Service => ({ ...plain(), place: async () => asOnlyWriter(await plain().place()) })
    const service = singleWriter ? alone : plain
    blobStoreConformance(
      `a mirror of ${scheme}://`,
      async () => {
        const url = await service().place()
        const home = mkdtempSync(join(tmpdir(), 'blobs-machine-'))
        let buckets = await bucketsAt(url, service(), home)
        await buckets.create('bucket')
        return {
          store: await buckets.open('bucket'),
          reopen: async () => {
            await buckets.close()
            buckets = await bucketsAt(url, service(), home)
            return buckets.open('bucket')
          },
          close: () => buckets.close(),
        }
      },
      { deviations },
    )
    promisesTold(scheme, singleWriter)
    if (singleWriter) refusesMany(plain)
    oneMachine(service)
    twoMachines(service, 'bucket')
    killedWriter(service, 'bucket')
  })
}

function promisesTold(scheme: string, singleWriter: boolean): void {
  it('declares what it cannot do, each with a reason', async () => {
    const { name, cannot } = (await loadDriver(scheme))?.promises ?? { name: '', cannot: {} }
    expect(name).not.toBe('')
    for (const [ability, reason] of Object.entries(cannot)) {
      expect(ABILITIES).toContain(ability)
      expect(reason.length).toBeGreaterThan(10)
    }
    expect(cannot['several writers'] === undefined).toBe(!singleWriter)
  })
}

function refusesMany(service: () => Service): void {
  it('refuses to write for several writers, and reads for them', async () => {
    const url = await service().place()
    const alone = await bucketsAt(asOnlyWriter(url), service())
    await alone.create('bucket')
    await put(await alone.open('bucket'), 'k', 'text')
    await alone.close()
    const buckets = await bucketsAt(url, service())
    const store = await buckets.open('bucket')
    await expect(put(store, 'k', 'other')).rejects.toMatchObject({ code: 'Refused' })
    expect((await store.head('k'))?.size).toBe(4)
    await buckets.close()
  })
}

function oneMachine(service: () => Service): void {
  it(`${WRITERS} of one machine that each add ${INCREMENTS} to one number, by compare and swap, lose none`, async () => {
    const url = await service().place()
    const home = mkdtempSync(join(tmpdir(), 'blobs-machine-'))
    const openers = await Promise.all(Array.from({ length: WRITERS }, () => bucketsAt(url, service(), home)))
    try {
      await openers[0]?.create('race')
      const stores = await Promise.all(openers.map((buckets) => buckets.open('race')))
      await Promise.all(stores.map((store) => addOften(store, INCREMENTS)))
      for (const store of stores) {
        expect(await textOf(store, 'k')).toBe(String(WRITERS * INCREMENTS))
        expect((await store.head('k'))?.version).toBe(WRITERS * INCREMENTS)
      }
    } finally {
      for (const buckets of openers) await buckets.close()
    }
  }, 120_000)
}

function asOnlyWriter(url: string): string {
  return `${url}${splitPlace(url).options.size === 0 ? '?' : '&'}single-writer=yes`
}
