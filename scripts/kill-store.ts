/**
 * `npm run kill-store -- --kills 200 --seed S`: kills processes that write into one store with SIGKILL at chance moments, and looks each
 * time whether everything that was acknowledged is there, byte for byte, and nothing half. The seed decides who writes and when the
 * kills fall; the system decides the rest, so the same seed tells the same story, not the same run.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openLocal } from '../src/backends/local/local.ts'
import { hasher } from '../src/content/hash.ts'
import { examineStore } from '../src/locations/doctor.ts'
import { systemClock as clock, systemIds as ids } from '../src/platform/system.ts'
import { openBuckets } from '../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../src/store/contract/blob-store.ts'
import { BATCH, BUCKET, type Acknowledged, type Kind } from './kill-writer.ts'
import { chanceOf, type Chance } from '../test/simulation/chance.ts'

const WRITER = join(import.meta.dirname, 'kill-writer.ts')
/** Rounds in one store, so that it stays small. */
const ROUNDS = 12
const WRITERS = 3

export interface KillOptions {
  readonly kills: number
  readonly seed: number
  /** How long the writers of a round live at most once they are ready, in milliseconds; 1200 unless given. */
  readonly life?: number
  /** Told of each round. */
  readonly log?: (line: string) => void
}
export interface KillReport {
  kills: number
  /** Of them, before the process had said that it is ready. */
  early: number
  /** Of them, of processes that repaired the store. */
  repairs: number
  puts: number
  deletes: number
  removed: number
}

/** Throws, naming what is wrong, at the first store that lacks something or has half of it; that store is kept. */
export async function killStore({ kills, seed, life = 1200, log = () => undefined }: KillOptions): Promise<KillReport> {
  const chance = chanceOf(seed)
  const report: KillReport = { kills: 0, early: 0, repairs: 0, puts: 0, deletes: 0, removed: 0 }
  while (report.kills < kills) {
    const directory = await mkdtemp(join(tmpdir(), 'blobs-kill-'))
    const told: Acknowledged[] = []
    for (let round = 0; round < ROUNDS && report.kills < kills; round++) {
      const kinds = kindsOf(chance, round)
      const fresh = await killRound({ directory, kinds, chance, life }, report)
      told.push(...fresh)
      const wrong = await problems(directory, told, fresh)
      if (wrong.length > 0)
        throw new Error(`seed ${seed}, ${kinds.join(' ')}: ${wrong.slice(0, 5).join('; ')} (kept: ${directory})`)
      log(`${report.kills} kills, ${told.length} acknowledged, ${kinds.join(' ')}: whole`)
    }
    const wrong = await problems(directory, told, told)
    if (wrong.length > 0)
      throw new Error(`seed ${seed}, in the end: ${wrong.slice(0, 5).join('; ')} (kept: ${directory})`)
    await rm(directory, { recursive: true })
  }
  return report
}

function kindsOf(chance: Chance, round: number): readonly Kind[] {
  if (round > 0 && chance.below(4) === 0) return ['repair']
  return Array.from({ length: WRITERS }, () => chance.pick<Kind>(['versions', 'crowd', 'crowd', 'batches', 'buckets']))
}

interface Round {
  readonly directory: string
  readonly kinds: readonly Kind[]
  readonly chance: Chance
  readonly life: number
}

/** Starts the writers, kills them one after the other, and gives what they were told. */
async function killRound(
  { directory, kinds, chance, life }: Round,
  report: KillReport,
): Promise<readonly Acknowledged[]> {
  const writers = kinds.map((kind) => startWriter(directory, kind, chance.below(2 ** 31)))
  // Some die while they open the store, the others while they write.
  const early = chance.below(5) === 0
  if (early) await sleep(chance.below(life))
  else await Promise.all(writers.map(({ ready }) => ready))
  for (const { child, isReady } of writers) {
    await sleep(chance.below(Math.round(life / kinds.length)))
    child.kill('SIGKILL')
    report.kills += 1
    if (!isReady()) report.early += 1
  }
  await Promise.all(writers.map(({ ended }) => ended))
  for (const { child, failure } of writers) {
    if (child.signalCode !== 'SIGKILL') throw new Error(`a writer ended by itself: ${failure()} (kept: ${directory})`)
  }
  const told = writers.flatMap(({ acknowledged }) => acknowledged)
  report.repairs += kinds.filter((kind) => kind === 'repair').length
  report.puts += told.filter(([what]) => what === 'put').length
  report.deletes += told.filter(([what]) => what === 'delete').length
  report.removed += told.filter(([what]) => what === 'removed').length
  return told
}

