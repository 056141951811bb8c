import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Bytes of the young generation, both halves, from which on it grows no more. */
const YOUNG_BYTES = 16 * 1024 * 1024

/**
 * Keeps the young generation of the heap small. A process that brings thousands of files makes garbage all the time, for which V8 takes up to
 * 128 MiB and collects no faster. There is no other way to say so once the process runs: V8 asks for this flag each time it wants to grow.
 */
export function keepHeapSmall(): void {
  let held = false
  const look = (): void => {
    const hold = youngBytes() >= YOUNG_BYTES
    if (hold === held) return
    held = hold
    setFlagsFromString(`--semi-space-growth-factor=${hold ? 1 : 2}`)
  }
  // After each collection, so that nobody is woken while nothing happens. It may have become smaller, and is to grow again.
  new PerformanceObserver(look).observe({ entryTypes: ['gc'] })
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0
}
