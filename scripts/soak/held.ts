import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { hashOf, type Ledger } from './ledger.ts'

/** All bytes of an open file, whatever its name is by now. */
export function readHeld(file: number): Buffer {
  const bytes = Buffer.allocUnsafe(fstatSync(file).size)
  let read = 0
  while (read < bytes.length) {
    const count = readSync(file, bytes, read, bytes.length - read, read)
    if (count === 0) break
    read += count
  }
  return bytes.subarray(0, read)
}

/**
 * Does what may take away the last name of the file at `path`, and tells the ledger if it did. The file is held open meanwhile, so that it
 * is this very one that is judged: an agent that replaces it in between only moves it elsewhere, and then nothing was destroyed.
 */
export function taking(ledger: Ledger, writer: string, path: string, act: () => void): void {
  const file = openExisting(path)
  if (file === null) return act()
  try {
    const before = fstatSync(file).nlink
    act()
    if (before > 0 && fstatSync(file).nlink === 0) ledger.destroyed(writer, hashOf(readHeld(file)))
  } finally {
    closeSync(file)
  }
}

function openExisting(path: string): number | null {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    if (fstatSync(file).isFile()) return file
    closeSync(file)
    return null
  } catch {
    return null
  }
}
