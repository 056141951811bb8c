import { basename } from 'node:path'
import { watch } from 'chokidar'
import { OWN_FOLDER } from './marker.ts'
import type { WatchBackend } from './watch-backend.ts'

/**
 * Watches folders only: a file's events come through its folder's watch, and a file costs neither a watch nor memory. Looks at every file when
 * it begins, to see that it is none.
 */
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
