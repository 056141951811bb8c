import type { Path } from '../core/types.ts'
import type { DirtyFolder } from '../disk/observed.ts'

/** The folder that a path, or the marker of an empty folder, is in; `''` is the root. */
function folderOf(path: Path): Path {
  const inside = path.endsWith('/') ? path.slice(0, -1) : path
  return inside.slice(0, Math.max(0, inside.lastIndexOf('/')))
}

/** The folders to look at again for these paths, each once. */
export function dirtyFolders(paths: Iterable<Path>): DirtyFolder[] {
  return [...new Set([...paths].map(folderOf))].map((path) => ({ path, deep: false }))
}
