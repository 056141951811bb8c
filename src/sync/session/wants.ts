import type { Clock } from '../../platform/ports.ts'
import type { Path } from '../core/types.ts'
import type { DirtyFolder } from '../disk/observed.ts'
import type { CycleScope } from './session.ts'

/** What has to be looked at next, gathered while a cycle runs. */
export interface Wants {
  folders(folders: readonly DirtyFolder[]): void
  /** Rows of the remote tree changed. */
  news(): void
  /** Look at everything on both sides. */
  everything(): void
  /** Ends `next` with null. */
  stop(): void
  /** Resolves when there is something to do, at the latest after so many milliseconds; null: nothing but time passed. */
  next(withinMs: number, signal: AbortSignal): Promise<CycleScope | null>
}

export function openWants(clock: Clock): Wants {
  let dirty = new Map<Path, boolean>()
  let [remote, all] = [false, false]
  let wake: () => void = () => undefined
  const pending = (): boolean => remote || all || dirty.size > 0
  return {
    folders: (folders) => {
      for (const { path, deep } of folders) dirty.set(path, deep || dirty.get(path) === true)
      if (folders.length > 0) wake()
    },
    news: () => {
      remote = true
      wake()
    },
    everything: () => {
      all = true
      wake()
    },
    stop: () => wake(),
    next: async (withinMs, signal) => {
      if (!pending() && withinMs > 0 && !signal.aborted) {
        const awake = new AbortController()
        wake = () => awake.abort('awake')
        await clock.sleep(withinMs, AbortSignal.any([awake.signal, signal]))
        wake = () => undefined
      }
      if (!pending()) return null
      const local = all ? ('all' as const) : [...dirty].map(([path, deep]) => ({ path, deep }))
      const scope = { local, remote: all }
      dirty = new Map()
      ;[remote, all] = [false, false]
      return scope
    },
  }
}
