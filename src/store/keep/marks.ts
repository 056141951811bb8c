import type { Hash } from '../../content/hash.ts'

/** Chunks that a filter is made for; a larger bucket has several, each twice as large as the one before. */
const FIRST = 1 << 20
/** Bits of a filter for each chunk, and how many of them a chunk sets: of a million others some six seem to be in it. */
const BITS = 32
const PROBES = 8

/** Chunks that something refers to. */
export interface Marks {
  add(hash: Hash): void
  /** True for all that were added, and for very few others. */
  has(hash: Hash): boolean
}

interface Filter {
  readonly words: Uint32Array
  room: number
}

/**
 * In four bytes a chunk: what is told wrongly is told to be needed, and so kept, until another time. `seed` makes that other chunks each time.
 * Parts of a hash are as good as random numbers.
 */
export function openMarks(seed: number): Marks {
  const filters: Filter[] = []
  const grow = (): Filter => {
    const room = FIRST * 2 ** filters.length
    const filter = { words: new Uint32Array((room * BITS) / 32), room }
    filters.push(filter)
    return filter
  }
  const bits = (hash: Hash): readonly number[] => {
    const bytes = Buffer.from(hash, 'hex')
    return Array.from(
      { length: PROBES },
      (_, index) => (bytes.readUInt32BE(index * 4) ^ Math.imul(seed, index + 1)) >>> 0,
    )
  }
  const isSet = ({ words }: Filter, all: readonly number[]): boolean =>
    all.every((bit) => ((words[(bit >>> 5) % words.length] ?? 0) & (1 << (bit & 31))) !== 0)
  return {
    add: (hash) => {
      const all = bits(hash)
      if (filters.some((filter) => isSet(filter, all))) return
      const last = filters.at(-1)
      const filter = last === undefined || last.room === 0 ? grow() : last
      filter.room -= 1
      for (const bit of all) {
        const at = (bit >>> 5) % filter.words.length
        filter.words[at] = (filter.words[at] ?? 0) | (1 << (bit & 31))
      }
    },
    has: (hash) => {
      const all = bits(hash)
      return filters.some((filter) => isSet(filter, all))
    },
  }
}
