import { join } from 'node:path'
import type { Running } from '../../scripts/harness.ts'
import type { Bench, Contender } from '../bench.ts'
import { makeTree, MIB, remove } from '../data.ts'
import { atMost, OURS } from '../figures.ts'
import { serve, type Served } from '../server.ts'

const BYTES = 4096
const FEW = 10_000
const MANY = 100_000
const TEN = 'each of 10,000 files'
const HUNDRED = 'each of 100,000 files'

/** Ten times as many files: what one of them costs, and how much memory it takes. */
export async function measureMany(bench: Bench): Promise<void> {
  const memory: number[] = []
  const up = [side(bench, TEN, FEW, memory), side(bench, HUNDRED, MANY, memory)]
  await bench.race({
    id: 'many.up',
    what: 'first sync, folder → server, cost of a file',
    unit: 'µs',
    runs: 3,
    contenders: up.map(({ up: one }) => one),
    targets: [atMost(1.3, TEN, HUNDRED)],
  })
  await bench.race({
    id: 'many.down',
    what: 'first sync, server → empty folder, cost of a file',
    unit: 'µs',
    runs: 3,
    contenders: up.map(({ down }) => down),
    targets: [atMost(1.3, TEN, HUNDRED)],
  })
  bench.report({
    id: 'many.memory',
    what: 'first sync of 100,000 files, either way: peak memory of the process',
    unit: 'MiB',
    figures: [{ name: OURS, values: [Math.max(...memory)] }],
    targets: [atMost(200, null)],
    notes: [],
  })
}

interface Sides {
  readonly up: Contender
  readonly down: Contender
}

/** The last server of the way up serves the way down. */
function side(bench: Bench, name: string, files: number, memory: number[]): Sides {
  const source = join(bench.place.folder, `source-${files}`)
  const copy = join(bench.place.folder, `copy-${files}`)
  let served: Served | null = null
  const shorten = (run: number): string => `${files}-${run}`
  return {
    up: {
      name,
      before: async (run) => {
        await served?.stop()
        if (run === 0) makeTree(source, files, BYTES)
        remove(join(source, '.blobs'))
        served = await serve(bench, `server-${shorten(run)}`)
      },
      act: (run) => costOf(served, source, `up-${shorten(run)}`, files, memory),
    },
    down: {
      name,
      before: () => remove(copy),
      act: (run) => costOf(served, copy, `down-${shorten(run)}`, files, memory),
      after: () => remove(copy),
    },
  }
}

async function costOf(
  served: Served | null,
  folder: string,
  name: string,
  files: number,
  memory: number[],
): Promise<number> {
  if (served === null) throw new Error('the way up comes first')
  const machine = served.client(name)
  const started = performance.now()
  const running = machine.start(['sync', folder, `${served.server.url}/bench`, '--quiet'])
  const watching = setInterval(() => running.peakMemory(), 50)
  await endWell(running)
  clearInterval(watching)
  if (files === MANY) memory.push(running.peakMemory() / MIB)
  return ((performance.now() - started) * 1000) / files
}

async function endWell(running: Running): Promise<void> {
  const { code, signal, err } = await running.ended
  if (code !== 0) throw new Error(`blobs sync ended with ${code ?? signal}\n${err}`)
}
