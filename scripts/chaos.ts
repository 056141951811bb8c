/**
 * `npm run chaos -- --minutes M --seed S`: three nodes of NATS, three servers, nginx, clients that write all the time and two agents, while nodes
 * and servers are killed, stopped, cut off and started again, each way once and then by chance until the time is over. Afterwards every
 * acknowledged write must be there, once, with its version and bytes, what clients saw must be the history of one register a key, and the
 * folders must be equal. Exit code 0 only if nothing was found wrong; else everything is kept for a look.
 */
import { spawn } from 'node:child_process'
import { parseArgs } from 'node:util'
import { makeNetwork, networkOf } from './chaos/network.ts'
import { chaos, type ChaosReport } from './chaos/run.ts'
import { openPlace } from './harness.ts'
import { openDice } from './soak/dice.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' }, network: { type: 'string' } },
})
const minutes = Number(values.minutes ?? 0)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
if (!(minutes >= 0) || !Number.isSafeInteger(seed)) {
  console.error('usage: npm run chaos -- [--minutes M] [--seed S]')
  process.exit(2)
}
process.exitCode = values.network === undefined ? await runInNetwork() : await run(values.network)

/** Runs this once more, in a network of its own. */
async function runInNetwork(): Promise<number> {
  const network = makeNetwork()
  const [command = '', ...rest] = [...(network?.others ?? []), process.execPath]
  const args = ['--minutes', String(minutes), '--seed', String(seed), '--network', network?.name ?? '']
  const child = spawn(command, [...rest, import.meta.filename, ...args], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  try {
    return await new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
  } finally {
    network?.dispose()
  }
}

async function run(network: string): Promise<number> {
  const place = openPlace('blobs-chaos-')
  const began = performance.now()
  console.log(`chaos of ${minutes} min with seed ${seed} in ${place.folder}`)
  if (network === '') console.log('SKIPPED: no node can be cut off here: that needs root, and network namespaces')
  const report = await chaos({
    place,
    network: network === '' ? null : networkOf(network),
    milliseconds: minutes * 60_000,
    die: openDice(seed).below,
    onOutage: ({ fault, longestWait, took }) =>
      console.log(
        `${seconds(longestWait)} s without a write for some client, ${seconds(took)} s until all write: ${fault}`,
      ),
  })
  show(report)
  console.log(`${seconds(performance.now() - began)} s in all`)
  if (report.findings.length > 0) return 1
  await place.dispose()
  return 0
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1).padStart(5)
}

function show({ outages: _told, failures, findings, ...counts }: ChaosReport): void {
  console.log(JSON.stringify(counts))
  for (const [why, count] of failures) console.log(`${String(count).padStart(6)}  ${why}`)
  for (const finding of findings) console.log(`WRONG: ${finding}`)
}
