import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { BlobStore } from '../../../src/store/contract/blob-store.ts'
import { commit, entry, putChange, textOf } from '../../store/acts.ts'
import { bucketsAt } from './open.ts'
import type { Service } from './service.ts'

const WRITERS = 8
const INCREMENTS = 200
/** Milliseconds. */
const LONGEST_PAUSE = 80

/** Eight machines that each add to one number so many times lose none. */
export function racingWriters(service: () => Service, bucket: string): void {
  it(`eight that each add ${INCREMENTS} to one number, by compare and swap, lose none`, async () => {
    const url = await service().place()
    const machines = await Promise.all(Array.from({ length: WRITERS }, () => bucketsAt(url, service())))
    try {
      await machines[0]?.create(bucket)
      const stores = await Promise.all(machines.map((buckets) => buckets.open(bucket)))
      await Promise.all(stores.map((store) => addOften(store, INCREMENTS)))
      const total = WRITERS * INCREMENTS
      for (const store of stores) {
        expect((await store.head('k'))?.version).toBe(total)
        expect(await textOf(store, 'k')).toBe(String(total))
      }
    } finally {
      for (const buckets of machines) await buckets.close()
    }
  }, 600_000)
}

/** Adds one so many times, each time to what is there then. */
export async function addOften(store: BlobStore, times: number): Promise<void> {
  for (let [done, lost] = [0, 0]; done < times;) {
    const current = await store.head('k')
    const value = current === null ? 0 : Number(await textOf(store, 'k', { version: current.version }))
    const expected = current === null ? 'absent' : ({ version: current.version, hash: current.hash } as const)
    const outcome = await commit(store, entry(await putChange(store, 'k', `${value + 1}`, { expect: expected })))
    // As every good client does: those who lose do not come back all at once.
    if (!outcome.ok) await sleep(randomInt(LONGEST_PAUSE / 4) * Math.min(4, ++lost))
    else {
      done += 1
      lost = 0
    }
  }
}
