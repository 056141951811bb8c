import { createHash } from 'node:crypto'
import { createReadStream, lstatSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

// Up to here reading at once is many times faster than streaming.
const SMALL = 1024 * 1024

/** What is in a folder, for comparison: `path → file SHA-256 SIZE [x]`, or `empty folder`; links and other things are left out, as a sync does (a folder of nothing else is not empty). */
export type Manifest = ReadonlyMap<string, string>

/** Reads all of it. The sync's own folder `.blobs` at the root is left out. */
export async function manifestOf(folder: string): Promise<Manifest> {
  const found = new Map<string, string>()
  for (const path of pathsOf(folder, '')) {
    const full = join(folder, path)
    if (path.endsWith('/')) found.set(path, 'empty folder')
    else {
      const stat = lstatSync(full)
      const hash =
        stat.size <= SMALL ? createHash('sha256').update(readFileSync(full)).digest('hex') : await sha256(full)
      found.set(path, `${hash} ${stat.size}${stat.mode & 0o100 ? ' x' : ''}`)
    }
  }
  return found
}

function* pathsOf(folder: string, below: string): Generator<string> {
  const items = readdirSync(join(folder, below), { withFileTypes: true })
  if (items.length === 0 && below !== '') yield below
  for (const item of items) {
    if (below === '' && item.name === '.blobs') continue
    if (item.isFile()) yield below + item.name
    else if (item.isDirectory()) yield* pathsOf(folder, `${below}${item.name}/`)
  }
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash)
  return hash.digest('hex')
}

/** One line a difference, at most `limit`; empty when both hold the same. */
export function differences(a: Manifest, b: Manifest, limit = 20): string[] {
  const lines: string[] = []
  for (const path of new Set([...a.keys(), ...b.keys()])) {
    if (a.get(path) === b.get(path)) continue
    lines.push(`${path}: ${a.get(path) ?? 'nothing'} ≠ ${b.get(path) ?? 'nothing'}`)
    if (lines.length === limit) return lines
  }
  return lines
}
