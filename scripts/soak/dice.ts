/** Chance that a seed decides: the same seed, the same draws. */
export interface Dice {
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number
  /** True once in `n` times. */
  oneIn(n: number): boolean
  pick<T>(items: readonly [T, ...T[]]): T
  bytes(size: number): Buffer
}

const NOISE_SIZE = 1 << 20

export function openDice(seed: number): Dice {
  let state = seed >>> 0
  let noise: Buffer | null = null
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (limit: number): number => next() % limit
  const makeNoise = (): Buffer => {
    const made = Buffer.allocUnsafe(NOISE_SIZE)
    for (let at = 0; at < NOISE_SIZE; at += 4) made.writeUInt32LE(next(), at)
    return made
  }
  return {
    below,
    oneIn: (n) => below(n) === 0,
    pick: (items) => items[below(items.length)] ?? items[0],
    bytes: (size) => {
      noise ??= makeNoise()
      const out = Buffer.allocUnsafe(size)
      for (let at = 0; at < size;) {
        const from = below(NOISE_SIZE - 1)
        at += noise.copy(out, at, from, Math.min(NOISE_SIZE, from + size - at))
      }
      return out
    },
  }
}
