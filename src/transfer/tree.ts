import { join } from 'node:path'
import type { FileStat, FileSystem } from '../platform/ports.ts'
import { isTemporary } from '../platform/temporary.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { keyProblem } from '../store/contract/keys.ts'

/** Something found below a folder. `path` is for opening and for messages; `key` is where it goes. */
export type TreeItem =
  | { readonly kind: 'file'; readonly path: string; readonly key: string; readonly stat: FileStat }
  | { readonly kind: 'folder'; readonly path: string; readonly key: string; readonly stat: FileStat }
  /** Left out on purpose, and why. */
  | { readonly kind: 'skipped'; readonly path: string; readonly reason: string }
  | { readonly kind: 'failed'; readonly path: string; readonly error: unknown }

/**
 * Walks a folder: its files, and its empty folders (whose keys end with `/`). `keyPrefix` ends with `/` or is ''. Links are not followed,
 * what cannot be read or named is told and does not stop the walk.
 */
export function* walkTree(fs: FileSystem, root: string, keyPrefix: string): Generator<TreeItem> {
  const stat = fs.lstat(root)
  if (stat) yield* walk(fs, root, keyPrefix, stat)
}

function* walk(fs: FileSystem, folder: string, prefix: string, stat: FileStat): Generator<TreeItem> {
  let items
  try {
    items = fs.list(folder).sort((a, b) => (a.shown < b.shown ? -1 : 1))
  } catch (error) {
    yield { kind: 'failed', path: folder, error }
    return
  }
  if (items.length === 0 && prefix !== '') yield { kind: 'folder', path: folder, key: prefix, stat }
  const taken = new Set<string>()
  for (const item of items) {
    const path = join(folder, item.shown)
    if (isTemporary(item.shown)) continue
    if (item.shown === '.blobs' && fs.lstat(join(path, 'root.json'))) {
      yield { kind: 'skipped', path, reason: 'it belongs to `blobs sync`' }
      continue
    }
    const name = item.name?.normalize('NFC') ?? null
    const problem = name === null ? 'its name is not UTF-8' : nameProblem(prefix + name, name, taken)
    if (name === null || problem !== null) {
      yield {
        kind: 'failed',
        path,
        error: new BlobsError('InvalidKey', `${path} cannot be a key: ${problem ?? ''}`, { hint: 'rename it' }),
      }
      continue
    }
    yield* one(fs, path, prefix + name)
  }
}

function* one(fs: FileSystem, path: string, key: string): Generator<TreeItem> {
  const stat = look(fs, path)
  if (stat === null) return
  if (stat instanceof Error) yield { kind: 'failed', path, error: stat }
  else if (stat.kind === 'file') yield { kind: 'file', path, key, stat }
  else if (stat.kind === 'folder') yield* walk(fs, path, `${key}/`, stat)
  else
    yield {
      kind: 'skipped',
      path,
      reason: stat.kind === 'symlink' ? 'symbolic links are not followed' : 'it is neither a file nor a folder',
    }
}

/** Null: it went away since the folder was read. */
function look(fs: FileSystem, path: string): FileStat | Error | null {
  try {
    return fs.lstat(path)
  } catch (error) {
    return error as Error
  }
}

function nameProblem(key: string, name: string, taken: Set<string>): string | null {
  if (taken.has(name)) return 'another name in its folder is the same in Unicode normal form C'
  taken.add(name)
  return keyProblem(key)
}
