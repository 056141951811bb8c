import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { anyCase } from './model-case.ts'
import { finalState, play } from './model-laws.ts'

/** More with `npm run fuzz -- --cases N --seed S`. */
const CASES = 10_000

test('whatever has become of three trees of one origin, the plan comes to a fixed point and breaks no law', () => {
  fc.assert(
    fc.property(anyCase, (one) => {
      expect(play(one).broken).toEqual([])
    }),
    { numRuns: CASES },
  )
})

test('the same three trees come to the same end', () => {
  fc.assert(
    fc.property(anyCase, (one) => {
      expect(finalState(one)).toBe(finalState(one))
    }),
    { numRuns: CASES / 20 },
  )
})
