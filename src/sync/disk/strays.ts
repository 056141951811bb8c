import type { FileStat } from '../../platform/ports.ts'
import type { Path } from '../core/types.ts'
import { identityOf } from './look.ts'
import type { Identity, KnownFile, KnownTree, Observed } from './observed.ts'

/** Remembered of one scan: bounds memory, whatever is gone. */
const AT_MOST = 50_000

/** Files that are gone from where they were. Renaming a folder leaves what `lstat` says of its files as it was. */
export interface Strays {
  /** Remembers the files that were known below a folder, until there are too many of them. */
  add(known: KnownTree, folder: Path): void
  /** What such a file is known to hold, or null if it is none. */
  find(stat: FileStat): Extract<Observed, { kind: 'file' }> | null
}

export function openStrays(): Strays {
  const files = new Map<Identity, KnownFile>()
  return {
    add: (known, folder) => {
      if (files.size >= AT_MOST) return
      for (const file of known.filesBelow(folder)) {
        files.set(file.identity, file)
        if (files.size >= AT_MOST) return
      }
    },
    find: (stat) => {
      const file = files.size === 0 ? undefined : files.get(identityOf(stat))
      if (file === undefined) return null
      const { identity, hash, size, executable } = file
      return { kind: 'file', hash, size, executable, identity, mtimeNs: stat.mtimeNs }
    },
  }
}
