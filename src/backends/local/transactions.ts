import type { Clock } from '../../platform/ports.ts'
import { patiently, sqliteProblem, transact } from '../../platform/sqlite.ts'
import { groups, type Settled } from './group.ts'
import { explain } from './problems.ts'
import type { StoreFile } from './store-file.ts'

/** Bytes written in one transaction: it is synchronous, so this bounds how long the process stands still. */
const GROUP_BYTES = 8 * 1024 * 1024

/** The database, its writes grouped so that many callers share a transaction and its fsync. Failures come explained. */
export interface Transactions {
  /**
   * Runs `work`, synchronously, inside a transaction with others'; resolves with what it gave when that is durable. If it
   * throws something other than an SQLite error it alone fails, so it must throw before it writes.
   */
  write<T>(weight: number, work: () => T): Promise<T>
  /** Runs `look`, synchronously, again while other processes are in the way. */
  read<T>(look: () => T): Promise<T>
  /** Called after each of this process's transactions. */
  onWrite(listener: () => void): void
  drain(): Promise<void>
}

export function openTransactions({ db, directory }: StoreFile, clock: Clock): Transactions {
  const listeners: (() => void)[] = []
  const group = groups<() => unknown, unknown>(GROUP_BYTES, async (jobs) => {
    try {
      const done = await transact(db, clock, () => jobs.map(attempt))
      for (const listener of listeners) listener()
      return done
    } catch (error) {
      throw explain(error, directory)
    }
  })
  return {
    write: async <T>(weight: number, work: () => T) => (await group.add(work, weight)) as T,
    read: async (look) => {
      try {
        return await patiently(clock, look)
      } catch (error) {
        throw explain(error, directory)
      }
    },
    onWrite: (listener) => {
      listeners.push(listener)
    },
    drain: () => group.drain(),
  }
}

function attempt(work: () => unknown): Settled<unknown> {
  try {
    const result = work()
    return () => result
  } catch (error) {
    if (sqliteProblem(error) !== null) throw error
    return () => {
      throw error
    }
  }
}
