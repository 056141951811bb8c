import { closeSync, fsyncSync, openSync } from 'node:fs'

/**
 * Makes an empty file that only its owner may read; false if it is there. It never opens one that is there: closing it again
 * would drop the locks that SQLite holds on it in this process.
 */
export function createPrivate(path: string): boolean {
  try {
    closeSync(openSync(path, 'wx', 0o600))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** Makes the bytes of a file, or the names in a folder, durable. */
export function syncPath(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
