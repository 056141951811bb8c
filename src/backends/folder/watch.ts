import { watch } from 'node:fs'

/** Resolves when something in the folder changed, or the signal aborts; not before that where it cannot be watched. */
export function watchFolder(path: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
    try {
      const watcher = watch(path, { signal, persistent: false }, () => resolve())
      watcher.on('error', () => undefined)
    } catch {
      // No watches left, or no folder yet: then it is looked at every so often.
    }
  })
}
