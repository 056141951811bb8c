import { lstatSync, readdirSync, watch, type FSWatcher } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { WatchBackend } from './watch-backend.ts'

/** A watched folder. */
interface Watched {
  readonly path: string
  /** Which folder it is: another one may come to its name. */
  readonly which: string
  readonly watcher: FSWatcher
  readonly inside: Map<string, Watched>
  closed: boolean
}

const SLICE_MS = 10

/**
 * Watches each folder by itself and no file: a file's events come through its folder's watch, and a million files cost neither watches nor
 * memory. Folders that come are watched with all that is in them, and those that go are let go.
 */
export const folderBackend: WatchBackend = async (root, listener) => {
  let full = false
  let sliceEnds = performance.now() + SLICE_MS

  const failed = (error: unknown): void => {
    // What the system has no more of for this folder it has no more of for the next.
    full ||= (error as NodeJS.ErrnoException).code === 'ENOSPC'
    listener.onError(error)
  }
  const attempt = <T>(act: () => T): T | null => {
    try {
      return act()
    } catch (error) {
      if (typeof (error as NodeJS.ErrnoException).code !== 'string') throw error
      failed(error)
      return null
    }
  }
  /** Which folder stands at a path; `''`: none; null: the disk does not say. */
  const look = (path: string): string | null =>
    attempt(() => {
      const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false })
      return stat?.isDirectory() === true ? `${stat.ino} ${stat.birthtimeNs}` : ''
    })
  const examine = (folder: Watched, name: string): void => {
    const path = `${folder.path}/${name}`
    const which = look(path)
    const known = folder.inside.get(name)
    if (which === null || known?.which === which) return
    if (known !== undefined) close(known)
    folder.inside.delete(name)
    if (which === '' || listener.ignored(path)) return
    void grow(path, which, folder, name).then((grown) => grown?.closed === false && listener.onFolder(path))
  }
  const open = (path: string, which: string): Watched => {
    const folder: Watched = {
      path,
      which,
      inside: new Map(),
      closed: false,
      watcher: watch(path, (_type, name) => {
        if (folder.closed) return
        listener.onEvent(path, name)
        // Also for a change: of the permissions of a folder that could not be watched before.
        if (name !== null) examine(folder, name)
      }),
    }
    folder.watcher.on('error', failed)
    return folder
  }
  const grow = async (path: string, which: string, above?: Watched, name = ''): Promise<Watched | null> => {
    const folder = full ? null : attempt(() => open(path, which))
    if (folder === null) return null
    above?.inside.set(name, folder)
    // Only now that it is watched: what comes after the listing is told.
    for (const item of attempt(() => readdirSync(path, { withFileTypes: true })) ?? []) {
      if (performance.now() >= sliceEnds) {
        await nextTurn()
        sliceEnds = performance.now() + SLICE_MS
      }
      if (folder.closed) return folder
      if (!item.isDirectory() || folder.inside.has(item.name)) continue
      const at = `${path}/${item.name}`
      const there = listener.ignored(at) ? null : look(at)
      if (there) await grow(at, there, folder, item.name)
    }
    return folder
  }

  const which = look(root)
  const top = which ? await grow(root, which) : null
  return {
    close: async () => {
      if (top !== null) close(top)
    },
  }
}

function close(folder: Watched): void {
  folder.closed = true
  folder.watcher.close()
  for (const each of folder.inside.values()) close(each)
}
