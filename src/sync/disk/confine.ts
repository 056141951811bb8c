import type { FileStat, FileSystem, OpenFolder } from '../../platform/ports.ts'
import type { Path, Reason } from '../core/types.ts'
import { checkRootStands, OWN_FOLDER, type Root } from './marker.ts'
import { below, isAscii, namesByKey, parentOf } from './names.ts'

/** A name in a folder that is held open. Good for the next few calls, but not beyond an `await`: the way there may have changed. */
export interface Place {
  /** Where to work: leads into the very folder that was checked. */
  readonly at: string
  readonly folder: string
  /** The same, as others call the folder. */
  readonly shown: string
}

/** Why there is no way to a place: `null` when a folder on the way is not there. */
export interface NoWay {
  readonly blocked: Reason | null
}

/**
 * The only way to paths below the root. No link is followed, no other device entered; a folder that is swapped for something else after
 * it was checked is not noticed by the work that goes on in it, and not left either.
 */
export interface Confine {
  /** The place of a path, which need not exist. `make`: with the folders on the way to it. */
  place(path: Path, make?: boolean): Place | NoWay
  /** The folder itself, as a place to put names in: `at` and `folder` are the same. */
  folder(path: Path, make?: boolean): Place | NoWay
  /** Runs what awaits nothing. Meanwhile a folder that was checked is not checked again: its places stay good to the end. */
  inOneGo<T>(work: () => T): T
  /** Forgets what it holds open and what it knows of names; it can be used again. */
  release(): void
}

/** After so many opened folders the ones opened before them are closed. */
const HELD = 100

interface Held {
  readonly handle: OpenFolder
  readonly ino: bigint
}

export function confine(fs: FileSystem, root: Root): Confine {
  // Only what the holder entered since it last let go of something: the others may be closed.
  let checked: Map<Path, Place> | null = null
  const holder = hold(fs, root, () => checked?.clear())
  const names = new Map<Path, ReadonlyMap<string, string>>()

  const nameIn = (folder: Path, at: string, key: string): string => {
    if (isAscii(key)) return key
    let known = names.get(folder)
    if (!known) {
      known = namesByKey(fs, at)
      names.set(folder, known)
    }
    return known.get(key) ?? key
  }

  const folder = (path: Path, make = false): Place | NoWay => {
    const known = checked?.get(path)
    if (known) return known
    const found = walk(path, make)
    if (!('blocked' in found)) checked?.set(path, found)
    return found
  }

  const walk = (path: Path, make: boolean): Place | NoWay => {
    if (!isInside(path)) return { blocked: 'name-reserved' }
    let at = holder.top()
    let shown = root.path
    let walked: Path = ''
    for (const key of path === '' ? [] : path.split('/')) {
      const name = nameIn(walked, at, key)
      const child = `${at}/${name}`
      const stat = fs.lstat(child) ?? (make ? makeFolder(fs, child, path) : null)
      if (!stat) return { blocked: null }
      const blocked = obstacle(stat, root)
      if (blocked) return { blocked }
      walked = below(walked, key)
      at = holder.enter(walked, child, stat)
      shown = `${shown}/${name}`
    }
    return { at, folder: at, shown }
  }

  return {
    folder,
    place: (path, make) => {
      const parent = parentOf(path)
      const key = path.slice(parent === '' ? 0 : parent.length + 1)
      if (!isInside(key)) return { blocked: 'name-reserved' }
      const inside = folder(parent, make)
      if ('blocked' in inside) return inside
      return { ...inside, at: `${inside.at}/${nameIn(parent, inside.at, key)}` }
    },
    inOneGo: (work) => {
      checked = new Map()
      try {
        return work()
      } finally {
        checked = null
      }
    },
    release: () => {
      holder.release()
      names.clear()
    },
  }
}

/** Open folders by path, in two generations, so that what was opened of late is not closed; `onLetGo` is told before and when something is. */
function hold(fs: FileSystem, root: Root, onLetGo: () => void) {
  let top: OpenFolder | null = null
  let held = new Map<Path, Held>()
  let older = new Map<Path, Held>()
  return {
    top: (): string => {
      if (held.size > HELD) {
        for (const { handle } of older.values()) handle.close()
        older = held
        held = new Map()
        onLetGo()
      }
      top ??= openTop(fs, root)
      return top.path
    },
    /** `stat` tells whether what is held by this path is what stands there now. */
    enter: (path: Path, at: string, stat: FileStat): string => {
      const before = held.get(path) ?? older.get(path)
      older.delete(path)
      held.delete(path)
      if (before && before.ino !== stat.ino) {
        before.handle.close()
        onLetGo()
      }
      const now = before?.ino === stat.ino ? before : holdOne(fs.openFolder(at))
      held.set(path, now)
      return now.handle.path
    },
    release: (): void => {
      for (const { handle } of [...held.values(), ...older.values()]) handle.close()
      held.clear()
      older.clear()
      top?.close()
      top = null
    },
  }
}

function holdOne(handle: OpenFolder): Held {
  return { handle, ino: handle.stat().ino }
}

/** True for a path of a user's file: nothing of ours, no way out. */
export function isForUser(path: Path): boolean {
  const end = path.indexOf('/')
  return isInside(path) && (end < 0 ? path : path.slice(0, end)).toLowerCase() !== OWN_FOLDER
}

function isInside(path: Path): boolean {
  if (path === '') return true
  return !path.includes('\0') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

function openTop(fs: FileSystem, root: Root): OpenFolder {
  const handle = fs.openFolder(root.path)
  const stat = handle.stat()
  if (stat.dev === root.dev && stat.ino === root.ino) return handle
  handle.close()
  checkRootStands(fs, root)
  throw Object.assign(new Error(`another folder stands at ${root.path}`), { code: 'ESTALE' })
}

// A folder of ours is nobody else's business; a user's folder gets the usual permissions.
function makeFolder(fs: FileSystem, at: string, path: Path): FileStat | null {
  try {
    fs.mkdir(at, isForUser(path) ? 0o777 : 0o700)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return fs.lstat(at)
}

function obstacle(stat: FileStat, root: Root): Reason | null {
  if (stat.kind === 'symlink') return 'symlink'
  if (stat.kind === 'file') return 'file-and-folder'
  if (stat.kind === 'other') return 'special-file'
  return stat.dev === root.dev ? null : 'other-device'
}
