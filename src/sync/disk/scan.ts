import type { Clock, FileSystem } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Path } from '../core/types.ts'
import type { Ignore } from './ignore.ts'
import type { Root } from './marker.ts'
import type { DirtyFolder, KnownTree, Observation } from './observed.ts'

export interface ScanOptions {
  readonly fs: FileSystem
  readonly root: Root
  readonly scope: 'all' | readonly DirtyFolder[]
  readonly known: KnownTree
  readonly ignore: Ignore
  readonly clock: Clock
  /** True for a file that is to be taken as it is although somebody has it open for writing (it waited long enough). */
  readonly takeBusy?: (path: Path) => boolean
  readonly signal?: AbortSignal
}

/**
 * Compares the disk with what was known and yields what differs, in batches, every path at most once. What is not yielded within the
 * scope is as it was. Throws `Refused` if the root is not the root (see `checkRoot`), before or while anything would be called absent.
 * A node `unknown` for `busy` or `changing` wants another look soon. Ends early, without an error, when the signal aborts: then nothing
 * is said of the rest.
 */
export async function* scan(options: ScanOptions): AsyncGenerator<readonly Observation[]> {
  yield []
  throw new BlobsError('NotSupported', `not built yet: ${options.root.path}`)
}
