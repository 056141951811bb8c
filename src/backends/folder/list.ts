import { join } from 'node:path'
import type { FileSystem, FolderItem } from '../../platform/ports.ts'
import type { StoredObject } from '../../store/objects/objects.ts'
import { codeOf } from './failures.ts'

const BATCH = 1000

interface Range {
  /** '' or ends with a slash. */
  readonly prefix: string
  readonly after: string
}

/** The files below `prefix`, behind `after`, in the order of their names' bytes. */
export async function* listBelow(
  fs: FileSystem,
  folder: string,
  range: Range,
): AsyncGenerator<readonly StoredObject[]> {
  let batch: StoredObject[] = []
  for (const found of walk(fs, folder, range)) {
    batch.push(found)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

function* walk(fs: FileSystem, folder: string, { prefix, after }: Range): Generator<StoredObject> {
  const items = listed(fs, join(folder, prefix))
    .map(({ name, kind }) => prefix + name + (kind === 'folder' ? '/' : ''))
    // Of a folder something may sort behind what the folder itself sorts before.
    .filter((name) => name > after || (name.endsWith('/') && after.startsWith(name)))
    .sort()
  for (const name of items) {
    if (name.endsWith('/')) {
      yield* walk(fs, folder, { prefix: name, after })
      continue
    }
    const stat = fs.lstat(join(folder, name))
    if (stat !== null) yield { name, size: stat.size, modified: Number(stat.mtimeNs / 1_000_000n) }
  }
}

function listed(fs: FileSystem, path: string): readonly FolderItem[] {
  try {
    return fs.list(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}
