/** What a checkpoint consists of, each sorted by what stands first in its rows. */
export const TREES = ['keys', 'serials', 'entries', 'ids'] as const
export type Tree = (typeof TREES)[number]

/** By what the rows of a tree are sorted: key and version, serial, position, or id and position. */
export type SortKey = readonly [number] | readonly [string, number]

/** A bound sorts, byte by byte, as its sort key does: texts by UTF-8, numbers by value. */
export type Bound = Uint8Array

const WIDTH = 8
/** Of a text's bytes none is as large. */
const LAST = 0xff

/** Before everything. */
export const START: Bound = new Uint8Array(0)
/** Behind everything. */
export const END: Bound = new Uint8Array([LAST])

export function boundOf(sortKey: SortKey): Bound {
  if (sortKey.length === 1) return numberBound(sortKey[0])
  const [text, number] = sortKey
  const length = Buffer.byteLength(text)
  // No text has a NUL in it.
  const bound = Buffer.alloc(length + 1 + WIDTH)
  bound.write(text, 0, 'utf8')
  writeNumber(bound, number, length + 1)
  return bound
}

export function numberBound(number: number): Bound {
  const bound = Buffer.alloc(WIDTH)
  writeNumber(bound, number, 0)
  return bound
}

function writeNumber(bound: Buffer, number: number, at: number): void {
  bound.writeUInt32BE(Math.floor(number / 2 ** 32), at)
  bound.writeUInt32BE(number % 2 ** 32, at + WIDTH / 2)
}

/** Behind all texts that start so. */
export function prefixEnd(prefix: string): Bound {
  return Buffer.concat([Buffer.from(prefix), END])
}

/** The text of a bound; '' for `START`. */
export function textOf(bound: Bound): string {
  return bound.length === 0 ? '' : Buffer.from(bound.subarray(0, bound.length - 1 - WIDTH)).toString('utf8')
}

export function numberOf(bound: Bound): number {
  if (bound.length < WIDTH) return 0
  const bytes = Buffer.from(bound.subarray(bound.length - WIDTH))
  return bytes.readUInt32BE(0) * 2 ** 32 + bytes.readUInt32BE(WIDTH / 2)
}
