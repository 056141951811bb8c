import { basename, dirname, join } from 'node:path'
import type { FileSystem, Ids } from './ports.ts'

/** Of a file, or of a path that ends with it. */
const TEMPORARY = /\.[0-9a-f]{32}\.blobs-tmp$/

/** A new path beside `path` for bytes that get its name later: hidden, and within the 255 bytes that a name may have. A sync leaves it alone. */
export function temporaryBeside(path: string, ids: Ids): string {
  let stem = basename(path)
  while (Buffer.byteLength(stem) > 200) stem = stem.slice(0, -1)
  return join(dirname(path), `.${stem}.${ids.next()}.blobs-tmp`)
}

/** True for what `temporaryBeside` makes. */
export function isTemporary(path: string): boolean {
  return path.endsWith('.blobs-tmp') && TEMPORARY.test(path)
}

/** Never throws: for a temporary file after an error, which is the one to tell. */
export function discardTemporary(fs: FileSystem, path: string): void {
  try {
    fs.unlink(path)
  } catch {
    // It was never made, is gone already, or the disk that just failed fails again.
  }
}
