import type { LogStore } from './log-store.ts'

/** Stores by name, each opened once however many use it, and closed when the last of them has released it. */
export interface OpenStores {
  take(name: string): Promise<Taken>
  /** The next `take` opens anew; those who have it keep it. */
  forget(name: string): void
  /** Closes all, whoever uses them. */
  close(): Promise<void>
}
interface Taken {
  readonly store: LogStore
  /** Once. */
  release(): Promise<void>
}

interface Shared {
  readonly store: Promise<LogStore>
  users: number
}

export function openStores(openOne: (name: string) => Promise<LogStore>): OpenStores {
  const all = new Map<string, Shared>()
  const forget = (name: string, shared: Shared | undefined): void => {
    if (shared === all.get(name)) all.delete(name)
  }
  return {
    take: async (name) => {
      const shared: Shared = all.get(name) ?? { store: openOne(name), users: 0 }
      all.set(name, shared)
      shared.users += 1
      try {
        const store = await shared.store
        const release = async (): Promise<void> => {
          if (--shared.users > 0) return
          forget(name, shared)
          await store.close()
        }
        return { store, release }
      } catch (error) {
        forget(name, shared)
        throw error
      }
    },
    forget: (name) => forget(name, all.get(name)),
    close: async () => {
      const open = [...all.values()]
      all.clear()
      await Promise.all(open.map(async ({ store }) => (await store).close()))
    },
  }
}
