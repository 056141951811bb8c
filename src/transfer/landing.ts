import { dirname, join } from 'node:path'
import type { FileSystem, Ids } from '../platform/ports.ts'
import { discardTemporary, temporaryBeside } from '../platform/temporary.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Meta } from '../store/contract/types.ts'
import { isExecutable, mtimeOf } from './metadata.ts'

/** The names of a folder of this disk that a key leads to; the reason in words when it leads out of it or to no file. */
export function segmentsOf(relativeKey: string): readonly string[] | string {
  const segments = relativeKey.replace(/\/$/, '').split('/')
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..')
      return `${JSON.stringify(segment)} in it does not name a file`
    if (segment.includes('\0')) return 'it holds a NUL character'
    // A pairing that comes out of a bucket would have `blobs sync` send the token of this folder elsewhere.
    if (segment.toLowerCase() === '.blobs') return 'a folder of that name belongs to `blobs sync`'
    if (process.platform === 'win32' && /[\\:]/.test(segment)) return 'this disk cannot hold the name'
    if (Buffer.byteLength(segment) > 255) return 'a name in it is longer than this disk allows'
  }
  return segments
}

/** Makes the folders below `root` that are missing. Throws `Refused` where a link or a file stands: nothing is ever written through one. */
export function openFolders(fs: FileSystem, root: string): (segments: readonly string[]) => string {
  const known = new Set<string>()
  return (segments) => {
    let path = root
    for (const segment of segments) {
      path = join(path, segment)
      if (known.has(path)) continue
      makeFolder(fs, path)
      known.add(path)
    }
    return path
  }
}

function makeFolder(fs: FileSystem, path: string): void {
  const stat = fs.lstat(path)
  if (stat?.kind === 'folder') return
  if (stat) {
    const what = stat.kind === 'symlink' ? 'a symbolic link' : 'a file'
    throw new BlobsError('Refused', `${path} is ${what}, so nothing can be put into a folder of that name`, {
      hint: 'move it away, or choose another destination',
    })
  }
  try {
    fs.mkdir(path)
  } catch (error) {
    // Another transfer made it meanwhile.
    if (fs.lstat(path)?.kind !== 'folder') throw error
  }
}

/** What the file of a blob looks like. */
export function attributesOf(meta: Meta): { mode: number; mtimeNs: bigint | null } {
  return { mode: (isExecutable(meta) ? 0o777 : 0o666) & ~process.umask(), mtimeNs: mtimeOf(meta) }
}

interface Landed {
  readonly path: string
  readonly error?: unknown
}
export interface SmallFile {
  readonly path: string
  readonly bytes: Uint8Array
  readonly meta: Meta
}

/** Puts many small files in their places, with few flushes of the disk. */
export interface Landing {
  /**
   * All are written beside their places and then take their names; what replaces a file is made durable before. Tells of each whether
   * it landed; one that failed left its place as it was.
   */
  land(files: readonly SmallFile[]): Promise<Landed[]>
  /** Resolves when everything that landed is durable. */
  settle(): Promise<void>
}

/** Paths whose durability is still owed before they are made durable in between. */
const OWED = 50_000

/** `root` is any folder on the file system of all the files. */
export function openLanding(fs: FileSystem, ids: Ids, root: string): Landing {
  let owed: string[] = []
  const settle = async (): Promise<void> => {
    const paths = owed
    owed = []
    if (paths.length > 0) await fs.syncGroup(root, [...paths, ...new Set(paths.map((path) => dirname(path)))])
  }
  const land = async (files: readonly SmallFile[]): Promise<Landed[]> => {
    const staged: Staged[] = []
    const results: Landed[] = []
    try {
      for (const file of files) {
        const one = await stage(fs, ids, file)
        if ('temporary' in one) staged.push(one)
        else results.push(one)
      }
      const replacing = staged.filter((file) => file.replaces)
      if (replacing.length > 0) {
        await fs.syncGroup(
          root,
          replacing.map((file) => file.temporary),
        )
      }
      for (const file of staged.splice(0)) results.push(take(fs, file))
    } finally {
      for (const file of staged) discardTemporary(fs, file.temporary)
    }
    for (const { path, error } of results) if (error === undefined) owed.push(path)
    if (owed.length >= OWED) await settle()
    return results
  }
  return { land, settle }
}

interface Staged {
  readonly path: string
  readonly temporary: string
  readonly replaces: boolean
}

async function stage(fs: FileSystem, ids: Ids, file: SmallFile): Promise<Staged | Landed> {
  const { path } = file
  try {
    const replaces = refuseFolder(fs, path)
    const temporary = temporaryBeside(path, ids)
    await writeNew(fs, temporary, file)
    return { path, temporary, replaces }
  } catch (error) {
    if (concernsAll(error)) throw withPath(error, path)
    return { path, error: withPath(error, path) }
  }
}

function take(fs: FileSystem, file: { path: string; temporary: string }): Landed {
  try {
    fs.rename(file.temporary, file.path)
    return { path: file.path }
  } catch (error) {
    discardTemporary(fs, file.temporary)
    return { path: file.path, error: withPath(error, file.path) }
  }
}

async function writeNew(fs: FileSystem, path: string, file: SmallFile): Promise<void> {
  const { mode, mtimeNs } = attributesOf(file.meta)
  const handle = await fs.create(path, mode)
  try {
    await handle.write(file.bytes)
    if (mtimeNs !== null) fs.setModified(path, mtimeNs)
  } catch (error) {
    discardTemporary(fs, path)
    throw error
  } finally {
    await handle.close()
  }
}

/** Whether something is there to be replaced. Throws `Refused` when it is a folder: a file never replaces one. */
export function refuseFolder(fs: FileSystem, path: string): boolean {
  const kind = fs.lstat(path)?.kind
  if (kind !== 'folder') return kind !== undefined
  throw new BlobsError('Refused', `${path} is a folder, so no file can take its name`, {
    hint: 'move it away, or choose another destination',
  })
}

/** True for failures of the disk that the next file would meet as well. */
export function concernsAll(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')
}

/** The same error, naming the file that was meant instead of the temporary one. */
export function withPath(error: unknown, path: string): unknown {
  if (error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number')
    Object.assign(error, { path })
  return error
}
