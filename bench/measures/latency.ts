import { existsSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Running } from '../../scripts/harness.ts'
import type { Bench } from '../bench.ts'
import { makeTree } from '../data.ts'
import { atMost, median, OURS, percentile, type Figure } from '../figures.ts'
import { openSyncthing } from '../peers/syncthing.ts'
import { versionOf } from '../programs.ts'
import { serve } from '../server.ts'
import { warmUp } from './tree.ts'

const SAVES = 200
const PEER_SAVES = 15
const MANY = 100_000
const TOO_LONG_MS = 20_000

interface Pair {
  readonly from: string
  readonly to: string
  stop(): Promise<void>
}

/** From a save in one folder to the same bytes in the other: two agents that watch, one server. */
export async function measureLatency(bench: Bench): Promise<void> {
  if (bench.wants('latency.few')) {
    const ours = await spansOf(await openAgents(bench, 'few', 0), SAVES)
    const peers: Figure[] = []
    const notes: string[] = []
    if (!bench.settings.alone) {
      if (versionOf('syncthing') === null) notes.push('Syncthing is not installed')
      else {
        const pair = await openSyncthing(join(bench.place.folder, 'syncthing'))
        await warmUp([pair.from, pair.to], () => pair.rescan())
        peers.push({ name: 'Syncthing', values: await spansOf(pair, PEER_SAVES) })
        notes.push(`Syncthing at its fastest setting; ${PEER_SAVES} saves of it`)
      }
    }
    report(bench, 'latency.few', 'save → bytes in the other folder', ours, peers, notes)
  }
  if (bench.wants('latency.100k')) {
    const ours = await spansOf(await openAgents(bench, '100k', MANY), SAVES)
    report(bench, 'latency.100k', 'the same, with 100,000 files watched', ours, [], [])
  }
}

function report(
  bench: Bench,
  id: string,
  what: string,
  spans: readonly number[],
  peers: readonly Figure[],
  notes: readonly string[],
): void {
  const figures = [
    { name: `p50 of ${SAVES}`, values: [median(spans)] },
    { name: `p99 of ${SAVES}`, values: [percentile(spans, 99)] },
    ...peers,
  ]
  const targets = [atMost(40, null, `p50 of ${SAVES}`), atMost(150, null, `p99 of ${SAVES}`)]
  bench.report({
    id,
    what,
    unit: 'ms',
    figures,
    targets,
    notes: [...notes, `${OURS}: each save waits for the one before`],
  })
}

async function openAgents(bench: Bench, name: string, files: number): Promise<Pair> {
  const served = await serve(bench, `server-${name}`)
  const agents: Running[] = []
  const folders: string[] = []
  for (const side of ['one', 'two']) {
    const machine = served.client(`${side}-${name}`)
    const folder = join(machine.home, 'folder')
    mkdirSync(folder)
    if (side === 'one' && files > 0) makeTree(folder, files, 4096)
    await machine.must(['sync', folder, `${served.server.url}/live`, '--quiet'])
    folders.push(folder)
    const agent = machine.start(['sync', folder, '--watch', '--json'])
    agents.push(agent)
    await agent.event('the first rest', ({ type, state }) => type === 'state' && state === 'idle', 60_000)
  }
  const [from = '', to = ''] = folders
  return {
    from,
    to,
    stop: async () => {
      await Promise.all(agents.map((agent) => agent.stop()))
      await served.stop()
    },
  }
}

async function spansOf({ from, to, stop }: Pair, saves: number): Promise<readonly number[]> {
  const probe = openProbe(to)
  await save(from, 'warm-up', probe, 0)
  const spans: number[] = []
  for (let i = 1; i <= saves; i++) {
    spans.push(await save(from, `note-${i % 20}.txt`, probe, i))
    await sleep(20)
  }
  probe.close()
  await stop()
  return spans
}

async function save(folder: string, name: string, probe: Probe, turn: number): Promise<number> {
  const text = `${turn}: ${'x'.repeat(1000)}`
  const arrived = probe.seen(name, text)
  const started = performance.now()
  writeFileSync(join(folder, name), text)
  return (await arrived) - started
}

interface Probe {
  /** When the file of this name holds this text, by `performance.now()`. */
  seen(name: string, text: string): Promise<number>
  close(): void
}

function openProbe(folder: string): Probe {
  let look: (() => void) | null = null
  const watcher = watch(folder, () => look?.())
  return {
    seen: (name, text) =>
      new Promise((resolve, reject) => {
        const path = join(folder, name)
        // The watcher may miss one: look now and then, too.
        const interval = setInterval(() => look?.(), 5)
        const end = (): void => {
          look = null
          clearTimeout(timer)
          clearInterval(interval)
        }
        const timer = setTimeout(() => {
          end()
          reject(new Error(`${name} did not arrive within ${TOO_LONG_MS} ms`))
        }, TOO_LONG_MS)
        look = () => {
          if (!existsSync(path) || readFileSync(path, 'utf8') !== text) return
          end()
          resolve(performance.now())
        }
        look()
      }),
    close: () => watcher.close(),
  }
}
