import { basename, dirname, join } from 'node:path'
import type { FileSystem, Ids } from '../platform/ports.ts'
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

export interface Landed {
  readonly path: string
  readonly error?: unknown
}
export interface SmallFile {
  readonly path: string
  readonly bytes: Uint8Array
  readonly meta: Meta
}

/**
 * Replaces many small files: all are written beside their places, made durable together, and only then take their names. Tells of each
 * whether it landed; one that failed left its place as it was. `root` is any folder on the same file system.
 */
export async function landTogether(
  fs: FileSystem,
  ids: Ids,
  root: string,
  files: readonly SmallFile[],
): Promise<Landed[]> {
  const staged: { path: string; temporary: string }[] = []
  const results: Landed[] = []
  try {
    for (const file of files) {
      try {
        refuseFolder(fs, file.path)
        const temporary = join(dirname(file.path), temporaryName(basename(file.path), ids.next()))
        await writeNew(fs, temporary, file)
        staged.push({ path: file.path, temporary })
      } catch (error) {
        if (concernsAll(error)) throw withPath(error, file.path)
        results.push({ path: file.path, error: withPath(error, file.path) })
      }
    }
    await fs.syncGroup(
      root,
      staged.map((file) => file.temporary),
    )
    for (const file of staged.splice(0)) results.push(take(fs, file))
  } finally {
    for (const file of staged) remove(fs, file.temporary)
  }
  return results
}

function take(fs: FileSystem, file: { path: string; temporary: string }): Landed {
  try {
    fs.rename(file.temporary, file.path)
    return { path: file.path }
  } catch (error) {
    remove(fs, file.temporary)
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
    remove(fs, path)
    throw error
  } finally {
    await handle.close()
  }
}

/** Throws `Refused` when a folder has the name: a file never replaces one. */
export function refuseFolder(fs: FileSystem, path: string): void {
  if (fs.lstat(path)?.kind !== 'folder') return
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

function temporaryName(name: string, id: string): string {
  let stem = name
  while (Buffer.byteLength(stem) > 200) stem = stem.slice(0, -1)
  return `.${stem}.${id}.blobs-tmp`
}

function remove(fs: FileSystem, path: string): void {
  try {
    fs.unlink(path)
  } catch {
    // Gone already, or the disk fails again: the first error is the one to tell.
  }
}
