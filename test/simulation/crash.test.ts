import { expect, test } from 'vitest'
import { openCoverage } from './coverage.ts'
import { historyWith, KINDS } from './kinds.ts'
import { failureOf } from './run.ts'

/** The power goes with the process, or not; where the system cannot exchange two names, more happens between two effects. */
const WAYS = [
  { canExchange: true, power: false },
  { canExchange: true, power: true },
  { canExchange: false, power: true },
] as const

test.each(Object.keys(KINDS))(
  'killed at any effect of a sync, with the power or without, an agent that starts anew keeps every law: %s',
  { timeout: 300_000 },
  async (kind) => {
    for (const { canExchange, power } of WAYS) {
      for (let at = 1, killed = true; killed; at++) {
        // Before an effect is after the one before it.
        for (const done of at === 1 ? [false, true] : [true]) {
          const coverage = openCoverage()
          const death = { type: 'kill', device: 0, at, among: 'writes', done, power } as const
          const failure = await failureOf({ ...historyWith(kind, death, canExchange), seed: at }, coverage)
          const when = `killed ${done ? 'after' : 'before'} write ${at}, power ${power}, exchange ${canExchange}`
          expect(failure, when).toBeNull()
          killed = coverage.entries().some(([name]) => name.startsWith('kill: '))
        }
        if (!killed) expect(at).toBeGreaterThan(1)
      }
    }
  },
)
