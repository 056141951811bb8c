import { systemError } from '../../src/platform/native.ts'
import type { FileStat, FileSystem, ReadFile, WriteFile } from '../../src/platform/ports.ts'
import type { Chance } from './chance.ts'
import { openJournal, type Entry, type Inode } from './memory-journal.ts'

export interface MemoryDiskOptions {
  readonly now: () => bigint
  /** `A` and `a` are one name. */
  readonly caseBlind: boolean
  /** Whether two paths can change places in one call. */
  readonly canExchange: boolean
}

/** A disk in memory that knows what of it is durable. */
export interface MemoryDisk {
  readonly fs: FileSystem
  /** Bytes that still fit; what does not throws ENOSPC. */
  setRoom(bytes: number): void
  symlink(target: string, path: string): void
  makeFile(path: string, bytes: Uint8Array): void
  /** Writes in place, as a program that has the file open does. */
  writeInPlace(path: string, bytes: Uint8Array): void
  /** Opens for writing in place; `write` goes to this very file, wherever it is by then. */
  openForWriting(path: string): { write(bytes: Uint8Array): void; close(): void }
  /** Opens a file that is there, to read and write it at places; null if it is not there. */
  openInPlace(path: string): PlaceFile | null
  /** Tells of every change of a name in a folder, and of the file there, as it happens. */
  watch(listener: (folder: bigint, name: string) => void): () => void
  /** What `act` does is durable when it returns, and what it builds on. */
  durably<T>(act: () => T): T
  /** Everything that was not made durable happened or not, in any subset; nothing is open any more. Gives how much vanished. */
  powerLoss(chance: Chance): number
  /** Every file below a folder: its bytes by path; folders end in `/`, links read `-> target`. */
  tree(folder: string): Map<string, { readonly bytes: Uint8Array | null; readonly note: string }>
}

interface PlaceFile {
  size(): number
  read(buffer: Uint8Array, place: number): number
  write(bytes: Uint8Array, place: number): void
  truncate(size: number): void
  sync(): void
}

const HANDLES = '.fd'
const LINKS_AT_MOST = 10
const NAME_BYTES = 255
const encoder = new TextEncoder()

