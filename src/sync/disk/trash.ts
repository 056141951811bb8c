import type { Clock, FileSystem } from '../../platform/ports.ts'
import type { Path } from '../core/types.ts'
import type { Confine } from './confine.ts'
import { codeOf } from './failure.ts'
import { OWN_FOLDER } from './marker.ts'

const TRASH = `${OWN_FOLDER}/trash`

/**
 * Moves a file to `.blobs/trash/<date>/<path>`; when that name is taken, to a folder of this operation. Never replaces anything. Returns
 * where it is, below the root.
 */
export function moveToTrash(
  fs: FileSystem,
  confine: Confine,
  clock: Clock,
  from: string,
  path: Path,
  op: string,
): Path {
  const date = dateOf(clock.now())
  const first = `${TRASH}/${date}/${path}`
  return tryMove(fs, confine, from, first) ?? mustMove(fs, confine, from, `${TRASH}/${date}.${op}/${path}`)
}

function tryMove(fs: FileSystem, confine: Confine, from: string, to: Path): Path | null {
  const place = confine.place(to, true)
  if ('blocked' in place) return null
  try {
    fs.renameNew(from, place.at)
    return to
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return null
    throw error
  }
}

function mustMove(fs: FileSystem, confine: Confine, from: string, to: Path): Path {
  const moved = tryMove(fs, confine, from, to)
  if (moved !== null) return moved
  throw Object.assign(new Error(`there is no place in the trash for ${to}`), { code: 'EEXIST' })
}

function dateOf(now: number): string {
  // A clock beyond what a date can hold must not keep anybody from deleting a file.
  const time = Math.min(Math.max(now, 0), 253_402_300_799_000)
  return new Date(time).toISOString().slice(0, 10)
}

interface Trashed {
  readonly path: Path
  readonly size: number
  /** Renaming sets it: when the file came here. */
  readonly since: bigint
}

/** Removes what is older than the age, then the oldest until the rest fits; never what `keep` names. Returns the bytes freed. */
export async function pruneTrash(
  fs: FileSystem,
  confine: Confine,
  clock: Clock,
  limits: { readonly maxAgeMs: number; readonly maxBytes: number },
  keep: (path: Path) => boolean,
): Promise<number> {
  const { files, folders } = look(fs, confine)
  files.sort((a, b) => (a.since < b.since ? -1 : 1))
  const oldest = BigInt(Math.floor(clock.now() - limits.maxAgeMs)) * 1_000_000n
  let total = files.reduce((sum, { size }) => sum + size, 0)
  let freed = 0
  for (const { path, size, since } of files) {
    if (since >= oldest && total <= limits.maxBytes) break
    if (keep(path)) continue
    const place = confine.place(path)
    if ('blocked' in place) continue
    fs.unlink(place.at)
    leave(folders, path)
    total -= size
    freed += size
  }
  removeEmpty(fs, confine, folders)
  return freed
}

interface Contents {
  readonly files: Trashed[]
  /** How many things are in each folder of the trash, itself too; those further down come later. */
  readonly folders: Map<Path, number>
}

function look(fs: FileSystem, confine: Confine): Contents {
  const found: Contents = { files: [], folders: new Map() }
  const enter = (folder: Path): void => {
    const names = listing(fs, confine, folder)
    found.folders.set(folder, names.length)
    for (const name of names) {
      const path = `${folder}/${name}`
      const place = confine.place(path)
      const stat = 'blocked' in place ? null : fs.lstat(place.at)
      if (stat?.kind === 'folder') enter(path)
      else if (stat) found.files.push({ path, size: stat.size, since: stat.ctimeNs })
    }
  }
  enter(TRASH)
  return found
}

/** Counts what is gone from its folder. */
function leave(folders: Map<Path, number>, path: Path): void {
  const folder = path.slice(0, path.lastIndexOf('/'))
  folders.set(folder, (folders.get(folder) ?? 0) - 1)
}

/** What something has come to meanwhile is not removed: the system sees to that. */
function removeEmpty(fs: FileSystem, confine: Confine, folders: Map<Path, number>): void {
  for (const path of [...folders.keys()].reverse()) {
    if (path === TRASH || folders.get(path) !== 0) continue
    const place = confine.place(path)
    if ('blocked' in place) continue
    try {
      fs.rmdir(place.at)
      leave(folders, path)
    } catch (error) {
      if (codeOf(error) === null) throw error
    }
  }
}

function listing(fs: FileSystem, confine: Confine, folder: Path): string[] {
  const place = confine.folder(folder)
  if ('blocked' in place) return []
  return fs.list(place.at).flatMap(({ name }) => (name === null ? [] : [name]))
}
