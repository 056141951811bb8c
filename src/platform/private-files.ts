import { closeSync, fsyncSync, linkSync, openSync, unlinkSync, writeFileSync } from 'node:fs'

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

/**
 * Writes a file that only its owner may read, durable but for its name, unless it is there: a hard link never replaces, so of several that
 * make it at once one wins, and all must read the winner's. `temporary`: a free name in the same folder. Errno errors.
 */
export function publishOnce(path: string, text: string, temporary: string): void {
  const file = openSync(temporary, 'wx', 0o600)
  try {
    writeFileSync(file, text)
    fsyncSync(file)
    linkSync(temporary, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    closeSync(file)
    unlinkSync(temporary)
  }
}
