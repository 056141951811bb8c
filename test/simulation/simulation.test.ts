import { expect, test } from 'vitest'
import { openCoverage } from './coverage.ts'
import { historyOf } from './history.ts'
import { REGRESSIONS } from './regressions.ts'
import { failureOf, runHistory } from './run.ts'

const HISTORIES = 2000
/** Milliseconds after which no more histories are begun, once every kind of fault has come. */
const TIME = 40_000
const FIRST = 1

const KINDS =
  'action: lose state,action: step clock,action: fill disk,action: restore server,power: ,fault: commit,fault: renameNew,fault: syncGroup,kill: before ,kill: after ,kill: server: before ,kill: server: after ,fault: server: commit,power: unsynced writes of the server,network: request lost,network: answer lost,network: message delayed,network: listing truncated,wire: delayed,wire: cut while,wire: nothing listens,wire: no way,wire: request doubled,action: live,action: quit,watch: event ,network: push doubled,network: feed cut'.split(
    ',',
  )

test('whatever happens to simulated machines, every law holds in the end', { timeout: 400_000 }, async () => {
  const coverage = openCoverage()
  const missing = (): readonly string[] => {
    const seen = coverage.entries().map(([name]) => name)
    return KINDS.filter((kind) => !seen.some((name) => name.startsWith(kind)))
  }
  const start = performance.now()
  let seed = FIRST
  const enough = (): boolean => performance.now() - start >= TIME && missing().length === 0
  for (; seed < FIRST + HISTORIES && !enough(); seed++) {
    const failure = await failureOf(historyOf(seed), coverage)
    expect(failure, `replay: npm run simulate -- --seed ${seed} --runs 1`).toBeNull()
  }
  expect(seed).toBeGreaterThan(FIRST + 100)
  expect(missing(), 'kinds of faults that never came').toEqual([])
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
