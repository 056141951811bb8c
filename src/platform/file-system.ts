import * as fs from 'node:fs'
import { open as openAsync, copyFile, type FileHandle } from 'node:fs/promises'
import { openFlusher } from './flusher.ts'
import { native, systemError } from './native.ts'
import type { FileStat, FileSystem, FolderItem, OpenFolder, ReadFile, WriteFile } from './ports.ts'

const { O_RDONLY, O_NOFOLLOW = 0, O_DIRECTORY = 0, O_NONBLOCK = 0 } = fs.constants
const LINUX = process.platform === 'linux'
const O_PATH = 0o10000000
// Up to here a call on the spot costs less than its way through the thread pool.
const SMALL = 64 * 1024
// Up to here single fsyncs cost less than making a whole file system durable, with what others wrote to it.
const FEW = 32
// As many as the thread pool does at once: they share the journal's commits.
const SYNCS_AT_ONCE = 4

// Their numbers in Linux: NFS, SMB, CIFS, SMB2, FUSE, 9P, AFS, Coda, Ceph.
const SHARED_TYPES = new Set([
  0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x5346414f, 0x73757245, 0x00c36400,
])

/** The disk of this machine. Opens nothing and loads nothing until it is used. */
export function systemFileSystem(): FileSystem {
  return {
    lstat,
    realpath: (path) => fs.realpathSync.native(path),
    isShared: (path) => LINUX && SHARED_TYPES.has(fs.statfsSync(path).type),
    list,
    mkdir: (path, mode) => void fs.mkdirSync(path, mode),
    rmdir: (path) => fs.rmdirSync(path),
    unlink: (path) => fs.unlinkSync(path),
    rename: (from, to) => fs.renameSync(from, to),
    renameNew,
    exchange: (a, b) => native().exchange?.(a, b) ?? false,
    link: (from, to) => fs.linkSync(from, to),
    chmod,
    setModified,
    readSmall,
    writeSmall,
    open: async (path) => openFile(path),
    create: async (path, mode = 0o600) => createFile(path, mode),
    copy,
    openFolder,
    syncFolder: (path) => syncNow(path),
    syncGroup,
  }
}

function lstat(path: string): FileStat | null {
  try {
    const stat = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
    return stat ? toStat(stat) : null
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return null
    throw error
  }
}

const TYPE = 0o170000n
const FILE = 0o100000n
const FOLDER = 0o040000n
const SYMLINK = 0o120000n

function toStat(stat: fs.BigIntStats): FileStat {
  const type = stat.mode & TYPE
  const kind = type === FILE ? 'file' : type === FOLDER ? 'folder' : type === SYMLINK ? 'symlink' : 'other'
  return {
    kind,
    size: Number(stat.size),
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    ino: stat.ino,
    dev: stat.dev,
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
  }
}

function list(path: string): FolderItem[] {
  const items = fs.readdirSync(path, { withFileTypes: true })
  // Only a name with a replacement character can be one that was not UTF-8; reading names as bytes costs twice the time.
  if (items.some((item) => item.name.includes('\uFFFD'))) return listBytes(path)
  return items.map((item) => ({ name: item.name, shown: item.name, kind: kindOf(item) }))
}

function listBytes(path: string): FolderItem[] {
  return fs.readdirSync(path, { withFileTypes: true, encoding: 'buffer' }).map((item) => {
    const shown = item.name.toString('utf8')
    const exact = Buffer.from(shown, 'utf8').equals(item.name)
    return { name: exact ? shown : null, shown, kind: kindOf(item) }
  })
}

function kindOf(item: fs.Dirent<string> | fs.Dirent<Buffer>): FileStat['kind'] {
  if (item.isFile()) return 'file'
  if (item.isDirectory()) return 'folder'
  return item.isSymbolicLink() ? 'symlink' : 'other'
}

function renameNew(from: string, to: string): void {
  if (native().renameNew?.(from, to)) return
  if (fs.lstatSync(from).isDirectory()) {
    // A folder's rename replaces nothing but an empty folder, so the gap after this look can cost no bytes.
    if (lstat(to)) throw systemError('EEXIST', 'rename', from, to)
    fs.renameSync(from, to)
    return
  }
  fs.linkSync(from, to)
  fs.unlinkSync(from)
}

function chmod(path: string, mode: number): void {
  if (!LINUX) {
    if (process.platform === 'darwin') fs.lchmodSync(path, mode)
    else fs.chmodSync(path, mode)
    return
  }
  const descriptor = fs.openSync(path, O_PATH | O_NOFOLLOW)
  try {
    if (fs.fstatSync(descriptor).isSymbolicLink()) throw systemError('ELOOP', 'chmod', path)
    fs.chmodSync(`/proc/self/fd/${descriptor}`, mode)
  } finally {
    fs.closeSync(descriptor)
  }
}

function setModified(path: string, mtimeNs: bigint): void {
  const exact = native().setModified
  if (exact) return exact(path, mtimeNs)
  const stat = fs.lstatSync(path)
  fs.lutimesSync(path, stat.atimeMs / 1000, Number(mtimeNs) / 1e9)
}

