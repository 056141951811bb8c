import { chanceOf, type Chance } from '../simulation/chance.ts'
import { openCoverage } from '../simulation/coverage.ts'
import { openLife, type Life } from '../simulation/life.ts'
import type { Scheduler } from '../simulation/scheduler.ts'
import { sha256 } from '../../src/content/hash.ts'

/** What a power cut leaves of the names that were not synced: `survives` is asked for each, the last one first. */
function leaving(survives: (index: number) => boolean): Chance {
  let index = 0
  return {
    next: () => 0.999,
    // Of bytes that were not synced: nothing.
    below: () => 1,
    often: () => survives(index++),
    pick: ([first]) => {
      if (first === undefined) throw new Error('nothing to pick from')
      return first
    },
  }
}

/** Nothing that was not made durable survives. */
export const worst = (): Chance => leaving(() => false)
/** Only one change of names that was not made durable survives, with those that it builds on. */
export const onlyOne = (index: number): Chance => leaving((other) => other === index)
/** One is lost, unless another builds on it. */
export const allButOne = (index: number): Chance => leaving((other) => other !== index)

export function livesOn(scheduler: Scheduler): Life {
  const chance = chanceOf(1)
  return openLife({ chance, scheduler, coverage: openCoverage(), skew: () => 0 })
}

export function chunk(seed: number, size: number): { hash: string; bytes: Uint8Array } {
  const bytes = Buffer.alloc(size, `chunk ${seed} `)
  return { hash: sha256(bytes), bytes }
}
