/** `floor.ts FILE`: reads, cuts and hashes a file as a sync must, in one process, and prints how many milliseconds that took. */
import { open } from 'node:fs/promises'
import { cut } from '../src/content/chunker.ts'
import { hasher, sha256 } from '../src/content/hash.ts'

const PIECE = 1024 * 1024

const started = performance.now()
const whole = hasher()
const [, , path = ''] = process.argv
for await (const chunk of cut(read(path))) {
  whole.update(chunk)
  sha256(chunk)
}
whole.digest('hex')
console.log(performance.now() - started)

async function* read(file: string): AsyncGenerator<Uint8Array> {
  await using handle = await open(file)
  const buffer = Buffer.allocUnsafe(PIECE)
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, PIECE)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}
