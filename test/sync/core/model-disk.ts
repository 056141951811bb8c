import { clashKey, type NameTraits } from '../../../src/sync/core/names.ts'
import type { Content, Path, Reason } from '../../../src/sync/core/types.ts'
import { FOLDER, hashOf } from './rows.ts'

export interface File {
  readonly kind: 'file'
  readonly bytes: string
  readonly executable: boolean
  readonly mtimeNs: bigint
}
/** Something that must not be judged: a link, a socket. */
interface Other {
  readonly kind: 'other'
  readonly reason: Reason
}
interface Folder {
  readonly kind: 'folder'
  readonly items: Map<string, { readonly name: string; readonly node: Node }>
}
type Node = File | Other | Folder

/** What a scan sees. Paths are keys: in form C. */
export interface Scan {
  readonly files: ReadonlyMap<Path, File>
  readonly others: ReadonlyMap<Path, Reason>
  /** Every folder; without the slash. */
  readonly folders: ReadonlySet<Path>
  readonly empty: ReadonlySet<Path>
}

/** A folder on a disk in memory, which knows names as a real one does: spelling kept, twins of a name found under any spelling. */
export interface Disk {
  readonly traits: NameTraits
  scan(): Scan
  find(path: Path): Node | null
  /** Makes the folders above; false, with nothing done, where a file is in the way or the name is a folder. */
  write(path: Path, file: File | Other): boolean
  mkdir(path: Path): boolean
  /** Removes whatever is there, with all below it. */
  remove(path: Path): void
  /** Removes the folders above `path` that are empty now, as long as `droppable` says so. */
  prune(path: Path, droppable: (folder: Path) => boolean): void
}

export function contentOf(file: File): Content {
  return { kind: 'file', hash: hashOf(file.bytes), size: file.bytes.length, executable: file.executable }
}

export const FOLDER_CONTENT = FOLDER

export function createDisk(traits: NameTraits): Disk {
  const root: Folder = { kind: 'folder', items: new Map() }
  const key = (name: string): string => clashKey(name, traits)
  const folderAt = (segments: readonly string[], create: boolean): Folder | null => {
    let folder = root
    for (const segment of segments) {
      const there = folder.items.get(key(segment))?.node
      if (there !== undefined && there.kind !== 'folder') return null
      if (there === undefined && !create) return null
      const next: Folder = there ?? { kind: 'folder', items: new Map() }
      if (there === undefined) folder.items.set(key(segment), { name: segment, node: next })
      folder = next
    }
    return folder
  }
  const split = (path: Path): { above: string[]; name: string } => {
    const above = path.split('/')
    return { above, name: above.pop() ?? '' }
  }
  const find = (path: Path): Node | null => {
    if (path === '') return root
    const { above, name } = split(path)
    return folderAt(above, false)?.items.get(key(name))?.node ?? null
  }
  const remove = (path: Path): void => {
    const { above, name } = split(path)
    folderAt(above, false)?.items.delete(key(name))
  }
  return {
    traits,
    find,
    remove,
    scan: () => scanFrom(root),
    write(path, file) {
      const { above, name } = split(path)
      const folder = folderAt(above, true)
      const there = folder?.items.get(key(name))
      if (folder === null || there?.node.kind === 'folder') return false
      folder.items.set(key(name), { name: there?.name ?? name, node: file })
      return true
    },
    mkdir: (path) => folderAt(path.split('/'), true) !== null,
    prune(path, droppable) {
      for (let folder = parent(path); folder !== ''; folder = parent(folder)) {
        const node = find(folder)
        if (node?.kind !== 'folder' || node.items.size > 0 || !droppable(folder)) return
        remove(folder)
      }
    },
  }
}

function parent(path: Path): Path {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function scanFrom(root: Folder): Scan {
  const files = new Map<Path, File>()
  const others = new Map<Path, Reason>()
  const folders = new Set<Path>()
  const empty = new Set<Path>()
  const visit = (folder: Folder, at: Path): void => {
    for (const { name, node } of folder.items.values()) {
      const path = (at + name).normalize('NFC')
      if (node.kind === 'file') files.set(path, node)
      else if (node.kind === 'other') others.set(path, node.reason)
      else {
        folders.add(path)
        if (node.items.size === 0) empty.add(path)
        visit(node, `${path}/`)
      }
    }
  }
  visit(root, '')
  return { files, others, folders, empty }
}
