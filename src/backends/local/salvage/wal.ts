import { PAGE } from './page-size.ts'

/** A page image in a WAL. */
export interface Frame {
  readonly page: number
  /** Where the page's bytes are in the file. */
  readonly at: number
  /** It belongs to a commit that SQLite would read. */
  readonly whole: boolean
}

const HEADER = 32
const FRAME_HEADER = 24
const MAGIC = 0x377f0682

type ReadAt = (at: number, size: number) => Uint8Array
type Sums = readonly [number, number]

/** All frames of a WAL file in order (sqlite.org/walformat.html). Those after the first one that is not right are not whole. */
export function readFrames(readAt: ReadAt): readonly Frame[] {
  const header = Buffer.from(readAt(0, HEADER))
  if (header.length < HEADER) return []
  const bigEndian = (header.readUInt32BE(0) & 1) === 1
  const salts = header.subarray(16, 24)
  const headed = checksum([0, 0], header.subarray(0, 24), bigEndian)
  let sums: Sums | null = (header.readUInt32BE(0) & ~1) === MAGIC && isSum(headed, header, 24) ? headed : null
  const frames: Omit<Frame, 'whole'>[] = []
  let whole = 0
  for (let at = HEADER; ; at += FRAME_HEADER + PAGE) {
    const bytes = Buffer.from(readAt(at, FRAME_HEADER + PAGE))
    if (bytes.length < FRAME_HEADER + PAGE) break
    frames.push({ page: bytes.readUInt32BE(0), at: at + FRAME_HEADER })
    if (sums === null) continue
    sums = checksum(checksum(sums, bytes.subarray(0, 8), bigEndian), bytes.subarray(FRAME_HEADER), bigEndian)
    if (!salts.equals(bytes.subarray(8, 16)) || !isSum(sums, bytes, 16)) sums = null
    else if (bytes.readUInt32BE(4) !== 0) whole = frames.length
  }
  return frames.map((frame, index) => ({ ...frame, whole: index < whole }))
}

function isSum(sums: Sums, bytes: Buffer, at: number): boolean {
  return sums[0] === bytes.readUInt32BE(at) && sums[1] === bytes.readUInt32BE(at + 4)
}

function checksum([first, second]: Sums, bytes: Buffer, bigEndian: boolean): Sums {
  const word = (at: number): number => (bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at))
  for (let at = 0; at < bytes.length; at += 8) {
    first = (first + word(at) + second) >>> 0
    second = (second + word(at + 4) + first) >>> 0
  }
  return [first, second]
}
