import { join } from 'node:path'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Clock } from '../../platform/ports.ts'
import type { StorePaths } from './store-file.ts'
import { finishRepair, isRepaired } from './swap.ts'

/** How long, in milliseconds, to wait for someone who is just opening the store; a repair takes longer. */
const PATIENCE = 5000
const PAUSE = 20

/** Held together by all who have the store open, and alone by who repairs it. Empty. */
function lockPath(directory: string): string {
  return join(directory, 'store.lock')
}

/**
 * Shares the store with others who use it; gives the function that lets go. A repair that was cut short at its last step is ended
 * first. `first` is run, alone, if nobody else has the store open although it was not closed. Throws `Unavailable` while it is being repaired.
 */
export async function shareStore(paths: StorePaths, clock: Clock, first?: () => Promise<void>): Promise<() => void> {
  const { disk, directory } = paths
  const path = lockPath(directory)
  disk.create(path)
  const start = clock.elapsed()
  while (clock.elapsed() - start < PATIENCE) {
    if (isRepaired(paths) || wasLeftOpen(paths)) {
      const alone = disk.tryLock(path)
      try {
        if (alone !== null && isRepaired(paths)) finishRepair(paths)
        if (alone !== null) await first?.()
      } finally {
        alone?.()
      }
    }
    const release = disk.tryShare(path)
    if (release !== null && !isRepaired(paths)) return release
    release?.()
    await clock.sleep(PAUSE)
  }
  throw new BlobsError('Unavailable', `the store in ${directory} is being repaired`, {
    hint: 'wait for blobs doctor --repair to end, then try again',
  })
}

/** Takes the store for oneself; throws `Refused` while others use it. */
export function takeStore({ disk, directory }: StorePaths): () => void {
  disk.create(lockPath(directory))
  const release = disk.tryLock(lockPath(directory))
  if (release !== null) return release
  throw new BlobsError('Refused', `the store in ${directory} is in use by another process`, {
    hint: 'stop every blobs process that uses it: serve, share, sync',
  })
}

/** Also true while it is open. */
function wasLeftOpen({ disk, wal }: StorePaths): boolean {
  return (disk.size(wal) ?? 0) > 0
}