interface Writer {
  readonly child: ChildProcess
  readonly acknowledged: Acknowledged[]
  readonly ready: Promise<unknown>
  isReady(): boolean
  readonly ended: Promise<unknown>
  failure(): string
}

function startWriter(directory: string, kind: Kind, seed: number): Writer {
  const child = spawn(process.execPath, [WRITER, directory, kind, String(seed)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const acknowledged: Acknowledged[] = []
  const lines = createInterface(child.stdout)
  let isReady = false
  let failure = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (failure += text))
  const ended = Promise.all([once(child, 'close'), once(lines, 'close')])
  const ready = new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      const parsed = parse(line)
      if (parsed === null) return
      if (parsed[0] !== 'ready') return void acknowledged.push(parsed)
      isReady = true
      resolve()
    })
    void ended.then(() => resolve())
  })
  return { child, acknowledged, ready, isReady: () => isReady, ended, failure: () => failure }
}

/** Null for a line that the kill cut. */
function parse(line: string): Acknowledged | readonly ['ready'] | null {
  try {
    return JSON.parse(line) as Acknowledged
  } catch {
    return null
  }
}

/** What is wrong with the store: all of `told` has to be there, and the bytes of `fresh` are read. */
async function problems(
  directory: string,
  told: readonly Acknowledged[],
  fresh: readonly Acknowledged[],
): Promise<readonly string[]> {
  const wrong: string[] = []
  // First, as after every crash: the next process opens the store.
  const buckets = openBuckets({ backend: await openLocal({ directory, clock, trust: 'thorough' }), clock, ids })
  try {
    const names: string[] = []
    for await (const { name } of buckets.list()) names.push(name)
    if (names.includes(BUCKET)) await compare(await buckets.open(BUCKET), told, fresh, wrong)
    else if (told.some(([what]) => what === 'put')) wrong.push('the bucket is gone')
    for (const [what, name] of told)
      if (what === 'removed' && names.includes(name)) wrong.push(`bucket ${name} is back`)
    await checkHalf(buckets, names, wrong)
  } finally {
    await buckets.close()
  }
  // Then every byte, the index, and the view against one that is rebuilt.
  const inspection = {
    report: ({ severity, message }: { severity: string; message: string }) => {
      if (severity === 'damage') wrong.push(message)
    },
    pace: async () => undefined,
  }
  await examineStore({ data: directory, clock, ids, inspection })
  return wrong
}

async function compare(
  store: BlobStore,
  told: readonly Acknowledged[],
  fresh: readonly Acknowledged[],
  wrong: string[],
): Promise<void> {
  const toRead = new Set(fresh)
  for (const one of told) {
    if (one[0] === 'removed') continue
    const [what, key, version] = one
    const entry = what === 'put' ? one[4] : one[3]
    const found = await store.head(key, { version })
    if (found === null || found.entry !== entry || found.deleted !== (what === 'delete')) {
      wrong.push(`${key} version ${version} is ${found === null ? 'gone' : 'another'}`)
      continue
    }
    if (what === 'delete' || !toRead.has(one)) continue
    const whole = hasher()
    for await (const bytes of (await store.get(key, { version }))?.stream ?? []) whole.update(bytes)
    if (whole.digest('hex') !== one[3]) wrong.push(`${key} version ${version} has other bytes`)
  }
  await store.close()
}

/** An entry of a batch made all of its versions, or none. */
async function checkHalf(buckets: Buckets, names: readonly string[], wrong: string[]): Promise<void> {
  if (!names.includes(BUCKET)) return
  const store = await buckets.open(BUCKET)
  const counts = new Map<string, number>()
  for (let after: string | undefined; ;) {
    const page = await store.list({ prefix: 'batch/', ...(after === undefined ? {} : { after }) })
    for (const { entry } of page.items) counts.set(entry, (counts.get(entry) ?? 0) + 1)
    if (page.complete) break
    after = page.next
  }
  for (const [entry, count] of counts)
    if (count !== BATCH) wrong.push(`of entry ${entry} there are ${count} of ${BATCH} changes`)
  await store.close()
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  })
  const [kills, seed] = [Number(values.kills), Number(values.seed)]
  console.log(`seed ${seed}`)
  const started = performance.now()
  const report = await killStore({ kills, seed, log: (line) => console.log(line) })
  console.log(
    `seed ${seed}: ${JSON.stringify(report)} in ${Math.round((performance.now() - started) / 1000)} s: nothing was lost, nothing half there`,
  )
}
