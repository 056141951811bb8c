import type { Clock, FileSystem } from '../../platform/ports.ts'
import type { Path } from '../core/types.ts'
import type { Confine } from './confine.ts'
import type { Journal, Late } from './journal.ts'
import type { Root } from './marker.ts'

/** What all work on one folder shares. */
export interface DiskContext {
  readonly fs: FileSystem
  readonly root: Root
  readonly clock: Clock
  /** Short name for conflict files. */
  readonly device: string
  readonly confine: Confine
  readonly journal: Journal
  /** The temporary folder, held open while there is work. */
  readonly tmp: string
  /** Trashed files that may still be written to, by operation. */
  readonly late: Map<string, Late & { readonly since: number }>
  /** New names that a file did not get by being moved there. */
  readonly unmovable: Set<Path>
}
