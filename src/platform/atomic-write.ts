import { dirname } from 'node:path'
import type { FileSystem, Ids } from './ports.ts'
import { discardTemporary, temporaryBeside } from './temporary.ts'
import { writeStream } from './write-stream.ts'

export interface AtomicWriteOptions {
  /** Permission bits; 0644 less the umask of the process unless given. */
  readonly mode?: number
  readonly mtimeNs?: bigint | null
  /** Bytes that are expected, roughly; few unless given. */
  readonly size?: number
}

const FEW = 16 * 1024

/**
 * Writes a stream to a path: its old bytes stay until the last byte of the new ones is durable, then the name changes at once. If the
 * source or the disk fails, the path is as it was and nothing is left beside it. A link at the path is replaced, not followed; the folder
 * must exist. Returns the bytes written.
 */
export async function writeAtomically(
  fs: FileSystem,
  ids: Ids,
  path: string,
  source: AsyncIterable<Uint8Array>,
  options: AtomicWriteOptions = {},
): Promise<number> {
  const temporary = temporaryBeside(path, ids)
  let size: number
  try {
    const file = await fs.create(temporary, options.mode ?? 0o644)
    try {
      size = await writeStream(file, source, options.size ?? FEW)
      if (options.mode !== undefined) fs.chmod(temporary, options.mode)
      if (options.mtimeNs !== undefined && options.mtimeNs !== null) fs.setModified(temporary, options.mtimeNs)
      await file.sync()
    } finally {
      await file.close()
    }
    fs.rename(temporary, path)
  } catch (error) {
    discardTemporary(fs, temporary)
    throw error
  }
  fs.syncFolder(dirname(path))
  return size
}
