/** Folders and files to work on. */
import { randomFillSync } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export const MIB = 1024 ** 2
export const GIB = 1024 ** 3
const FILES_IN_FOLDER = 100

/** `files` files of random bytes, a hundred in a folder. */
export function makeTree(root: string, files: number, bytes: number): void {
  const buffer = Buffer.alloc(bytes)
  for (let folder = 0; folder * FILES_IN_FOLDER < files; folder++) {
    const path = join(root, `folder-${folder}`)
    mkdirSync(path, { recursive: true })
    for (let file = 0; file < Math.min(FILES_IN_FOLDER, files - folder * FILES_IN_FOLDER); file++)
      writeFileSync(join(path, `file-${file}.bin`), randomFillSync(buffer))
  }
}

/** A file of random bytes. */
export function makeFile(path: string, size: number): void {
  const file = openSync(path, 'w')
  const buffer = Buffer.alloc(Math.min(size, 16 * MIB))
  for (let written = 0; written < size; written += buffer.length) {
    writeSync(file, randomFillSync(buffer), 0, Math.min(buffer.length, size - written))
  }
  fsyncSync(file)
  closeSync(file)
}

/** Files of a tree as `makeTree` makes it that are there under their own names. */
export function countFiles(root: string): number {
  let count = 0
  for (const folder of namesIn(root)) {
    if (folder.startsWith('folder-')) {
      for (const name of namesIn(join(root, folder))) if (name.startsWith('file-')) count++
    }
  }
  return count
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

export function remove(path: string): void {
  rmSync(path, { recursive: true, force: true })
}
