import { randomBytes } from 'node:crypto'
import type { Clock, Ids } from './ports.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  // Not that of node:timers/promises: it makes an error, with its stack, for each sleep that is cut short.
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve()
      const wake = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      const timer = setTimeout(wake, milliseconds)
      signal?.addEventListener('abort', wake)
    }),
}

const ID_BYTES = 16
/** Chance is asked for so many ids at once: a call to the system for each would cost more than all else about it. */
const IDS_AT_ONCE = 256

export const systemIds: Ids = openIds()

function openIds(): Ids {
  let chance: Buffer = Buffer.alloc(0)
  let used = 0
  return {
    next: () => {
      if (used === chance.length) {
        chance = randomBytes(ID_BYTES * IDS_AT_ONCE)
        used = 0
      }
      const id = chance.toString('hex', used, used + ID_BYTES)
      used += ID_BYTES
      return id
    },
  }
}
