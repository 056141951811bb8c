import type { Collected } from '../contract/types.ts'
import type { Aside, StoredChunk, Sweeping } from '../ports.ts'
import { openMarks, type Marks } from './marks.ts'

const NONE = { chunks: 0, bytes: 0 }
type Sum = typeof NONE

export interface SweepOptions {
  /** What something refers to. */
  readonly marks: Marks
  /** What is younger stays; milliseconds since 1970 by the place's clock. */
  readonly before: number
  readonly dryRun: boolean
  /** Awaited often; throws to end it. */
  readonly pause: () => Promise<void>
}

/** True if something was set aside so long ago that it may go for good. */
export async function isDue({ aside }: Sweeping, before: number): Promise<boolean> {
  if (aside === undefined) return false
  for await (const batch of aside.chunks()) if (batch.some(({ modified }) => modified < before)) return true
  return false
}

/** Removes what is not marked, and is older. Where there is `aside`: for good what is aside, after that the others, which are set aside. */
export async function sweep(sweeping: Sweeping, options: SweepOptions): Promise<Omit<Collected, 'dropped'>> {
  const { marks, before, dryRun, pause } = options
  const settled = sweeping.aside === undefined ? null : await sweepAside(sweeping.aside, options)
  let [gone, waiting, kept] = [NONE, settled?.waiting ?? NONE, NONE]
  for await (const batch of sweeping.chunks()) {
    const [needed, unmarked] = divide(batch, ({ hash }) => marks.has(hash))
    const loose = unmarked.filter(({ hash }) => settled?.stays.has(hash) !== true)
    const [old, young] = divide(loose, ({ modified }) => modified < before)
    kept = plus(kept, sumOf(needed))
    waiting = plus(waiting, sumOf(young))
    gone = plus(gone, dryRun || old.length === 0 ? sumOf(old) : await sweeping.remove(old))
    await pause()
  }
  if (settled === null) return { removed: gone, aside: NONE, waiting, kept }
  return { removed: settled.removed, aside: gone, waiting, kept }
}

/** `stays`: what is aside still. */
async function sweepAside(
  aside: Aside,
  { marks, before, dryRun, pause }: SweepOptions,
): Promise<{ readonly removed: Sum; readonly waiting: Sum; readonly stays: Marks }> {
  const stays = openMarks(0)
  let [removed, waiting] = [NONE, NONE]
  for await (const batch of aside.chunks()) {
    const [needed, loose] = divide(batch, ({ hash }) => marks.has(hash))
    const [old, young] = divide(loose, ({ modified }) => modified < before)
    for (const { hash } of dryRun ? loose : young) stays.add(hash)
    waiting = plus(waiting, sumOf(young))
    if (!dryRun && needed.length > 0) await aside.restore(needed)
    removed = plus(removed, dryRun || old.length === 0 ? sumOf(old) : await aside.remove(old))
    await pause()
  }
  return { removed, waiting, stays }
}

function divide<T>(all: readonly T[], test: (one: T) => boolean): readonly [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))]
}

function sumOf(chunks: readonly StoredChunk[]): Sum {
  return { chunks: chunks.length, bytes: chunks.reduce((sum, { size }) => sum + size, 0) }
}

function plus(a: Sum, b: Sum): Sum {
  return { chunks: a.chunks + b.chunks, bytes: a.bytes + b.bytes }
}
