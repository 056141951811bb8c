import type { Clock } from '../../src/platform/ports.ts'

/** Time that stands still but for sleeping, which takes none. */
export function fastClock(): Clock & { readonly slept: number[] } {
  let now = 1_700_000_000_000
  const slept: number[] = []
  return {
    slept,
    now: () => now,
    elapsed: () => now,
    sleep: async (milliseconds) => {
      slept.push(milliseconds)
      now += milliseconds
    },
  }
}
