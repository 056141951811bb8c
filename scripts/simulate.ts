import { parseArgs } from 'node:util'
import { openCoverage } from '../test/simulation/coverage.ts'
import { directedHistories } from '../test/simulation/directed.ts'
import { excuseOf, missing, wronglyExcused } from '../test/simulation/expected.ts'
import { historyOf, type History } from '../test/simulation/history.ts'
import { failureOf, shrink } from '../test/simulation/run.ts'
import { runStore } from '../test/simulation/store.ts'

const HELP = `npm run simulate -- [--seed S] [--runs N] [--seconds T] [--keep-going] [--store]

Lives through histories of simulated machines, directed ones and N from seed S, and checks the laws of sync at the end of each; begins no
more after T seconds. With --store: histories of processes that write to one embedded store, which must keep all that it acknowledged.`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: 'Infinity' },
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
const most = Number(values.runs)
const keepGoing = values['keep-going']
const coverage = openCoverage()
const start = performance.now()
const secondsSince = (): number => (performance.now() - start) / 1000
let failures = 0
let runs = 0

async function explain(history: History, failure: Error): Promise<void> {
  const least = await shrink(history, failure)
  console.log(`the same with ${least.actions.length} of ${history.actions.length} actions:`)
  console.log(JSON.stringify(least, null, 1))
  console.log(`replay: npm run simulate -- --seed ${history.seed} --runs 1`)
}

function goesOn(): boolean {
  return runs < most && secondsSince() < Number(values.seconds) && (keepGoing || failures === 0)
}

async function liveThroughStores(): Promise<void> {
  for (; goesOn(); runs++) {
    const failure = await runStore(seed + runs, coverage).catch((error: unknown) => error)
    if (typeof failure === 'string') continue
    failures++
    console.log(`seed ${seed + runs}: ${failure instanceof Error ? failure.stack : String(failure)}`)
  }
}

async function liveThroughSyncs(): Promise<void> {
  // One seed is asked for to see just that.
  for (const [index, history] of most === 1 ? [] : directedHistories().entries()) {
    const failure = await failureOf(history, coverage)
    if (failure === null) continue
    failures++
    console.log(`directed history ${index}: ${failure.message}`)
  }
  for (; goesOn(); runs++) {
    const history = historyOf(seed + runs)
    const failure = await failureOf(history, coverage)
    if (failure === null) continue
    failures++
    console.log(`seed ${history.seed}: ${failure.message}`)
    if (!keepGoing) await explain(history, failure)
  }
}

await (values.store ? liveThroughStores() : liveThroughSyncs())
for (const [name, count] of coverage.entries()) console.log(`${String(count).padStart(9)}  ${name}`)
for (const name of values.store ? [] : missing(coverage)) console.log(`    never  ${name}`)
for (const name of wronglyExcused(coverage)) console.log(`  excused, and came all the same  ${name}: ${excuseOf(name)}`)
const took = `${secondsSince().toFixed(1)} s`
console.log(`${runs} histories from seed ${seed} in ${took}, ${failures} of them break a law`)
process.exit(failures === 0 ? 0 : 1)
