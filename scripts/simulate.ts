import { parseArgs } from 'node:util'
import { openCoverage } from '../test/simulation/coverage.ts'
import { historyOf } from '../test/simulation/history.ts'
import { failureOf, shrink } from '../test/simulation/run.ts'
import { runStore } from '../test/simulation/store.ts'
import { SITUATIONS } from '../test/simulation/table.ts'

const HELP = `npm run simulate -- [--seed S] [--runs N] [--keep-going] [--store]

Lives through N histories of simulated machines, the first from seed S, and checks the laws of sync at the end of each. With --store: of
processes that write to one embedded store, which must keep all that it acknowledged.`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '2000' },
    'keep-going': { type: 'boolean', default: false },
    store: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(HELP)
  process.exit(0)
}
const seed = Number(values.seed)
const runs = Number(values.runs)
const coverage = openCoverage()
const start = performance.now()
let failures = 0
for (let run = 0; values.store && run < runs; run++) {
  const failure = await runStore(seed + run, coverage).catch((error: unknown) => error)
  if (typeof failure === 'string') continue
  failures++
  console.log(`seed ${seed + run}: ${failure instanceof Error ? failure.stack : String(failure)}`)
  if (!values['keep-going']) break
}
for (let run = 0; !values.store && run < runs; run++) {
  const history = historyOf(seed + run)
  const failure = await failureOf(history, coverage)
  if (failure === null) continue
  failures++
  console.log(`seed ${history.seed}: ${failure.message}`)
  if (!values['keep-going']) {
    const least = await shrink(history, failure)
    console.log(`the same with ${least.actions.length} of ${history.actions.length} actions:`)
    console.log(JSON.stringify(least, null, 1))
    console.log(`replay: npm run simulate -- --seed ${history.seed} --runs 1`)
    break
  }
}
const seconds = (performance.now() - start) / 1000
for (const [name, count] of coverage.entries()) console.log(`${String(count).padStart(9)}  ${name}`)
const seen = new Set(coverage.entries().map(([name]) => name))
for (const name of values.store ? [] : SITUATIONS) if (!seen.has(name)) console.log(`    never  ${name}`)
console.log(`${runs} histories from seed ${seed} in ${seconds.toFixed(1)} s, ${failures} of them break a law`)
process.exit(failures === 0 ? 0 : 1)
