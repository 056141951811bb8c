import type { Path } from '../core/types.ts'
import type { DiskContext } from './context.ts'
import { codeOf } from './failure.ts'
import { parentOf } from './names.ts'

/** True if the folder was empty and is gone. */
export function removeFolder({ fs, confine }: DiskContext, path: Path): boolean {
  const place = confine.place(path)
  if ('blocked' in place) return false
  try {
    fs.rmdir(place.at)
    return true
  } catch (error) {
    if (codeOf(error) === null) throw error
    return false
  }
}

/** True if the path was a tree of empty folders and is gone. */
export function removeEmptyTree(context: DiskContext, path: Path): boolean {
  const { fs, confine } = context
  const inside = confine.folder(path)
  if ('blocked' in inside) return false
  for (const { name, kind } of fs.list(inside.at)) {
    if (name === null || kind !== 'folder' || !removeEmptyTree(context, `${path}/${name}`)) return false
  }
  return removeFolder(context, path)
}

/** Removes a folder if it is empty, then those above it; returns what it looked at: gone, or empty and kept. */
export function prune(context: DiskContext, folder: Path, keep: (folder: Path) => boolean): readonly Path[] {
  const looked: Path[] = []
  for (let at = folder; at !== ''; at = parentOf(at)) {
    if (!keep(at) && !removeFolder(context, at)) break
    looked.push(at)
    if (keep(at)) break
  }
  return looked
}

/** True if it is there and nothing at all is in it. */
export function isEmptyFolder({ fs, confine }: DiskContext, path: Path): boolean {
  const place = confine.folder(path)
  return !('blocked' in place) && fs.list(place.at).length === 0
}
