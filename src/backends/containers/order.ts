import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Part } from './pieces.ts'

/** Bytes read from the disk at once. */
const PIECE = 256 * 1024

/** Where chunks wait that come before their turn. */
export interface Waiting {
  readonly directory: string
  readonly newId: () => string
}

/**
 * The bytes of chunks in the order of their numbers: the server sorts these as texts, 0, 1, 10, 11, 2. What comes before its turn waits in a file that
 * has no name any more. Throws `Corrupt` if one is missing, or comes twice.
 */
export async function* inOrder(parts: AsyncIterable<Part>, where: Waiting): AsyncGenerator<Uint8Array, void> {
  const early = new Map<number, Extent>()
  let file: FileHandle | null = null
  let end = 0
  let next = 0
  try {
    for await (const { index, bytes } of parts) {
      if (index < next) throw wrong(`chunk ${index} came twice`)
      if (index === next) {
        if (bytes !== null) {
          if (bytes.length > 0) yield bytes
          continue
        }
        next += 1
        for (let one = early.get(next); one !== undefined; one = early.get(++next)) {
          early.delete(next)
          if (file !== null) yield* readExtent(file, one)
        }
      } else if (bytes !== null) {
        file ??= await openNameless(where)
        await file.write(bytes, 0, bytes.length, end)
        const one = early.get(index) ?? { from: end, to: end }
        if (one.to !== end) throw wrong(`chunk ${index} came twice`)
        end += bytes.length
        early.set(index, { from: one.from, to: end })
      } else if (!early.has(index)) early.set(index, { from: end, to: end })
    }
    if (early.size > 0) throw wrong(`chunk ${next} is missing`)
  } finally {
    await file?.close()
  }
}

interface Extent {
  readonly from: number
  readonly to: number
}

async function* readExtent(file: FileHandle, { from, to }: Extent): AsyncGenerator<Uint8Array, void> {
  for (let at = from; at < to;) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE, to - at))
    const { bytesRead } = await file.read(piece, 0, piece.length, at)
    if (bytesRead === 0) throw new BlobsError('Unavailable', 'the disk gave less than was written to it')
    yield piece.subarray(0, bytesRead)
    at += bytesRead
  }
}

async function openNameless({ directory, newId }: Waiting): Promise<FileHandle> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, `chunks-${newId()}`)
  const file = await open(path, 'wx+', 0o600)
  await unlink(path)
  return file
}

function wrong(why: string): BlobsError {
  return new BlobsError('Corrupt', `what the server gave is not a whole blob: ${why}`)
}
