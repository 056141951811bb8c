import { lstatSync, readdirSync, type BigIntStats } from 'node:fs'
import { join } from 'node:path'
import { sha256, type Manifest } from '../manifest.ts'

/** What folders hold, each file read once as long as it stays as it is. */
export interface Census {
  /** As `manifestOf`; null if the folder changed while it was read. */
  tree(root: string): Promise<Manifest | null>
  /** The hashes of all files of a folder and of its trash; not of `.blobs/tmp`, where nobody would look. */
  hashes(root: string): Promise<ReadonlySet<string>>
}

/** Younger files are read again: a change may not show in their times. */
const FRESH_MS = 1000n

export function openCensus(): Census {
  const known = new Map<string, { readonly identity: string; readonly hash: string }>()
  const hashOf = async (full: string, stat: BigIntStats): Promise<string> => {
    const identity = `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`
    const before = known.get(full)
    if (before?.identity === identity) return before.hash
    const hash = await sha256(full)
    if (BigInt(Date.now()) - stat.ctimeMs > FRESH_MS) known.set(full, { identity, hash })
    return hash
  }
  const visit = async (root: string, folder: string, found: (path: string, value: string) => void): Promise<void> => {
    const items = readdirSync(join(root, folder), { withFileTypes: true })
    if (items.length === 0 && folder !== '') found(folder, 'empty folder')
    for (const item of items) {
      const path = folder + item.name
      if (path === '.blobs/tmp') continue
      if (item.isDirectory()) await visit(root, `${path}/`, found)
      if (!item.isFile()) continue
      const stat = lstatSync(join(root, path), { bigint: true })
      const hash = await hashOf(join(root, path), stat)
      found(path, `${hash} ${stat.size}${stat.mode & 0o100n ? ' x' : ''}`)
    }
  }
  return {
    tree: async (root) => {
      const tree = new Map<string, string>()
      try {
        await visit(root, '', (path, value) => {
          if (path !== '.blobs' && !path.startsWith('.blobs/')) tree.set(path, value)
        })
        return tree
      } catch (error) {
        if (typeof (error as NodeJS.ErrnoException).code !== 'string') throw error
        return null
      }
    },
    hashes: async (root) => {
      const hashes = new Set<string>()
      await visit(root, '', (path, value) => {
        if (!path.endsWith('/')) hashes.add(value.slice(0, 64))
      })
      return hashes
    },
  }
}
