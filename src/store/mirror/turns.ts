import type { Clock } from '../../platform/ports.ts'
import type { StoreDisk } from '../../platform/store-disk.ts'

/** Milliseconds between two tries. */
const PAUSES = [2, 50] as const

/** Lets one act at a time, of all processes of this machine that have the mirror. */
export interface Turns {
  /** Null, and nothing done, if its turn did not come within so many milliseconds. */
  take<T>(patience: number, act: () => Promise<T>): Promise<{ readonly result: T } | null>
}

/** The system lets go of the lock when its holder dies. */
export function openTurns(path: string, disk: StoreDisk, clock: Clock): Turns {
  disk.create(path)
  let line: Promise<unknown> = Promise.resolve()
  const tryTo = async (until: number): Promise<(() => void) | null> => {
    const [first, longest] = PAUSES
    for (let pause: number = first; ; pause = Math.min(pause * 2, longest)) {
      const release = disk.tryLock(path)
      if (release !== null || clock.elapsed() >= until) return release
      await clock.sleep(pause)
    }
  }
  return {
    take: async (patience, act) => {
      const until = clock.elapsed() + patience
      const before = line
      let leave = (): void => undefined
      line = new Promise<void>((resolve) => (leave = resolve))
      const late = new AbortController()
      const waited = await Promise.race([
        before.then(() => true),
        clock.sleep(patience, late.signal).then(() => false),
      ]).finally(() => late.abort())
      // Who gives up keeps the line as it is for those behind.
      if (!waited) {
        void before.then(leave)
        return null
      }
      try {
        const release = await tryTo(until)
        if (release === null) return null
        try {
          return { result: await act() }
        } finally {
          release()
        }
      } finally {
        leave()
      }
    },
  }
}