export function openMemoryDisk(options: MemoryDiskOptions): MemoryDisk {
  let numbers = 0n
  const inodes: Inode[] = []
  let room = Number.POSITIVE_INFINITY
  const journal = openJournal()
  const handles = new Map<string, Inode>()
  let handleNumber = 0

  const keyOf = (name: string): string => (options.caseBlind ? name.normalize('NFC').toLowerCase() : name)
  const make = (kind: Inode['kind'], mode: number, target = ''): Inode => {
    const now = options.now()
    const inode: Inode = {
      ino: ++numbers,
      kind,
      mode,
      target,
      entries: new Map(),
      lasting: new Map(),
      data: new Uint8Array(),
      mtimeNs: now,
      ctimeNs: now,
      durable: null,
      writers: 0,
    }
    inodes.push(inode)
    return inode
  }
  const top = make('folder', 0o755)

  const fail = (code: string, call: string, path: string): never => {
    throw systemError(code, call, path)
  }
  interface Found {
    readonly folder: Inode
    readonly name: string
    readonly inode: Inode | null
  }
  /** What stands at a path, or the code of why nobody can tell. */
  const look = (path: string, follow = false, depth = 0): Found | string => {
    if (depth > LINKS_AT_MOST) return 'ELOOP'
    const parts = partsOf(path)
    let at = top
    let start = 0
    if (parts[0] === HANDLES) {
      const held = handles.get(parts[1] ?? '')
      if (held === undefined) return 'EBADF'
      at = held
      start = 2
    }
    if (parts.length === start) return { folder: at, name: '', inode: at }
    for (let i = start; ; i++) {
      const name = parts[i] ?? ''
      if (name === '..') return 'EINVAL'
      if (at.kind !== 'folder') return 'ENOTDIR'
      if ((at.mode & 0o100) === 0) return 'EACCES'
      if (name.length > NAME_BYTES / 3 && Buffer.byteLength(name) > NAME_BYTES) return 'ENAMETOOLONG'
      const inode = at.entries.get(keyOf(name))?.inode ?? null
      const last = i === parts.length - 1
      if (inode?.kind === 'symlink' && (!last || follow))
        return look([inode.target, ...parts.slice(i + 1)].join('/'), follow, depth + 1)
      if (last) return { folder: at, name, inode }
      if (inode === null) return 'ENOENT'
      at = inode
    }
  }
  const find = (path: string, call: string, follow = false): Found => {
    const found = look(path, follow)
    return typeof found === 'string' ? fail(found, call, path) : found
  }
  const must = (path: string, call: string): Inode => find(path, call).inode ?? fail('ENOENT', call, path)
  const stat = (inode: Inode): FileStat => ({
    kind: inode.kind,
    size: inode.kind === 'file' ? inode.data.byteLength : 0,
    mtimeNs: inode.mtimeNs,
    ctimeNs: inode.ctimeNs,
    ino: inode.ino,
    dev: 7n,
    mode: inode.mode,
    uid: 1000,
  })
  const writable = (folder: Inode, call: string, path: string): void => {
    if ((folder.mode & 0o200) === 0) fail('EACCES', call, path)
  }
  const spend = (bytes: number, call: string, path: string): void => {
    if (bytes > 0 && room < bytes) fail('ENOSPC', call, path)
    room -= bytes
  }
  const listeners = new Set<(folder: bigint, name: string) => void>()
  const tell = (folder: Inode, name: string): void => {
    for (const listener of listeners) listener(folder.ino, name)
  }
  /** Tells of a file wherever it has a name. */
  const tellOf = (inode: Inode): void => {
    if (listeners.size === 0) return
    for (const folder of inodes)
      for (const entry of folder.entries.values()) if (entry.inode === inode) tell(folder, entry.name)
  }
  const change = (...changes: { folder: Inode; name: string; entry: Entry | null }[]): void => {
    journal.change(changes.map(({ folder, name, entry }) => ({ folder, key: keyOf(name), entry })))
    for (const { folder, entry } of changes) {
      folder.mtimeNs = folder.ctimeNs = options.now()
      if (entry !== null) entry.inode.ctimeNs = options.now()
    }
    for (const { folder, name } of changes) tell(folder, name)
  }
  const put = (path: string, call: string, inode: () => Inode): Inode => {
    const found = find(path, call)
    if (found.inode) fail('EEXIST', call, path)
    writable(found.folder, call, path)
    spend(64, call, path)
    const made = inode()
    change({ folder: found.folder, name: found.name, entry: { name: found.name, inode: made } })
    return made
  }
  const contains = (folder: Inode, sought: Inode): boolean =>
    folder === sought || [...folder.entries.values()].some(({ inode }) => contains(inode, sought))
  const move = (from: string, to: string, replace: boolean): void => {
    const source = find(from, 'rename')
    const target = find(to, 'rename')
    const inode = source.inode ?? fail('ENOENT', 'rename', from)
    if (contains(inode, target.folder)) fail('EINVAL', 'rename', to)
    if (target.inode && !(replace || (target.inode === inode && source.name !== target.name)))
      fail('EEXIST', 'rename', to)
    if (target.inode === inode && source.name === target.name) return
    writable(source.folder, 'rename', from)
    writable(target.folder, 'rename', to)
    if (target.inode && target.inode !== inode) {
      if (target.inode.kind === 'folder') {
        if (inode.kind !== 'folder') fail('EISDIR', 'rename', to)
        if (target.inode.entries.size > 0) fail('ENOTEMPTY', 'rename', to)
      } else if (inode.kind === 'folder') fail('ENOTDIR', 'rename', to)
    }
    change(
      { folder: source.folder, name: source.name, entry: null },
      { folder: target.folder, name: target.name, entry: { name: target.name, inode } },
    )
  }
  const openInode = (path: string): Inode => {
    const inode = must(path, 'open')
    if (inode.kind === 'symlink') fail('ELOOP', 'open', path)
    if (inode.kind === 'folder') fail('EISDIR', 'open', path)
    if (inode.kind === 'other') fail('ENXIO', 'open', path)
    if ((inode.mode & 0o400) === 0) fail('EACCES', 'open', path)
    return inode
  }
  const write = (inode: Inode, bytes: Uint8Array, path: string): void => {
    spend(bytes.byteLength - inode.data.byteLength, 'write', path)
    inode.data = new Uint8Array(bytes)
    inode.mtimeNs = inode.ctimeNs = options.now()
    tellOf(inode)
  }
  const settle = (inode: Inode): void => {
    if (inode.kind === 'file') inode.durable = { data: inode.data, mtimeNs: inode.mtimeNs }
    else journal.settleFolder(inode)
  }
  const reader = (inode: Inode): ReadFile => ({
    stat: () => stat(inode),
    openForWriting: () => inode.writers > 0,
    read: async (buffer, position) => {
      const part = inode.data.subarray(position, position + buffer.byteLength)
      buffer.set(part)
      return part.byteLength
    },
    close: async () => undefined,
  })
  const inPlace = (inode: Inode, path: string): PlaceFile => ({
    size: () => inode.data.byteLength,
    read: (buffer, place) => {
      const part = inode.data.subarray(place, place + buffer.byteLength)
      buffer.set(part)
      return part.byteLength
    },
    write: (bytes, place) => {
      const whole = new Uint8Array(Math.max(inode.data.byteLength, place + bytes.byteLength))
      whole.set(inode.data)
      whole.set(bytes, place)
      write(inode, whole, path)
    },
    truncate: (size) => write(inode, inode.data.subarray(0, size), path),
    sync: () => settle(inode),
  })
  const writer = (inode: Inode, path: string): WriteFile => ({
    write: async (bytes) => write(inode, Buffer.concat([inode.data, bytes]), path),
    sync: async () => settle(inode),
    stat: () => stat(inode),
    close: async () => undefined,
  })
  const fs: FileSystem = {
    lstat: (path) => {
      const found = look(path)
      if (found === 'ENOENT' || found === 'ENOTDIR') return null
      if (typeof found === 'string') return fail(found, 'lstat', path)
      return found.inode === null ? null : stat(found.inode)
    },
    realpath: (path) => (find(path, 'realpath', true).inode === null ? fail('ENOENT', 'realpath', path) : path),
    isShared: () => false,
    list: (path) => {
      const folder = must(path, 'scandir')
      if (folder.kind !== 'folder') fail('ENOTDIR', 'scandir', path)
      if ((folder.mode & 0o400) === 0) fail('EACCES', 'scandir', path)
      return [...folder.entries.values()].map(({ name, inode }) => ({ name, shown: name, kind: inode.kind }))
    },
    mkdir: (path, mode = 0o777) => void put(path, 'mkdir', () => make('folder', mode & 0o755)),
    rmdir: (path) => {
      const { folder, name, inode } = find(path, 'rmdir')
      if (inode === null) fail('ENOENT', 'rmdir', path)
      else if (inode.kind !== 'folder') fail('ENOTDIR', 'rmdir', path)
      else if (inode.entries.size > 0) fail('ENOTEMPTY', 'rmdir', path)
      writable(folder, 'rmdir', path)
      change({ folder, name, entry: null })
    },
    unlink: (path) => {
      const { folder, name, inode } = find(path, 'unlink')
      if (inode === null) fail('ENOENT', 'unlink', path)
      else if (inode.kind === 'folder') fail('EISDIR', 'unlink', path)
      writable(folder, 'unlink', path)
      change({ folder, name, entry: null })
      if (inode) inode.ctimeNs = options.now()
    },
    rename: (from, to) => move(from, to, true),
    renameNew: (from, to) => move(from, to, false),
    exchange: (a, b) => {
      if (!options.canExchange) return false
      const one = find(a, 'exchange')
      const two = find(b, 'exchange')
      const first = one.inode ?? fail('ENOENT', 'exchange', a)
      const second = two.inode ?? fail('ENOENT', 'exchange', b)
      if (contains(first, two.folder) || contains(second, one.folder)) fail('EINVAL', 'exchange', a)
      writable(one.folder, 'exchange', a)
      writable(two.folder, 'exchange', b)
      change(
        { folder: one.folder, name: one.name, entry: { name: one.name, inode: second } },
        { folder: two.folder, name: two.name, entry: { name: two.name, inode: first } },
      )
      return true
    },
    link: (from, to) => {
      const inode = must(from, 'link')
      if (inode.kind !== 'file') fail('EPERM', 'link', from)
      put(to, 'link', () => inode)
    },
    chmod: (path, mode) => {
      const inode = must(path, 'chmod')
      if (inode.kind === 'symlink') fail('ELOOP', 'chmod', path)
      inode.mode = mode
      inode.ctimeNs = options.now()
      tellOf(inode)
    },
    setModified: (path, mtimeNs) => {
      const inode = must(path, 'utimes')
      inode.mtimeNs = mtimeNs
      inode.ctimeNs = options.now()
    },
    readSmall: (path, limit) => {
      if (fs.lstat(path) === null) return null
      const { data } = openInode(path)
      if (data.byteLength > limit) fail('EFBIG', 'read', path)
      return new Uint8Array(data)
    },
    writeSmall: (path, bytes, mode, mtimeNs) => {
      const inode = put(path, 'open', () => make('file', mode & 0o755))
      write(inode, bytes, path)
      if (mtimeNs !== null) inode.mtimeNs = mtimeNs
      return stat(inode)
    },
    open: async (path) => reader(openInode(path)),
    create: async (path, mode = 0o600) =>
      writer(
        put(path, 'open', () => make('file', mode & 0o755)),
        path,
      ),
    copy: async (from, to) => {
      const source = openInode(from)
      write(
        put(to, 'copyfile', () => make('file', source.mode)),
        source.data,
        to,
      )
    },
    openFolder: (path) => {
      const inode = must(path, 'open')
      if (inode.kind === 'symlink') fail('ELOOP', 'open', path)
      if (inode.kind !== 'folder') fail('ENOTDIR', 'open', path)
      const number = String(++handleNumber)
      handles.set(number, inode)
      return {
        path: `/${HANDLES}/${number}/.`,
        stat: () => stat(inode),
        close: () => void handles.delete(number),
      }
    },
    syncFolder: (path) => settle(must(path, 'fsync')),
    syncGroup: async (_path, files) => {
      for (const file of files) {
        const inode = must(file, 'fsync')
        if (inode.kind === 'symlink') fail('ELOOP', 'open', file)
        settle(inode)
      }
    },
  }
  return {
    fs,
    setRoom: (bytes) => void (room = bytes),
    symlink: (target, path) => void put(path, 'symlink', () => make('symlink', 0o777, target)),
    makeFile: (path, bytes) =>
      write(
        put(path, 'open', () => make('file', 0o644)),
        bytes,
        path,
      ),
    writeInPlace: (path, bytes) => {
      const inode = openInode(path)
      if ((inode.mode & 0o200) === 0) fail('EACCES', 'open', path)
      write(inode, bytes, path)
      settle(inode)
    },
    openForWriting: (path) => {
      const inode = openInode(path)
      if ((inode.mode & 0o200) === 0) fail('EACCES', 'open', path)
      inode.writers++
      return {
        write: (bytes) => {
          write(inode, bytes, path)
          settle(inode)
        },
        close: () => void (inode.writers = Math.max(0, inode.writers - 1)),
      }
    },
    watch: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    openInPlace: (path) => (fs.lstat(path) === null ? null : inPlace(openInode(path), path)),
    durably: (act) => {
      const from = inodes.length
      const result = journal.durably(act)
      for (const inode of inodes.slice(from)) settle(inode)
      return result
    },
    powerLoss: (chance) => {
      const lost = journal.powerLoss(chance, inodes)
      handles.clear()
      for (const inode of inodes) inode.writers = 0
      return lost
    },
    tree: (folder) => {
      const all = new Map<string, { bytes: Uint8Array | null; note: string }>()
      const walk = (at: Inode, path: string): void => {
        for (const [, { name, inode }] of [...at.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
          const here = `${path}${name}`
          const note = (inode.mode & 0o100) === 0 ? '' : '*'
          if (inode.kind === 'folder') {
            all.set(`${here}/`, { bytes: null, note: '' })
            walk(inode, `${here}/`)
          } else if (inode.kind === 'symlink')
            all.set(here, { bytes: encoder.encode(`-> ${inode.target}`), note: 'link' })
          else all.set(here, { bytes: inode.data, note })
        }
      }
      const { inode } = find(folder, 'tree')
      if (inode !== null) walk(inode, '')
      return all
    },
  }
}

/** Without empty ones and those that stay where they are. */
function partsOf(path: string): string[] {
  const parts: string[] = []
  for (let start = 0; start <= path.length;) {
    const slash = path.indexOf('/', start)
    const end = slash < 0 ? path.length : slash
    if (end > start && !(end === start + 1 && path[start] === '.')) parts.push(path.slice(start, end))
    start = end + 1
  }
  return parts
}
