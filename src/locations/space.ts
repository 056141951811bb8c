import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'

/** What the embedded store takes on its disk, by part, and what is left there. Bytes. */
export async function storeSpace(
  data: string,
): Promise<{ readonly parts: Record<string, number>; readonly free: number }> {
  const [log, packs, views, { bavail, bsize }] = await Promise.all([
    sumOf(data, (name) => name.startsWith('store.db')),
    sumOf(join(data, 'packs')),
    sumOf(join(data, 'views')),
    statfs(data),
  ])
  return { parts: { log, packs, views }, free: bavail * bsize }
}

/** Sizes of the files in a folder. One that vanishes meanwhile, or a folder that is not there, has none. */
async function sumOf(folder: string, belongs: (name: string) => boolean = () => true): Promise<number> {
  const names = await readdir(folder).catch(none)
  const sizes = await Promise.all(
    names.filter(belongs).map(async (name) => (await stat(join(folder, name)).catch(() => null))?.size ?? 0),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function none(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return []
  throw error
}
