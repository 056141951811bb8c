import type { BlobStore, Buckets } from '../store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../store/contract/errors.ts'

/** Open buckets that requests share. */
export interface Pool {
  /** Runs with the bucket's store, opened if it is not. Throws what opening throws. */
  use<T>(name: string, fn: (store: BlobStore) => Promise<T>): Promise<T>
  /** Closes the bucket once nobody uses it; the next use opens it anew. */
  drop(name: string): Promise<void>
  /** Closes all once nobody uses them. */
  close(): Promise<void>
}

interface Held {
  readonly store: Promise<BlobStore>
  /** Resolves when it is closed. */
  readonly ended: Promise<void>
  readonly end: () => void
  users: number
  dropped: boolean
}

const IDLE = 64

/** Opens a pool that keeps up to 64 buckets open between requests. */
export function openPool(buckets: Buckets): Pool {
  const held = new Map<string, Held>()
  const end = async (one: Held): Promise<void> => {
    const store = await one.store.catch(() => null)
    await store?.close()
    one.end()
  }
  const drop = async (name: string): Promise<void> => {
    const one = held.get(name)
    if (!one) return
    held.delete(name)
    one.dropped = true
    if (one.users === 0) await end(one)
  }
  const trim = async (): Promise<void> => {
    if (held.size <= IDLE) return
    for (const [name, one] of held) if (one.users === 0) return drop(name)
  }
  const take = (name: string): Held => {
    const found = held.get(name)
    const one = found ?? newlyHeld(buckets.open(name))
    // The map's order is that of the last use.
    held.delete(name)
    held.set(name, one)
    one.users += 1
    return one
  }
  return {
    use: async (name, fn) => {
      const one = take(name)
      try {
        return await fn(await one.store)
      } catch (error) {
        // The bucket may have been removed, or removed and made again, by another process.
        if (isBlobsError(error, 'NotFound') && error.key === undefined) await drop(name)
        throw error
      } finally {
        one.users -= 1
        if (one.dropped && one.users === 0) await end(one)
        await trim()
      }
    },
    drop,
    close: async () => {
      const all = [...held.values()]
      await Promise.all([...held.keys()].map(drop))
      await Promise.all(all.map((one) => one.ended))
    },
  }
}

function newlyHeld(store: Promise<BlobStore>): Held {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { store, ended: promise, end: resolve, users: 0, dropped: false }
}

/** The error for a bucket that is not there, made safe for one who may not know the names of others. */
export function hideNames(error: unknown, bucket: string): unknown {
  if (!isBlobsError(error, 'NotFound')) return error
  return new BlobsError('NotFound', `there is no bucket ${bucket}`, { bucket, cause: error })
}
