import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Chance } from './chance.ts'

/** Who runs next, and what time it is: nothing here waits for real time. */
export interface Scheduler {
  /** Milliseconds since the world began. */
  elapsed(): number
  /** Resolves when it is this caller's turn: in any order among those who wait. Never, once `alive` says no. */
  turn(alive?: () => boolean): Promise<void>
  /** Resolves early, without an error, when the signal aborts. Never, once `alive` says no. */
  sleep(milliseconds: number, signal?: AbortSignal, alive?: () => boolean): Promise<void>
  /** Lets `steps` callers have their turn, or fewer when nobody waits. */
  run(steps: number): Promise<void>
  /** Runs until the work is done; gives what it gives. Throws when nobody waits and it is not. */
  finish<T>(work: Promise<T>): Promise<T>
}

interface Waiter {
  readonly at: number
  readonly alive: () => boolean
  readonly wake: () => void
}

/** Steps after which a world that does not come to rest is given up. */
const MOST_STEPS = 400_000

/** Whether something is under way that does not wait for the scheduler: as long as it is, no time passes. */
function somebodyGoesOn(): boolean {
  return process.getActiveResourcesInfo().includes('Immediate')
}

const always = (): boolean => true

export function openScheduler(chance: Chance): Scheduler {
  let now = 0
  let steps = 0
  let waiting: Waiter[] = []

  const wait = (at: number, signal?: AbortSignal, alive: () => boolean = always): Promise<void> =>
    new Promise((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener('abort', abort)
        if (alive()) resolve()
      }
      const waiter = { at, alive, wake }
      const abort = (): void => {
        const index = waiting.indexOf(waiter)
        if (index >= 0) waiting.splice(index, 1)
        wake()
      }
      if (signal?.aborted) return resolve()
      signal?.addEventListener('abort', abort)
      waiting.push(waiter)
    })

  /** One caller has its turn; time goes on only when nobody could go on without it. False: nobody waits. */
  const step = async (): Promise<boolean> => {
    await nextTurn()
    if (!waiting.every(({ alive }) => alive())) waiting = waiting.filter(({ alive }) => alive())
    if (waiting.length === 0) return somebodyGoesOn()
    if (++steps > MOST_STEPS) throw new Error(`the world does not come to rest in ${MOST_STEPS} steps`)
    let ready = waiting.filter(({ at }) => at <= now)
    if (ready.length === 0) {
      if (somebodyGoesOn()) return true
      now = Math.min(...waiting.map(({ at }) => at))
      ready = waiting.filter(({ at }) => at <= now)
    }
    const chosen = ready.length === 1 && ready[0] ? ready[0] : chance.pick(ready)
    waiting.splice(waiting.indexOf(chosen), 1)
    chosen.wake()
    return true
  }

  return {
    elapsed: () => now,
    turn: (alive) => wait(now, undefined, alive),
    sleep: (milliseconds, signal, alive) => wait(now + Math.max(0, milliseconds), signal, alive),
    run: async (count) => {
      for (let i = 0; i < count && (await step()); i++);
      await nextTurn()
    },
    finish: async (work) => {
      const state = { done: false }
      const settled = (): void => void (state.done = true)
      work.then(settled, settled)
      for (let idle = 0; !state.done;) {
        if (await step()) idle = 0
        else if (++idle > 20) throw new Error('everybody waits for something that never comes')
      }
      return work
    },
  }
}
