import { setTimeout as sleep } from 'node:timers/promises'
import type { FileSystem } from '../../src/platform/ports.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'

type Call = Exclude<keyof BlobStore, 'close'>

/** A store at whose first call of a method something else happens first. */
export function before(store: BlobStore, method: Call, act: () => unknown): BlobStore {
  let first = true
  return beforeEach(store, method, async () => {
    if (!first) return
    first = false
    await act()
  })
}

/** A store at each of whose calls of a method something else happens first. */
export function beforeEach(store: BlobStore, method: Call, act: () => unknown): BlobStore {
  const streams = async function* (items: () => AsyncIterable<unknown>): AsyncGenerator {
    await act()
    yield* items()
  }
  const call = store[method] as (...args: unknown[]) => never
  const around =
    method === 'changes' || method === 'fetch'
      ? (...args: unknown[]) => streams(() => call(...args))
      : async (...args: unknown[]) => {
          await act()
          return call(...args)
        }
  return { ...store, [method]: around }
}

/** A disk that tells of each call before it is made; `tell` may act or throw. */
export function telling(fs: FileSystem, tell: (call: keyof FileSystem, path: string) => void): FileSystem {
  const told = Object.entries(fs).map(([name, call]) => [
    name,
    (...args: unknown[]) => {
      tell(name as keyof FileSystem, String(args[0]))
      return (call as (...all: unknown[]) => unknown)(...args)
    },
  ])
  return Object.fromEntries(told) as FileSystem
}

export function errno(code: string): Error {
  return Object.assign(new Error(`${code} (injected)`), { code })
}

/** Waits, patiently, until something holds; what does not come to be is for the test to say. */
export async function until(holds: () => boolean | Promise<boolean>, patience = 30_000): Promise<void> {
  for (const start = performance.now(); performance.now() - start < patience; await sleep(5)) if (await holds()) return
}
