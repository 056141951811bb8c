import { basename } from 'node:path'
import { watch } from 'chokidar'
import { OWN_FOLDER } from './marker.ts'

/** What a backend tells; paths are absolute, as the disk spells them. */
export interface WatchListener {
  /** Folders that are not to be watched, nor what is below them. */
  ignored(folder: string): boolean
  /** Something happened to a name directly in a folder; null: nobody knows which. Events may be missing, doubled or late. */
  onEvent(folder: string, name: string | null): void
  /** A folder has come, with whatever is in it by now. */
  onFolder(folder: string): void
  onError(error: unknown): void
}

/** Resolves when all folders below the root are watched, as far as that is possible. */
export type WatchBackend = (root: string, listener: WatchListener) => Promise<{ close(): Promise<void> }>

/** Watches folders only: a file's events come through its folder's watch, and a file costs neither a watch nor memory. */
export const chokidarBackend: WatchBackend = async (root, listener) => {
  let ready = false
  const watcher = watch(root, {
    ignored: (path, stats) => {
      if (stats && !stats.isDirectory()) return true
      if (basename(path).toLowerCase() === OWN_FOLDER && listener.ignored(path)) return true
      return stats !== undefined && path !== root && listener.ignored(path)
    },
    ignoreInitial: true,
    followSymlinks: false,
    alwaysStat: false,
    atomic: false,
    ignorePermissionErrors: true,
  })
  watcher.on('raw', (_event, name, details) => {
    const { watchedPath } = details as { watchedPath?: string }
    if (watchedPath !== undefined) listener.onEvent(watchedPath, typeof name === 'string' ? name : null)
  })
  watcher.on('addDir', (path) => {
    if (ready) listener.onFolder(path)
  })
  watcher.on('error', (error) => listener.onError(error))
  await new Promise<void>((resolve) => void watcher.once('ready', resolve))
  ready = true
  return { close: () => watcher.close() }
}
