import type { FileSystem } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Pairing } from '../api.ts'

/** A synced folder that is proved to be itself: the marker is there with its id, on the device and inode it was seen on. */
export interface Root {
  /** Absolute, without links. */
  readonly path: string
  readonly id: string
  readonly dev: bigint
  readonly ino: bigint
}

/** Null if the folder has no marker. Throws `Refused` if it has one that is damaged, or of a higher format. */
export function readMarker(fs: FileSystem, folder: string): Pairing | null {
  void fs
  throw new BlobsError('NotSupported', `not built yet: ${folder}`)
}

/** Makes `.blobs/` and writes the marker, atomically and durably. Replaces one that is there. */
export async function writeMarker(fs: FileSystem, folder: string, pairing: Pairing): Promise<void> {
  void fs
  void pairing
  throw new BlobsError('NotSupported', `not built yet: ${folder}`)
}

/** The root at a folder that carries this id. Throws `Refused` (a `RootProblem` as its cause) as `checkRoot` does. */
export function openRoot(fs: FileSystem, folder: string, id: string): Root {
  void fs
  throw new BlobsError('NotSupported', `not built yet: ${folder} ${id}`)
}

/** Why a folder is not the root it should be: gone, unmounted or unreadable; or something else stands at its path. */
export type RootProblem = 'root-missing' | 'other-root'

/** Throws `Refused`, whose `cause` is an `Error` with `code: RootProblem`, unless the root is still there, the same, and can be listed. */
export function checkRoot(fs: FileSystem, root: Root): void {
  void fs
  throw new BlobsError('NotSupported', `not built yet: ${root.path}`)
}
