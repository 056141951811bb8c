import { systemError } from '../../src/platform/native.ts'
import type { FileSystem } from '../../src/platform/ports.ts'
import { watchFolder, type Watcher, type WatchOptions } from '../../src/sync/disk/watch.ts'
import type { WatchBackend } from '../../src/sync/disk/watch-backend.ts'
import type { Chance } from './chance.ts'
import type { Coverage } from './coverage.ts'
import { Killed, type Life } from './life.ts'
import type { MemoryDisk } from './memory-file-system.ts'

export interface WatcherOptions {
  readonly disk: MemoryDisk
  readonly life: Life
  readonly chance: Chance
  readonly coverage: Coverage
  /** Of all events, how many meet with something. */
  readonly rate: () => number
}

const LATEST = 2000

/** The real watcher over the events of a simulated disk: late, in any order, twice, without a name, or never. */
export function simulatedWatcher(options: WatcherOptions): (given: WatchOptions) => Promise<Watcher> {
  return (given) => watchFolder({ ...given, fs: silentInDeath(given.fs), backend: backendOf(options) })
}

/** A process that dies in a timer of its own dies without a word: nobody waits for what the timer does. */
function silentInDeath(fs: FileSystem): FileSystem {
  return {
    ...fs,
    lstat: (path) => {
      try {
        return fs.lstat(path)
      } catch (error) {
        if (error instanceof Killed) return null
        throw error
      }
    },
  }
}

function unlessKilled(error: unknown): void {
  if (!(error instanceof Killed)) throw error
}

/** As the watches of a kernel: one for each folder, which goes with it wherever it is moved and tells the path it was made for. */
function backendOf({ disk, life, chance, coverage, rate }: WatcherOptions): WatchBackend {
  const { fs } = disk
  const count = (what: string): void => coverage.count(`watch: ${what}`)
  return async (root, listener) => {
    const watched = new Map<bigint, string>()
    let open = true
    /** What may not be looked at is not watched. */
    const unlessForbidden = <T>(act: () => T, otherwise: T): T => {
      try {
        return act()
      } catch {
        return otherwise
      }
    }
    const inoOf = (path: string): bigint | null => {
      const stat = unlessForbidden(() => fs.lstat(path), null)
      return stat?.kind === 'folder' ? stat.ino : null
    }
    const adopt = (path: string, come: boolean): void => {
      const ino = inoOf(path)
      if (ino === null || (path !== root && listener.ignored(path))) return
      if (chance.often(rate() / 20)) {
        count('no more folders')
        listener.onError(systemError('ENOSPC', 'watch', path))
        return
      }
      watched.set(ino, path)
      if (come) listener.onFolder(path)
      for (const { shown, kind } of unlessForbidden(() => fs.list(path), []))
        if (kind === 'folder') adopt(`${path}/${shown}`, come)
    }
    const deliver = async (folder: string, name: string): Promise<void> => {
      await life.turn()
      if (chance.often(rate())) {
        count('event late')
        await life.clock.sleep(chance.below(LATEST))
      }
      if (!open) return
      listener.onEvent(folder, chance.often(rate()) ? null : name)
      const ino = inoOf(`${folder}/${name}`)
      if (ino !== null && watched.get(ino) !== `${folder}/${name}`) adopt(`${folder}/${name}`, true)
    }
    const stop = disk.watch((ino, name) => {
      const folder = watched.get(ino)
      if (folder === undefined || !life.alive()) return
      if (chance.often(rate() / 4)) return count('event lost')
      void deliver(folder, name).catch(unlessKilled)
      if (!chance.often(rate())) return
      count('event doubled')
      void deliver(folder, name).catch(unlessKilled)
    })
    void life.death.then(stop)
    adopt(root, false)
    await life.turn()
    return {
      close: async () => {
        open = false
        stop()
      },
    }
  }
}
