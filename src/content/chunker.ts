import { GEAR_WINDOW, openGear, type Gear } from './gear.ts'

/** No chunk but a blob's last is smaller, in bytes; so a blob of at most this size is one chunk. */
export const SMALL = 64 * 1024
const NORMAL = 256 * 1024
/** Largest chunk, in bytes. */
export const MAX_CHUNK = 512 * 1024
// 2^18 is the normal size; two bits more before it, two fewer after it.
const HARD = 0xfffff000 | 0
const EASY = 0xffff0000 | 0
/** Twice the largest chunk: then what is not cut yet never fills it. */
const SLAB = 2 * MAX_CHUNK

/**
 * Cuts bytes into chunks (docs/storage-format.md, "Chunking"): the same bytes give the same chunks however the source is
 * split. A chunk is to be used or copied before the next is asked for: its memory is used again, as the source may do with its
 * own. No bytes, no chunks.
 */
export async function* cut(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const gear = openGear()
  let slab: Uint8Array = new Uint8Array(0)
  let filled = 0
  const scan: Scan = { start: 0, at: SMALL - GEAR_WINDOW, print: 0 }
  for await (const piece of source) {
    for (let taken = 0; taken < piece.length;) {
      if (filled === slab.length) {
        slab = renew(slab, scan.start, piece.length - taken)
        filled -= scan.start
        scan.at -= scan.start
        scan.start = 0
      }
      const part = piece.subarray(taken, taken + slab.length - filled)
      slab.set(part, filled)
      taken += part.length
      filled += part.length
      for (let start = scan.start; advance(scan, gear, slab, filled); start = scan.start) {
        yield slab.subarray(start, scan.start)
      }
    }
  }
  if (filled > scan.start) yield slab.subarray(scan.start, filled)
}

/** A slab with what is not cut yet of the last one, and more room: little at first, so that a small blob costs little. */
function renew(last: Uint8Array, start: number, wanted: number): Uint8Array {
  if (last.length === SLAB) return last.copyWithin(0, start)
  const held = last.subarray(start)
  const slab = Buffer.allocUnsafeSlow(Math.min(SLAB, Math.max(last.length * 2, held.length + wanted)))
  slab.set(held)
  return slab
}

/** Where the search for the next cut stands, in bytes of the slab. */
interface Scan {
  /** First byte of the chunk. */
  start: number
  /** Next byte to look at; may be beyond what is there. */
  at: number
  print: number
}

/** True when a cut is found before `end`: `start` then is the next chunk's. */
function advance(scan: Scan, gear: Gear, bytes: Uint8Array, end: number): boolean {
  const { start } = scan
  const cuttable = start + SMALL
  for (; scan.at < end && scan.at < cuttable; scan.at++) scan.print = gear.add(scan.print, bytes[scan.at] as number)
  const found =
    search(scan, gear, bytes, Math.min(end, start + NORMAL), HARD) ||
    search(scan, gear, bytes, Math.min(end, start + MAX_CHUNK), EASY) ||
    scan.at === start + MAX_CHUNK
  if (!found) return false
  scan.start = scan.at
  scan.at += SMALL - GEAR_WINDOW
  scan.print = 0
  return true
}

/** Looks at the bytes up to `end`; stops after the first whose print has no bit of the mask. */
function search(scan: Scan, gear: Gear, bytes: Uint8Array, end: number, mask: number): boolean {
  if (scan.at >= end) return false
  let at = gear.skip(scan.print, bytes, scan.at, end, mask)
  let { print } = gear
  let found = false
  // What is left, or the few with the cut among them.
  while (at < end && !found) {
    print = gear.add(print, bytes[at++] as number)
    found = (print & mask) === 0
  }
  scan.at = at
  scan.print = print
  return found
}
