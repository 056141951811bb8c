import type { FileSystem } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Path } from '../core/types.ts'

/** The rules of one moment: make a new one when a `.blobsignore` changed. */
export interface Ignore {
  /** `path` without a trailing slash. Reads the `.blobsignore` files on the way down to it, each once. */
  ignores(path: Path, isFolder: boolean): boolean
  /** Of all rules read so far: complete after a scan of everything. Another digest than last time: paths may come or go, none was deleted. */
  digest(): string
}

export const IGNORE_FILE = '.blobsignore'

/** `exclude`: patterns of this machine alone, in the same syntax, stronger than the files. */
export function openIgnore(options: {
  readonly fs: FileSystem
  readonly root: string
  readonly exclude?: readonly string[]
}): Ignore {
  throw new BlobsError('NotSupported', `not built yet: ${options.root}`)
}
