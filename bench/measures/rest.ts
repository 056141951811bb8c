import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench } from '../bench.ts'
import { atMost } from '../figures.ts'
import { cpuSeconds, residentMiB } from '../process.ts'
import { syncedTree } from '../synced.ts'

const MANY = 100_000
const MILLION = 1_000_000
const WATCHED_MS = 30_000
const PATIENCE_MS = 300_000
const READY = 'ready'
const MEMORY = 'memory'
const CPU = 'CPU'

/** An agent that watches a large folder in which nothing happens. */
export async function measureRest(bench: Bench): Promise<void> {
  if (bench.wants('rest.100k')) await atRest(bench, '100k', MANY, 120)
  if (bench.settings.million) await atRest(bench, '1m', MILLION, 400)
}

async function atRest(bench: Bench, name: string, files: number, limit: number): Promise<void> {
  const { machine, folder, served } = await syncedTree(bench, { files, bytes: files === MILLION ? 64 : 4096 })
  const started = performance.now()
  const agent = machine.start(['sync', folder, '--watch', '--json'])
  await agent.event('the first rest', ({ type, state }) => type === 'state' && state === 'idle', PATIENCE_MS)
  const ready = performance.now() - started
  await sleep(3000)
  const before = cpuSeconds(agent.pid)
  await sleep(WATCHED_MS)
  const cpu = cpuSeconds(agent.pid) - before
  const memory = residentMiB(agent.pid)
  await agent.stop()
  await served.stop()
  const what = `agent at rest, ${files.toLocaleString('en-US')} files`
  const row = (id: string, text: string) => ({ id: `rest.${name}${id}`, what: `${what}: ${text}`, notes: [] })
  bench.report({
    ...row('', 'memory'),
    unit: 'MiB',
    figures: [{ name: MEMORY, values: [memory] }],
    targets: [atMost(limit, null, MEMORY)],
  })
  bench.report({
    ...row('-cpu', 'CPU of one core in 30 s'),
    unit: '%',
    figures: [{ name: CPU, values: [(cpu / (WATCHED_MS / 1000)) * 100] }],
    // A clock tick of the system is a hundredth of a second: 0.03 % of 30 s.
    targets: [atMost(0.1, null, CPU)],
  })
  bench.report({
    ...row('-ready', 'start until ready'),
    unit: 'ms',
    figures: [{ name: READY, values: [ready] }],
    targets: files === MILLION ? [atMost(30_000, null, READY)] : [],
  })
}
