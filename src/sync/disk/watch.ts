import type { Clock } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { DirtyFolder } from './observed.ts'
import type { Ignore } from './ignore.ts'

export interface WatchOptions {
  /** Absolute. */
  readonly root: string
  readonly ignore: () => Ignore
  readonly clock: Clock
  /** Folders to look at again, some 20–50 ms after the event. Called synchronously; must not throw. */
  readonly onDirty: (folders: readonly DirtyFolder[]) => void
  /** Events may be missing from now on: rescan by the clock. Says what to do about it. Null: all is well again. */
  readonly onDegraded: (problem: WatchProblem | null) => void
}
export interface WatchProblem {
  readonly message: string
  readonly remedy: string
}
export interface Watcher {
  close(): Promise<void>
}

/** Resolves when everything below the root is watched (or it is said to be degraded): scan after that, never before. Never throws for a watch that fails. */
export async function watchFolder(options: WatchOptions): Promise<Watcher> {
  throw new BlobsError('NotSupported', `not built yet: ${options.root}`)
}
