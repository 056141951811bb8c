import { join } from 'node:path'
import type { FileStat, FileSystem } from '../../platform/ports.ts'
import type { Path } from '../core/types.ts'
import { codeOf } from './failure.ts'

// oxlint-disable-next-line no-control-regex -- the question is whether all of it is ASCII
const ASCII = /^[\x00-\x7f]*$/

export function isAscii(name: string): boolean {
  return ASCII.test(name)
}

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

/** The names in a folder that are not their own key, by key. */
export function namesByKey(fs: FileSystem, folder: string): ReadonlyMap<string, string> {
  const others = new Map<string, string[]>()
  for (const { name } of fs.list(folder)) {
    if (name === null || isAscii(name)) continue
    const key = keyOf(name)
    others.set(key, [...(others.get(key) ?? []), name])
  }
  const found = new Map<string, string>()
  for (const [key, names] of others) {
    const owner = ownerOfKey(names, key)
    if (owner !== null && owner !== key) found.set(key, owner)
  }
  return found
}

/** A folder found on disk, or the nearest folder above it that has to be looked at to say what became of it. */
export type Located =
  | { readonly found: true; readonly disk: string; readonly stat: FileStat }
  | { readonly found: false; readonly lookAt: Path }

/** Walks down without following a link. On a disk that is `caseBlind`, a folder of another spelling is not the one that is meant. */
export function locateFolder(fs: FileSystem, root: string, folder: Path, caseBlind = false): Located {
  let disk = root
  let at: Path = ''
  let stat = fs.lstat(root)
  for (const segment of folder === '' ? [] : folder.split('/')) {
    try {
      const name = isAscii(segment) ? segment : (namesByKey(fs, disk).get(segment) ?? segment)
      const meant = !caseBlind || fs.list(disk).some((item) => item.name === name)
      disk = join(disk, name)
      stat = meant ? fs.lstat(disk) : null
    } catch (error) {
      if (codeOf(error) === null) throw error
      stat = null
    }
    if (stat?.kind !== 'folder') return { found: false, lookAt: at }
    at = below(at, segment)
  }
  return stat ? { found: true, disk, stat } : { found: false, lookAt: '' }
}

/** Where a path is on disk, in whatever Unicode form its names have there; its NFC form if there is nothing. */
export function diskPath(fs: FileSystem, root: string, path: Path): string {
  const straight = join(root, path)
  if (isAscii(path) || fs.lstat(straight) !== null) return straight
  const parent = parentOf(path)
  const folder = locateFolder(fs, root, parent)
  if (!folder.found) return straight
  const key = path.slice(parent === '' ? 0 : parent.length + 1)
  return join(folder.disk, namesByKey(fs, folder.disk).get(key) ?? key)
}
