import { hasher, type Hash } from '../../content/hash.ts'
import type { StoreDisk } from '../../platform/store-disk.ts'
import { PACK_HEAD, readRecordHead, RECORD_HEAD_BYTES, RECORD_MAGIC } from './pack-format.ts'
import { readFully } from './pack-reader.ts'

/** Bytes read at once. */
const PIECE = 1024 * 1024

/** A record whose head is whole. */
export interface PackRecord {
  readonly bucket: number
  readonly hash: Hash
  readonly size: number
  /** First byte of the content in the file. */
  readonly place: number
  /** The content has the hash. */
  readonly sound: boolean
}
/** Bytes from `start` up to `end` that are no record. */
export interface Gap {
  readonly start: number
  readonly end: number
}

/** Reads the bytes of a pack, whatever is in them. */
export interface PackFile {
  /** Length in bytes. */
  readonly size: number
  /** The file begins as a pack does. */
  readonly headed: boolean
  /**
   * What the pack holds up to byte `end`, in order: where no record begins, the next one is looked for. Reads everything once, with flat
   * memory; `pace` is called with the bytes read.
   */
  walk(end: number, pace: Pace): AsyncGenerator<PackRecord | Gap, void>
  /** True if the content at the place has the hash. */
  holds(hash: Hash, place: number, size: number, pace: Pace): Promise<boolean>
  /** Bytes of the file; fewer where it ends. */
  read(place: number, size: number): Promise<Uint8Array>
  close(): Promise<void>
}
type Pace = (bytes: number) => Promise<void>

/** Null if the file is not there. */
export async function openPackFile(disk: StoreDisk, path: string): Promise<PackFile | null> {
  const file = await disk.open(path, 'read')
  if (file === null) return null
  const size = await file.size()
  const read = (place: number, length: number): Promise<Uint8Array> => readFully(file, place, length)
  const holds = async (hash: Hash, place: number, length: number, pace: Pace): Promise<boolean> => {
    if (place + length > size) return false
    const digest = hasher()
    for (let at = place; at < place + length; at += PIECE) {
      const bytes = await read(at, Math.min(PIECE, place + length - at))
      digest.update(bytes)
      await pace(bytes.length)
    }
    return digest.digest('hex') === hash
  }
  return {
    size,
    headed: PACK_HEAD.equals(await read(0, PACK_HEAD.length)),
    walk: async function* (end, pace) {
      const limit = Math.min(end, size)
      for (let at = PACK_HEAD.length; at < limit;) {
        const head = readRecordHead(await read(at, RECORD_HEAD_BYTES))
        const place = at + RECORD_HEAD_BYTES
        if (head === null || place + head.size > limit) {
          const next = await findRecord(read, at + 1, limit)
          yield { start: at, end: next }
          await pace(next - at)
          at = next
          continue
        }
        yield { ...head, place, sound: await holds(head.hash, place, head.size, pace) }
        at = place + head.size
      }
    },
    holds,
    read,
    close: () => file.close(),
  }
}

export function isGap(found: PackRecord | Gap): found is Gap {
  return 'start' in found
}

/** Where the next record with a whole head begins that fits before `limit`; `limit` if there is none. */
async function findRecord(
  read: (place: number, size: number) => Promise<Uint8Array>,
  from: number,
  limit: number,
): Promise<number> {
  for (let at = from; at < limit; at += PIECE) {
    // Those that begin in this piece, whole.
    const piece = Buffer.from(await read(at, PIECE + RECORD_HEAD_BYTES))
    for (
      let found = piece.indexOf(RECORD_MAGIC);
      found !== -1 && found < PIECE;
      found = piece.indexOf(RECORD_MAGIC, found + 1)
    ) {
      const head = readRecordHead(piece.subarray(found, found + RECORD_HEAD_BYTES))
      if (head !== null && at + found + RECORD_HEAD_BYTES + head.size <= limit) return at + found
    }
  }
  return limit
}
