import type { Clock } from '../../platform/ports.ts'
import type { StoreFile } from './store-file.ts'
import type { Transactions } from './transactions.ts'

/** Another process's write is looked for this often even if nothing was heard of it, in milliseconds. */
const LOOK_EVERY = 1000
/** The file is written before the commit is to be seen: after an event it is looked again for this long, in milliseconds. */
const SETTLES_WITHIN = 300

/** Those who wait for a write of any process. */
export interface Waiters {
  /** Resolves once `reached` gives true, asked now and after every write of this or another process, or when the signal aborts. */
  wait(reached: () => boolean, signal: AbortSignal): Promise<void>
  close(): void
}

interface Waiter {
  readonly reached: () => boolean
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/** Watches the WAL only while someone waits. */
export function openWaiters(store: StoreFile, transactions: Transactions, clock: Clock): Waiters {
  const waiting = new Set<Waiter>()
  let watching: AbortController | null = null

  const ask = async (waiter: Waiter): Promise<void> => {
    try {
      if (await transactions.read(waiter.reached)) waiter.done()
    } catch (error) {
      waiter.failed(error)
    }
  }
  const look = async (): Promise<void> => {
    for (const waiter of waiting) await ask(waiter)
  }
  let seen = store.db.dataVersion()
  const changed = (): Promise<boolean> =>
    transactions.read(() => {
      const last = seen
      seen = store.db.dataVersion()
      return seen !== last
    })
  const observe = (): void => {
    if (watching !== null || waiting.size === 0) return
    watching = new AbortController()
    const check = async (): Promise<boolean> => {
      const news = await changed()
      if (news) await look()
      return news
    }
    watchWrites(store, clock, watching.signal, check).catch((error: unknown) => {
      for (const waiter of waiting) waiter.failed(error)
    })
  }
  const leave = (waiter: Waiter): void => {
    waiting.delete(waiter)
    if (waiting.size > 0) return
    watching?.abort('nobody waits')
    watching = null
  }
  transactions.onWrite(() => void look())
  return {
    wait: (reached, signal) =>
      new Promise((resolve, reject) => {
        const end = (settle: () => void) => (): void => {
          leave(waiter)
          signal.removeEventListener('abort', done)
          settle()
        }
        const done = end(resolve)
        const waiter: Waiter = { reached, done, failed: (error) => end(() => reject(error))() }
        if (signal.aborted) return resolve()
        signal.addEventListener('abort', done)
        waiting.add(waiter)
        observe()
        return void ask(waiter)
      }),
    close: () => {
      for (const waiter of waiting) waiter.done()
    },
  }
}

/** Calls `check` after each write to the WAL until it gives true or the write must be visible, and each second anyway. */
async function watchWrites(
  store: StoreFile,
  clock: Clock,
  signal: AbortSignal,
  check: () => Promise<boolean>,
): Promise<void> {
  let heard = false
  let nap = new AbortController()
  const watcher = store.disk.watch(store.wal, () => {
    heard = true
    nap.abort('awake')
  })
  signal.addEventListener('abort', () => {
    watcher?.close()
    nap.abort('awake')
  })
  while (!signal.aborted) {
    if (heard) {
      heard = false
      for (let pause = 1; !signal.aborted && pause < SETTLES_WITHIN; pause *= 2) {
        if (heard || (await check())) break
        await clock.sleep(pause, signal)
      }
    } else {
      await check()
      nap = new AbortController()
      if (!heard && !signal.aborted) await clock.sleep(LOOK_EVERY, nap.signal)
    }
  }
}
