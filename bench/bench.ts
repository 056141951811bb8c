/** What every measure works with: a place, the runs, and races between contenders. */
import type { Machine, Place } from '../scripts/harness.ts'
import { openPlace } from '../scripts/harness.ts'
import { type Figure, type Row, type Target, type Unit } from './figures.ts'
import { system, versionOf } from './programs.ts'

export interface Bench {
  readonly place: Place
  readonly settings: Settings
  /** A machine of the place; all of them share the compile cache, as commands of one machine do. */
  machine(name: string, env?: Record<string, string>): Machine
  /** False when only other rows of the measure are asked for. */
  wants(id: string): boolean
  report(row: Row): void
  race(spec: Race): Promise<void>
}

export interface Settings {
  /** Runs of each contender; null: as many as the measure thinks right, five where a run is short. */
  readonly runs: number | null
  /** No new round of a row begins after so many. */
  readonly seconds: number
  /** Without peers. */
  readonly alone: boolean
  /** Measures, or rows of them. */
  readonly wanted: readonly string[]
  readonly million: boolean
  /** Folder for CPU profiles, one below it for each machine; null: none are taken. */
  readonly profiles: string | null
}

export interface Contender {
  readonly name: string
  /** A peer, and the program that it needs. */
  readonly needs?: string
  /** At most so many runs: for what takes long. */
  readonly runs?: number
  /** Not timed. */
  before?(run: number): void | Promise<void>
  /** Timed; or gives its figure itself. */
  act(run: number): Promise<number | void>
  /** Not timed. */
  after?(run: number): void | Promise<void>
}

interface Race {
  readonly id: string
  readonly what: string
  readonly unit?: Unit
  readonly contenders: readonly Contender[]
  readonly targets?: readonly Target[]
  readonly notes?: readonly string[]
  readonly runs?: number
}

const RUNS = 5

export function openBench(name: string, settings: Settings, report: (row: Row) => void): Bench {
  const place = openPlace(`blobs-bench-${name}-`)
  return {
    place,
    settings,
    machine: (machine, env = {}) => {
      const profile =
        settings.profiles === null
          ? {}
          : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${settings.profiles}/${name}/${machine}` }
      return place.machine(machine, { XDG_CACHE_HOME: `${place.folder}/cache`, ...profile, ...env })
    },
    wants: (id) => settings.wanted.length === 0 || settings.wanted.some((one) => one === name || one === id),
    report,
    race: async (spec) => report(await race(spec, settings)),
  }
}

/** Every contender once, then again every one: what the machine does meanwhile hits all of them. */
async function race(spec: Race, settings: Settings): Promise<Row> {
  const notes = [...(spec.notes ?? [])]
  const runs = settings.runs ?? spec.runs ?? RUNS
  const here = spec.contenders.filter(({ name, needs }) => {
    if (needs === undefined) return true
    if (settings.alone) return false
    if (versionOf(needs) !== null) return true
    notes.push(`${name}: ${needs} is not installed`)
    return false
  })
  const figures: Figure[] = []
  const values = here.map(({ name }) => {
    const list: number[] = []
    figures.push({ name, values: list })
    return list
  })
  const started = performance.now()
  for (let run = 0; run < runs; run++) {
    // Rather fewer rounds than a row that nobody waits for; each one is whole.
    if (performance.now() - started > settings.seconds * 1000) break
    for (const [index, contender] of here.entries()) {
      if (run < (contender.runs ?? runs)) values[index]?.push(await once(contender, run))
    }
  }
  notes.push(...fewRuns(figures))
  return {
    id: spec.id,
    what: spec.what,
    unit: spec.unit ?? 'ms',
    figures,
    targets: spec.targets ?? [],
    notes,
  }
}

/** One note for all that ran as often. */
function fewRuns(figures: readonly Figure[]): string[] {
  const byRuns = Map.groupBy(figures, ({ values }) => values.length)
  return [...byRuns]
    .filter(([runs]) => runs < RUNS)
    .map(([runs, some]) => `${runs} ${runs === 1 ? 'run' : 'runs'} of ${some.map(({ name }) => name).join(', ')}`)
}

async function once(contender: Contender, run: number): Promise<number> {
  await contender.before?.(run)
  // What was written before is not to be paid for by whoever comes next.
  await system('sync', [])
  const started = performance.now()
  const own = await contender.act(run)
  const took = performance.now() - started
  await contender.after?.(run)
  return own ?? took
}
