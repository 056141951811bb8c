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

const LEAVES = /^fault: (?:unlink|mkdir|renameNew) /

test.each(Object.keys(KINDS))(
  'whichever call of a sync fails, the next keeps every law and clears up: %s',
  { timeout: 300_000 },
  async (kind) => {
    for (const canExchange of [true, false]) {
      for (let at = 1, failed = true; failed; at++) {
        const coverage = openCoverage()
        const error = { type: 'error', device: 0, at, among: 'writes' } as const
        const history = { ...historyWith(kind, error, canExchange), seed: at }
        const failure = await failureOf({ ...history, tidy: true }, coverage)
        const names = coverage.entries().map(([name]) => name)
        failed = names.some((name) => name.startsWith('fault: '))
        // What could not be removed, or moved to the trash, is left to the next start; all else is as it must be.
        const mayStay = failure?.message.startsWith('I10') && names.some((name) => LEAVES.test(name))
        const told = mayStay ? await failureOf(history) : failure
        expect(told, `write ${at} failed, exchange ${canExchange}`).toBeNull()
      }
    }
  },
)
