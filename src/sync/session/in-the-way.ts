import { join } from 'node:path'
import type { Path } from '../core/types.ts'
import { keyOf, parentOf } from '../disk/names.ts'
import type { PlanRow } from '../state/rows.ts'
import type { SessionPorts } from './ports.ts'
import { codeOf } from '../disk/failure.ts'

/**
 * Tells of a path that would come what has its name already on disk, and what of it no row tells because the rules leave it alone: a
 * folder, or, on a disk that takes both for one, a file or a folder above it that is spelled otherwise. Each folder is listed once.
 */
export function inTheWay({ fs, root, traits }: SessionPorts): (row: PlanRow) => PlanRow['unfit'] {
  const listed = new Map<Path, ReadonlySet<string>>()
  const namesOf = (folder: Path): ReadonlySet<string> => {
    const before = listed.get(folder)
    if (before !== undefined) return before
    const names = new Set<string>()
    for (const { name } of fs.list(join(root.path, folder))) if (name !== null) names.add(keyOf(name))
    listed.set(folder, names)
    return names
  }
  const there = new Map<Path, boolean>()
  const isThere = (folder: Path): boolean => {
    const before = there.get(folder)
    const is = before ?? fs.lstat(join(root.path, folder)) !== null
    if (before === undefined) there.set(folder, is)
    return is
  }
  const judged = new Map<Path, boolean>()
  const isOtherFolder = (folder: Path): boolean => {
    const before = judged.get(folder)
    const other = before ?? isOther(folder)
    if (before === undefined) judged.set(folder, other)
    return other
  }
  const isOther = (path: Path): boolean => {
    if (path === '' || !traits.caseBlind) return false
    const parent = parentOf(path)
    if (isOtherFolder(parent)) return true
    const name = parent === '' ? path : path.slice(parent.length + 1)
    return fs.lstat(join(root.path, path)) !== null && !namesOf(parent).has(name)
  }
  return ({ path, base, local, remote, localFolder }) => {
    if (base !== null || local !== null || remote === null || remote.kind === 'deleted') return null
    try {
      if (remote.kind === 'folder') return isOther(path.slice(0, -1)) ? 'name-clash' : null
      if (localFolder || !isThere(parentOf(path))) return null
      if (fs.lstat(join(root.path, path))?.kind === 'folder') return 'file-and-folder'
      return isOther(path) ? 'name-clash' : null
    } catch (error) {
      // Whatever it is, who brings the file meets it too.
      if (codeOf(error) === null) throw error
      return null
    }
  }
}