function readSmall(path: string, limit: number): Uint8Array | null {
  let descriptor: number
  try {
    descriptor = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw error
  }
  try {
    const stat = fs.fstatSync(descriptor)
    if (!stat.isFile()) throw systemError(stat.isDirectory() ? 'EISDIR' : 'ENXIO', 'open', path)
    if (stat.size > limit) throw systemError('EFBIG', 'read', path)
    return fs.readFileSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

function writeSmall(path: string, bytes: Uint8Array, mode: number, mtimeNs: bigint | null): FileStat {
  const descriptor = fs.openSync(path, 'wx', mode)
  try {
    for (let done = 0; done < bytes.byteLength;) done += fs.writeSync(descriptor, bytes, done)
    if (mtimeNs !== null) setOpenModified(descriptor, path, mtimeNs)
    return toStat(fs.fstatSync(descriptor, { bigint: true }))
  } finally {
    fs.closeSync(descriptor)
  }
}

/** By the descriptor, which saves the way there. */
function setOpenModified(descriptor: number, path: string, mtimeNs: bigint): void {
  const exact = native().setOpenModified
  if (exact) exact(descriptor, mtimeNs)
  else setModified(path, mtimeNs)
}

function openFile(path: string): ReadFile {
  // Non-blocking, so that a pipe that took the file's place cannot hold us; for files it means nothing.
  const descriptor = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  const opened = toStat(fs.fstatSync(descriptor, { bigint: true }))
  if (opened.kind !== 'file') {
    fs.closeSync(descriptor)
    throw systemError(opened.kind === 'folder' ? 'EISDIR' : 'ENXIO', 'open', path)
  }
  // Until something is read, what it was when it was opened says no less than a second look.
  let first: FileStat | null = opened
  return {
    stat: () => {
      const known = first
      first = null
      return known ?? toStat(fs.fstatSync(descriptor, { bigint: true }))
    },
    openForWriting: () => native().hasWriter?.(descriptor) ?? null,
    read: async (buffer, position) => {
      first = null
      if (buffer.byteLength <= SMALL) return fs.readSync(descriptor, buffer, 0, buffer.byteLength, position)
      return readLater(descriptor, buffer, position)
    },
    close: async () => fs.closeSync(descriptor),
  }
}

function readLater(descriptor: number, buffer: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(descriptor, buffer, 0, buffer.byteLength, position, (error, count) => {
      if (error) reject(error)
      else resolve(count)
    })
  })
}

function createFile(path: string, mode: number): WriteFile {
  const descriptor = fs.openSync(path, 'wx', mode)
  const flusher = openFlusher(() => flushLater(descriptor))
  return {
    write: async (bytes) => {
      let done = 0
      while (done < bytes.byteLength) {
        const rest = done === 0 ? bytes : bytes.subarray(done)
        done += rest.byteLength <= SMALL ? fs.writeSync(descriptor, rest) : await writeLater(descriptor, rest)
      }
      flusher.wrote(bytes.byteLength)
    },
    sync: async () => {
      await flusher.settled()
      await syncLater(descriptor)
    },
    stat: () => toStat(fs.fstatSync(descriptor, { bigint: true })),
    close: async () => {
      try {
        await flusher.settled()
      } finally {
        fs.closeSync(descriptor)
      }
    },
  }
}

function writeLater(descriptor: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(descriptor, bytes, (error, count) => {
      if (error) reject(error)
      else resolve(count)
    })
  })
}

function flushLater(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fdatasync(descriptor, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}

function syncLater(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fsync(descriptor, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}

async function copy(from: string, to: string): Promise<void> {
  const source = openHandle(from)
  try {
    await copyFile(
      LINUX ? `/proc/self/fd/${source}` : from,
      to,
      fs.constants.COPYFILE_EXCL | fs.constants.COPYFILE_FICLONE,
    )
  } finally {
    fs.closeSync(source)
  }
}

function openHandle(path: string): number {
  return fs.openSync(path, O_RDONLY | O_NOFOLLOW)
}

function openFolder(path: string): OpenFolder {
  const descriptor = fs.openSync(path, (LINUX ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW)
  return {
    // The dot: so that the path itself is a folder, and not a link to one.
    path: LINUX ? `/proc/self/fd/${descriptor}/.` : path,
    stat: () => toStat(fs.fstatSync(descriptor, { bigint: true })),
    close: () => fs.closeSync(descriptor),
  }
}

function syncNow(path: string): void {
  const descriptor = fs.openSync(path, O_RDONLY)
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

async function syncGroup(path: string, files: readonly string[]): Promise<void> {
  const whole = files.length > FEW ? native().syncFileSystem : null
  const handles: FileHandle[] = []
  try {
    if (whole) {
      handles.push(await openAsync(path, O_RDONLY))
      for (const handle of handles) await whole(handle.fd)
      return
    }
    for (let i = 0; i < files.length; i += SYNCS_AT_ONCE) {
      await Promise.all(files.slice(i, i + SYNCS_AT_ONCE).map(syncOne))
    }
  } finally {
    for (const handle of handles) await handle.close()
  }
}

async function syncOne(path: string): Promise<void> {
  const handle = await openAsync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
