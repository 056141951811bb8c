import { expect, test } from 'vitest'
import { openCoverage } from './coverage.ts'
import { directedHistories } from './directed.ts'
import { missing, wronglyExcused } from './expected.ts'
import { historyOf } from './history.ts'
import { REGRESSIONS } from './regressions.ts'
import { failureOf, runHistory } from './run.ts'

const HISTORIES = 2000
const FIRST = 1

test('whatever happens to simulated machines, every law holds in the end', { timeout: 900_000 }, async () => {
  const coverage = openCoverage()
  for (const [index, history] of directedHistories().entries())
    expect(await failureOf(history, coverage), `directed history ${index}`).toBeNull()
  for (let seed = FIRST; seed < FIRST + HISTORIES; seed++) {
    const failure = await failureOf(historyOf(seed), coverage)
    expect(failure, `replay: npm run simulate -- --seed ${seed} --runs 1`).toBeNull()
  }
  expect(missing(coverage), 'what never came').toEqual([])
  expect(wronglyExcused(coverage), 'what was said never to come').toEqual([])
})

test.each(Object.entries(REGRESSIONS))('%s', async (_name, history) => {
  expect(await failureOf(history)).toBeNull()
})

test('the same seed gives the same world in the end', { timeout: 60_000 }, async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const once = await runHistory(historyOf(seed), openCoverage())
    expect(await runHistory(historyOf(seed), openCoverage()), `seed ${seed}`).toBe(once)
  }
})
