import { join } from 'node:path'
import type { FileSystem } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Pairing } from '../api.ts'

/** The agent's own folder inside a synced folder; never synced. */
export const OWN_FOLDER = '.blobs'
const MARKER = 'root.json'
const FORMAT = 1
const LIMIT = 64 * 1024

/** A synced folder that is proved to be itself: the marker is there with its id, on the device and inode it was seen on. */
export interface Root {
  /** Absolute, without links. */
  readonly path: string
  readonly id: string
  readonly dev: bigint
  readonly ino: bigint
}

/** Why a folder is not the root it should be: gone, unmounted or unreadable; or something else stands at its path. */
type RootProblem = 'root-missing' | 'other-root'

/** Null if the folder has no marker. Throws `Refused` if it has one that is damaged, or of a higher format. */
export function readMarker(fs: FileSystem, folder: string): Pairing | null {
  const own = join(folder, OWN_FOLDER)
  const path = join(own, MARKER)
  if (fs.lstat(own)?.kind === 'symlink') throw damaged(own, 'it is a link')
  const bytes = fs.readSmall(path, LIMIT)
  return bytes ? parse(path, Buffer.from(bytes).toString('utf8')) : null
}

function parse(path: string, text: string): Pairing {
  let value: Record<string, unknown>
  try {
    value = Object(JSON.parse(text)) as Record<string, unknown>
  } catch {
    throw damaged(path, 'it is not JSON')
  }
  const { format, id, location, bucket, prefix, created } = value
  if (typeof format === 'number' && format > FORMAT) {
    throw new BlobsError('Refused', `${path} is of format ${format}; this version of blobs knows ${FORMAT}`, {
      hint: 'update blobs on this machine',
    })
  }
  if (format !== FORMAT) throw damaged(path, 'it has no format number')
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) throw damaged(path, 'its id is not 32 hex digits')
  for (const [name, field] of Object.entries({ location, bucket, prefix, created })) {
    if (typeof field !== 'string') throw damaged(path, `it has no ${name}`)
  }
  const { only, not } = value
  for (const [name, folders] of Object.entries({ only, not })) {
    if (folders !== undefined && !isFolders(folders)) throw damaged(path, `its ${name} is no list of folders`)
  }
  const selection = { ...(only === undefined ? {} : { only }), ...(not === undefined ? {} : { not }) }
  return { format: FORMAT, id, location, bucket, prefix, created, ...selection } as Pairing
}

function isFolders(value: unknown): boolean {
  return Array.isArray(value) && value.every((folder) => typeof folder === 'string' && folder !== '')
}

function damaged(path: string, why: string): BlobsError {
  return new BlobsError('Refused', `${path} cannot be used: ${why}`, {
    hint: `no file was touched; remove ${path} and pair the folder again, which deletes nothing`,
  })
}

/** Makes `.blobs/` and writes the marker, atomically and durably. Replaces one that is there. */
export async function writeMarker(fs: FileSystem, folder: string, pairing: Pairing): Promise<void> {
  const own = join(folder, OWN_FOLDER)
  if (fs.lstat(own) === null) fs.mkdir(own, 0o700)
  if (fs.lstat(own)?.kind !== 'folder') throw damaged(own, 'it is not a folder')
  await hideFromGit(fs, own)
  // Named by the id: whoever left it behind was writing this very marker.
  const temporary = join(own, `${MARKER}.${pairing.id}`)
  if (fs.lstat(temporary)) fs.unlink(temporary)
  const file = await fs.create(temporary, 0o644)
  try {
    await file.write(Buffer.from(`${JSON.stringify(pairing, null, 2)}\n`))
    await file.sync()
  } finally {
    await file.close()
  }
  fs.rename(temporary, join(own, MARKER))
  fs.syncFolder(own)
  fs.syncFolder(folder)
}

/** A synced folder may be a checkout: what is in `.blobs/` is no work of its user's. */
async function hideFromGit(fs: FileSystem, own: string): Promise<void> {
  const path = join(own, '.gitignore')
  if (fs.lstat(path) !== null) return
  const file = await fs.create(path, 0o644)
  try {
    await file.write(Buffer.from('*\n'))
  } finally {
    await file.close()
  }
}

/** The root at a folder that carries this id. Throws `Refused` as `checkRoot` does. */
export function openRoot(fs: FileSystem, folder: string, id: string): Root {
  const path = attempt(folder, () => fs.realpath(folder))
  const stat = attempt(path, () => fs.lstat(path))
  if (stat?.kind !== 'folder') throw problem('root-missing', path, 'it is not a folder')
  const root = { path, id, dev: stat.dev, ino: stat.ino }
  checkRoot(fs, root)
  return root
}

/** Throws `Refused`, whose `cause` is an `Error` with `code: RootProblem`, unless the root is still there, the same, and can be listed. */
export function checkRoot(fs: FileSystem, root: Root): void {
  checkRootStands(fs, root)
  const marker = attempt(root.path, () => readMarker(fs, root.path))
  if (marker?.id !== root.id) throw problem('other-root', root.path, 'its marker is that of another synced folder')
  attempt(root.path, () => fs.list(root.path))
}

/** The cheap half of `checkRoot`, for every time that something is about to be called absent: two looks, nothing read. */
export function checkRootStands(fs: FileSystem, root: Root): void {
  const stat = attempt(root.path, () => fs.lstat(root.path))
  if (stat?.kind !== 'folder') throw problem('root-missing', root.path, 'it is not there')
  const marker = attempt(root.path, () => fs.lstat(join(root.path, OWN_FOLDER, MARKER)))
  if (marker?.kind !== 'file') throw problem('root-missing', root.path, `it has no ${OWN_FOLDER}/${MARKER}`)
  if (stat.dev === root.dev && stat.ino === root.ino) return
  throw problem('other-root', root.path, 'another folder stands at its path')
}

function attempt<T>(path: string, look: () => T): T {
  try {
    return look()
  } catch (error) {
    if (error instanceof BlobsError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (typeof code !== 'string') throw error
    throw problem('root-missing', path, code === 'ENOENT' ? 'it is not there' : `the system says ${code}`)
  }
}

function problem(code: RootProblem, path: string, why: string): BlobsError {
  const hint =
    code === 'root-missing'
      ? 'nothing was deleted anywhere; is the disk mounted, and may this user read the folder?'
      : 'nothing was deleted anywhere; bring the folder back, or pair the one that is there now'
  return new BlobsError('Refused', `${path} is not the synced folder it was: ${why}`, {
    hint,
    cause: Object.assign(new Error(why), { code }),
  })
}
