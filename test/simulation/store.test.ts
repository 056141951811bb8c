import { expect, test } from 'vitest'
import { openCoverage } from './coverage.ts'
import { runStore } from './store.ts'

const MOST = 300
/** Milliseconds after which no more are begun, once every kind of fault has come. */
const TIME = 15_000

const KINDS = [
  ...['commit', 'write pack', 'sync pack', 'write note', 'make file'].flatMap((name) => [
    `fault: store: ${name}`,
    `kill: store: before ${name}`,
    `kill: store: after ${name}`,
  ]),
  'fault: store: open pack',
  'fault: store: truncate pack',
  'store: unsynced writes vanished',
]

test(
  'whatever happens to the processes of a store, what was acknowledged is there, and nothing else',
  { timeout: 300_000 },
  async () => {
    const coverage = openCoverage()
    const missing = (): readonly string[] => {
      const seen = coverage.entries().map(([name]) => name)
      return KINDS.filter((kind) => !seen.some((name) => name.startsWith(kind)))
    }
    const start = performance.now()
    for (let seed = 1; seed <= MOST && (performance.now() - start < TIME || missing().length > 0); seed++) {
      const failure = await runStore(seed, coverage).then(
        () => null,
        (error: unknown) => error,
      )
      expect(failure, `replay: npm run simulate -- --store --seed ${seed} --runs 1`).toBeNull()
    }
    expect(missing(), 'kinds of faults that never came').toEqual([])
  },
)

test('the same seed gives the same store in the end', { timeout: 60_000 }, async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const once = await runStore(seed, openCoverage())
    expect(await runStore(seed, openCoverage()), `seed ${seed}`).toBe(once)
  }
})
