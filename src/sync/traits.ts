import { join } from 'node:path'
import type { FileSystem } from '../platform/ports.ts'
import type { NameTraits } from './core/names.ts'

/** What the disk of a synced folder makes of names, seen by its own `.blobs`. */
export function traitsOf(fs: FileSystem, root: string, platform: string): NameTraits {
  const own = fs.lstat(join(root, '.blobs'))
  const shouted = fs.lstat(join(root, '.BLOBS'))
  const caseBlind = own !== null && shouted !== null && own.ino === shouted.ino && own.dev === shouted.dev
  return { caseBlind, windows: platform === 'win32' }
}
