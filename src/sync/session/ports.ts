import type { Clock, FileSystem, Ids } from '../../platform/ports.ts'
import type { Database } from '../../platform/sqlite.ts'
import type { MaxDelete, SyncEvent } from '../api.ts'
import type { NameTraits } from '../core/names.ts'
import type { Root } from '../disk/marker.ts'
import type { Disk } from '../disk/transition.ts'
import type { Bucket } from '../remote/catch-up.ts'

/** All that a session touches: with these in memory, a session runs the same without a disk, a network or a clock. */
export interface SessionPorts {
  readonly fs: FileSystem
  readonly clock: Clock
  readonly ids: Ids
  /** The three trees, ready to be used. */
  readonly db: Database
  readonly root: Root
  readonly disk: Disk
  readonly bucket: Bucket
  readonly device: { readonly id: string; readonly name: string }
  readonly traits: NameTraits
  readonly exclude: readonly string[]
  readonly maxDelete: MaxDelete | null
  /** Most rows that are planned at once; absent: enough for any, and within bounds of memory. */
  readonly window?: number
  readonly onEvent: (event: SyncEvent) => void
}
