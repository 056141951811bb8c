import type { FileStat, FileSystem } from '../platform/ports.ts'
import { readStream } from '../platform/read-stream.ts'
import { BlobsError } from '../store/contract/errors.ts'

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
    for await (const piece of readStream(file, before.size)) {
      signal.throwIfAborted()
      yield piece
    }
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
