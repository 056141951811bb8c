import type { FileStat, FileSystem, ReadFile } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'

const PIECE = 1024 * 1024

/**
 * The bytes of a file as they were at one moment: ends with `Unavailable` if the file changed while it was read, so that a torn
 * mixture is never taken for its content. `onStat` is told the attributes that belong to the bytes. A piece is to be used before the
 * next is asked for: its memory is used again.
 */
export async function* readFile(
  fs: FileSystem,
  path: string,
  signal: AbortSignal,
  onStat: (stat: FileStat) => void,
): AsyncGenerator<Uint8Array> {
  const file = await fs.open(path)
  try {
    const before = file.stat()
    onStat(before)
    yield* pieces(file, before.size, signal)
    const after = file.stat()
    if (after.size !== before.size || after.mtimeNs !== before.mtimeNs) {
      throw new BlobsError('Unavailable', `${path} changed while it was read`, {
        hint: 'try again when nothing writes to it, or take what is there now: cat FILE | blobs put - TARGET',
      })
    }
  } finally {
    await file.close()
  }
}

async function* pieces(file: ReadFile, size: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE, size))
  for (let position = 0; position < size;) {
    signal.throwIfAborted()
    const count = await file.read(buffer.subarray(0, size - position), position)
    if (count === 0) return
    position += count
    yield buffer.subarray(0, count)
  }
}
