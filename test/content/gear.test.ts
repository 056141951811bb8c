import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { openGear } from '../../src/content/gear.ts'

/** Bytes before the one that is looked for, at most. */
const FEW = 8

test('what is skipped is what one byte after the other would pass over, but for the last few', () => {
  const gear = openGear()
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 100_000, size: 'max' })
  fc.assert(
    fc.property(bytes, fc.nat(100), fc.nat(100), fc.nat(24), fc.integer(), (all, before, after, bits, print) => {
      const at = Math.min(before, all.length)
      const end = Math.max(at, all.length - after)
      const mask = -1 << bits
      const passed = gear.skip(print, all, at, end, mask)
      let [next, here, there] = [at, print, print]
      while (next < end) {
        here = gear.add(here, all[next] ?? 0)
        if ((here & mask) === 0) break
        if (++next === passed) there = here
      }
      expect(passed).toBeLessThanOrEqual(next)
      expect(passed).toBeGreaterThan(next - FEW)
      expect(passed).toBeGreaterThanOrEqual(at)
      expect(gear.print).toBe(there)
    }),
    { numRuns: 60 },
  )
})
