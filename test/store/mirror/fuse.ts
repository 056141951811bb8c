import { systemStoreDisk } from '../../../src/platform/store-disk.ts'
import type { StoreDisk } from '../../../src/platform/store-disk.ts'
import type { Backend } from '../../../src/store/ports.ts'

/** Ends a pretended process: from then on nothing that it does has an effect. */
export class Crash extends Error {}

/** Counts the steps of a pretended process that anybody else could see, and ends it at one of them. */
export interface Fuse {
  /** Ends the process after so many more steps, that one not done. */
  light(steps: number): void
  /** A new process. */
  reset(): void
  step(): void
  shadow(backend: Backend): Backend
  /** For the notes. */
  readonly disk: StoreDisk
}

export function openFuse(): Fuse {
  let left = Number.POSITIVE_INFINITY
  let dead = false
  const step = (): void => {
    if (left-- <= 0) dead = true
    if (dead) throw new Crash('the process is dead')
  }
  return {
    light: (steps) => {
      left = steps
    },
    reset: () => {
      left = Number.POSITIVE_INFINITY
      dead = false
    },
    step,
    shadow: (backend) => ({
      ...backend,
      open: async (name) => {
        const ports = await backend.open(name)
        if (ports === null) return null
        const append: typeof ports.log.append = async (entries) => {
          step()
          const positions = await ports.log.append(entries)
          step()
          return positions
        }
        return { ...ports, log: { ...ports.log, append } }
      },
    }),
    disk: {
      ...systemStoreDisk,
      openDatabase: (path) => {
        const db = systemStoreDisk.openDatabase(path, { synchronous: 'normal' })
        return {
          ...db,
          exec: (sql) => {
            if (sql === 'BEGIN IMMEDIATE') step()
            db.exec(sql)
          },
        }
      },
    },
  }
}
