import { expect, test } from 'vitest'
import { openCoverage } from './coverage.ts'
import { historyWith, KINDS } from './kinds.ts'
import { failureOf } from './run.ts'

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
