/**
 * `npm run fuzz -- --cases N --seed S`: trees of one origin, changed at random on both sides, are planned and carried out until nothing is
 * left to do, and every law of the planner is checked. A failure prints the seed and the smallest case that still fails; the same seed
 * gives the same cases. Exit code 0 only if every law held.
 */
import { parseArgs } from 'node:util'
import * as fc from 'fast-check'
import { anyCase, type Case } from '../test/sync/core/model-case.ts'
import { finalState, play } from '../test/sync/core/model-laws.ts'

const { values } = parseArgs({ options: { cases: { type: 'string' }, seed: { type: 'string' } } })
const cases = Number(values.cases ?? 10_000)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
if (!Number.isSafeInteger(cases) || cases < 1 || !Number.isSafeInteger(seed)) {
  console.error('usage: npm run fuzz -- [--cases N] [--seed S]')
  process.exit(2)
}

const covered = new Map<string, number>()
const started = performance.now()
const result = fc.check(
  fc.property(anyCase, (one: Case) => {
    const played = play(one)
    for (const what of played.covered) covered.set(what, (covered.get(what) ?? 0) + 1)
    if (played.broken.length > 0) throw new Error(played.broken.join('\n'))
    if (one.seed % 16 === 0 && finalState(one) !== finalState(one)) throw new Error('I16: another end')
  }),
  { numRuns: cases, seed },
)
for (const [what, n] of [...covered].sort()) console.log(`${String(n).padStart(9)}  ${what}`)
const seconds = ((performance.now() - started) / 1000).toFixed(1)
if (result.failed) {
  console.log(`\nFAILED after ${result.numRuns} cases with seed ${seed}; shrunk ${result.numShrinks} times to`)
  console.log(JSON.stringify(result.counterexample?.[0], null, 1))
  console.log(result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance))
  process.exitCode = 1
} else console.log(`\n${cases} cases with seed ${seed}: every law held (${seconds} s)`)
