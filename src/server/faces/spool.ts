import { mkdir, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'

/** Bytes that are read at once. */
const PIECE = 1024 * 1024

/** Bytes on the disk that nobody else can name, and that end with the process at the latest. */
export interface Spool {
  /** Writes all of the bytes at a place, whatever was there. */
  write(bytes: Uint8Array, position: number): Promise<void>
  read(position: number, length: number): AsyncGenerator<Uint8Array, void, undefined>
  close(): Promise<void>
}

/** Opens a new one; the directory is made when it is not there. */
export async function openSpool(directory: string, name: string): Promise<Spool> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, name)
  const file = await open(path, 'wx+', 0o600)
  await unlink(path)
  return {
    write: async (bytes, position) => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
        done += bytesWritten
      }
    },
    read: async function* (position, length) {
      for (let done = 0; done < length;) {
        const { bytesRead, buffer } = await file.read(
          Buffer.allocUnsafe(Math.min(PIECE, length - done)),
          0,
          null,
          position + done,
        )
        if (bytesRead === 0) throw new Error('an upload on the disk is shorter than it was written')
        done += bytesRead
        yield buffer.subarray(0, bytesRead)
      }
    },
    close: () => file.close(),
  }
}
