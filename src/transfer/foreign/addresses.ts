import { join } from 'node:path'
import { isHash } from '../../content/hash.ts'
import type { TransferContext } from '../context.ts'
import { readFile } from '../local-file.ts'
import type { Found } from './items.ts'

/** The files of a folder whose names are the hashes of what is in them. */
export async function* readAddresses(context: TransferContext, folder: string, prefix: string): AsyncGenerator<Found> {
  const { fs, signal } = context
  for (const name of fs
    .list(folder)
    .map(({ shown }) => shown)
    .toSorted()) {
    const path = join(folder, name)
    const stat = fs.lstat(path)
    if (stat?.kind !== 'file' || !isHash(name)) {
      yield { kind: 'skipped', name: path, reason: 'its name is no SHA-256' }
      continue
    }
    yield {
      kind: 'put',
      name: path,
      key: `${prefix}${name}`,
      hash: name,
      size: stat.size,
      bytes: () => readFile(fs, path, signal, () => undefined),
      contentType: 'application/octet-stream',
      meta: {},
    }
  }
}
