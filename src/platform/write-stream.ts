import type { WriteFile } from './ports.ts'

/** Bytes of one write, and how many of them wait at most: the disk writes while the next bytes come. */
const WRITE = 1024 * 1024
const WAITING = 4

/**
 * Writes a stream into a file; about `size` bytes are expected. A piece is not looked at any more once the next is asked for. Nothing is
 * under way any more when it resolves, or throws what the source or the disk threw. Returns the bytes written.
 */
export async function writeStream(file: WriteFile, source: AsyncIterable<Uint8Array>, size: number): Promise<number> {
  const length = Math.max(1, Math.min(WRITE, size))
  const waiting: Promise<Uint8Array>[] = []
  let buffer: Uint8Array = Buffer.allocUnsafeSlow(length)
  let [filled, bytes] = [0, 0]
  let last: Promise<unknown> = Promise.resolve()
  const send = (): void => {
    const [full, used] = [buffer, buffer.subarray(0, filled)]
    const written = last.then(() => file.write(used)).then(() => full)
    // Whoever waits for it is told; the others need not be.
    written.catch(() => undefined)
    last = written
    waiting.push(written)
    filled = 0
  }
  const renew = async (): Promise<Uint8Array> =>
    waiting.length < WAITING ? Buffer.allocUnsafeSlow(length) : ((await waiting.shift()) ?? buffer)
  try {
    for await (const piece of source) {
      bytes += piece.length
      for (let at = 0; at < piece.length;) {
        const part = piece.subarray(at, at + length - filled)
        buffer.set(part, filled)
        at += part.length
        filled += part.length
        if (filled < length) break
        send()
        buffer = await renew()
      }
    }
    if (filled > 0) send()
    await last
  } finally {
    await Promise.allSettled(waiting)
  }
  return bytes
}
