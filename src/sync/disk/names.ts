import { join } from 'node:path'
import type { FileStat, FileSystem, FolderItem } from '../../platform/ports.ts'
import type { Path } from '../core/types.ts'

// oxlint-disable-next-line no-control-regex -- the question is whether all of it is ASCII
const ASCII = /^[\x00-\x7f]*$/

/** The key of a name on disk: NFC. */
export function keyOf(name: string): string {
  return ASCII.test(name) ? name : name.normalize('NFC')
}

export function below(folder: Path, name: string): Path {
  return folder === '' ? name : `${folder}/${name}`
}

export function parentOf(path: Path): Path {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

/** Two names that differ only in their Unicode form have one key: the name in NFC has it, else the first in order. */
export function ownerOfKey(names: readonly string[], key: string): string | null {
  return names.includes(key) ? key : ([...names].sort()[0] ?? null)
}

/** The name on disk, in an existing folder, of what has this key there; the key itself if nothing has. */
export function nameOnDisk(fs: FileSystem, folder: string, key: string): string {
  if (ASCII.test(key) || fs.lstat(join(folder, key))) return key
  const names = fs
    .list(folder)
    .flatMap((item: FolderItem) => (item.name !== null && keyOf(item.name) === key ? [item.name] : []))
  return ownerOfKey(names, key) ?? key
}

/** A folder found on disk, or the nearest folder above it that has to be looked at to say what became of it. */
export type Located =
  | { readonly found: true; readonly disk: string; readonly stat: FileStat }
  | { readonly found: false; readonly lookAt: Path }

/** Walks down without following a link. */
export function locateFolder(fs: FileSystem, root: string, folder: Path): Located {
  let disk = root
  let at: Path = ''
  let stat = fs.lstat(root)
  for (const segment of folder === '' ? [] : folder.split('/')) {
    try {
      disk = join(disk, nameOnDisk(fs, disk, segment))
      stat = fs.lstat(disk)
    } catch (error) {
      if (typeof (error as NodeJS.ErrnoException).code !== 'string') throw error
      stat = null
    }
    if (stat?.kind !== 'folder') return { found: false, lookAt: at }
    at = below(at, segment)
  }
  return stat ? { found: true, disk, stat } : { found: false, lookAt: '' }
}
