import { setImmediate } from 'node:timers/promises'
import type { Position } from './ports.ts'

/**
 * Calls made while one runs, or in the same turn of the event loop, share the next one: each sees what was there when it was made, and
 * never two run at once. So a server asks once for all requests that came in together.
 */
export function shared(act: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null
  let next: Promise<void> | null = null
  const start = (): Promise<void> => {
    running = act().finally(() => {
      running = null
    })
    return running
  }
  return () => {
    next ??= (running?.catch(() => undefined) ?? setImmediate()).then(() => {
      next = null
      return start()
    })
    return next
  }
}

/** Those who wait until a position is passed. */
export interface Waiters {
  /** Resolves when `wake` names a later position, the signal aborts, or everything closes; throws what `round` throws. */
  wait(position: Position, signal: AbortSignal): Promise<void>
  wake(position: Position): void
  close(): void
}

interface Waiter {
  readonly position: Position
  readonly settle: (error?: unknown) => void
}

/** Runs `round` again and again while somebody waits; aborts its signal when nobody does. */
export function openWaiters(round: (signal: AbortSignal) => Promise<void>): Waiters {
  const waiting = new Set<Waiter>()
  let rounds: AbortController | null = null
  const settleAll = (error?: unknown): void => {
    for (const waiter of waiting) waiter.settle(error)
  }
  const run = async (mine: AbortController): Promise<void> => {
    try {
      while (!mine.signal.aborted) await round(mine.signal)
    } catch (error) {
      if (rounds === mine) settleAll(error)
    }
  }
  const stopIfIdle = (): void => {
    if (waiting.size > 0) return
    rounds?.abort('nobody waits')
    rounds = null
  }
  return {
    wait: (position, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return resolve()
        const settle = (error?: unknown): void => {
          waiting.delete(waiter)
          signal.removeEventListener('abort', quit)
          stopIfIdle()
          if (error === undefined) resolve()
          else reject(error)
        }
        const quit = (): void => settle()
        const waiter: Waiter = { position, settle }
        waiting.add(waiter)
        signal.addEventListener('abort', quit)
        if (rounds === null) void run((rounds = new AbortController()))
      }),
    wake: (position) => {
      for (const waiter of waiting) if (waiter.position < position) waiter.settle()
    },
    close: () => settleAll(),
  }
}
