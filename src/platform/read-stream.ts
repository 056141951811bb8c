import type { ReadFile } from './ports.ts'

const PIECE = 1024 * 1024

/**
 * The bytes of an open file up to `size`, or to its end if that comes before; the next are read while these are used. A piece is to be used
 * before the next is asked for: its memory is used again. Nothing is under way any more when it has ended.
 */
export async function* readStream(file: ReadFile, size: number): AsyncGenerator<Uint8Array, void> {
  const buffers: Buffer[] = []
  let turn = 0
  const readAt = (position: number): Promise<Uint8Array> => {
    const buffer = (buffers[turn++ % 2] ??= Buffer.allocUnsafeSlow(Math.min(PIECE, size)))
    const wanted = buffer.subarray(0, size - position)
    const reading = file.read(wanted, position).then((count) => wanted.subarray(0, count))
    // Who asks for it is told.
    reading.catch(() => undefined)
    return reading
  }
  let reading: Promise<Uint8Array> | null = size > 0 ? readAt(0) : null
  try {
    for (let position = 0; reading !== null;) {
      const piece: Uint8Array = await reading
      position += piece.length
      reading = piece.length > 0 && position < size ? readAt(position) : null
      if (piece.length > 0) yield piece
    }
  } finally {
    // The memory and the file are the caller's again.
    await reading?.catch(() => undefined)
  }
}
