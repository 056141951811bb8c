import type { ReadFile } from '../../platform/ports.ts'

const BUFFER = 1024 * 1024

/** The bytes of an open file, up to what it held when it was looked at. Each piece is the reader's to keep. */
export async function* readFile(file: ReadFile, size: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < size;) {
    const buffer = new Uint8Array(Math.min(BUFFER, size - position))
    const count = await file.read(buffer, position)
    if (count === 0) return
    yield count === buffer.length ? buffer : buffer.subarray(0, count)
    position += count
  }
}
