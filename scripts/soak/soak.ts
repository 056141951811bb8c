import { setTimeout as sleep } from 'node:timers/promises'
import type { Place } from '../harness.ts'
import { openCensus } from './census.ts'
import { openCloud, type Cloud } from './cloud.ts'
import { openDice, type Dice } from './dice.ts'
import { EDITS } from './edits.ts'
import { openLedger, type Ledger } from './ledger.ts'
import { openPerson, type Person } from './person.ts'
import { quietPoint, type Finding, type Quiet } from './quiet.ts'
import { openWorld, type World } from './world.ts'

export interface SoakOptions {
  readonly seed: number
  readonly milliseconds: number
  /** Where the server's and the agents' homes are made; the caller's to remove. */
  readonly place: Place
  readonly onQuiet?: (quiet: Quiet, ms: number) => void
}
export interface SoakReport {
  readonly findings: readonly Finding[]
  /** What was done, by kind. */
  readonly edits: ReadonlyMap<string, number>
  readonly chaos: ReadonlyMap<string, number>
  /** What the agents did, by event. */
  readonly events: ReadonlyMap<string, number>
  readonly ledger: ReturnType<Ledger['counts']>
  readonly quietPoints: number
  readonly slowestQuiet: number
  readonly files: number
  readonly siblings: number
  /** What each agent told, and what people did, line by line. */
  readonly logs: ReadonlyMap<string, readonly string[]>
}

const NAMES = ['ann', 'bob', 'cyd']
const SHORTEST_WORK = 3_000
const LONGEST_WORK = 12_000

interface Soak {
  readonly world: World
  readonly cloud: Cloud
  readonly ledger: Ledger
  readonly people: readonly Person[]
  readonly dice: Dice
  readonly edits: Map<string, number>
  readonly chaos: Map<string, number>
}

/** Works, kills and cuts in turns with quiet points, until the time is over or the folders do not come to rest. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { seed } = options
  const start = performance.now()
  const elapsed = (): number => performance.now() - start
  const ledger = openLedger(elapsed)
  const world = await openWorld(options.place, NAMES, elapsed)
  const cloud = openCloud(world.url, world.bucket, world.token, ledger)
  const census = openCensus()
  const ending = new AbortController()
  const witness = cloud.witness(ending.signal)
  const people = world.agents.map(({ name, root }, index) =>
    openPerson({ name, root, ledger, dice: openDice(seed * 31 + index) }, seed),
  )
  const it: Soak = { world, cloud, ledger, people, dice: openDice(seed), edits: new Map(), chaos: new Map() }
  const findings: Finding[] = []
  const quiets: Quiet[] = []
  while (elapsed() < options.milliseconds) {
    const work = SHORTEST_WORK + it.dice.below(LONGEST_WORK - SHORTEST_WORK)
    await turn(it, Math.min(work, Math.max(SHORTEST_WORK, options.milliseconds - elapsed())))
    const quiet = await quietPoint(world, cloud, ledger, census)
    quiets.push(quiet)
    findings.push(...quiet.findings)
    options.onQuiet?.(quiet, elapsed())
    if (quiet.took === null) break
  }
  ending.abort()
  await witness
  const events = new Map<string, number>()
  for (const agent of world.agents) for (const [type, n] of agent.counts()) add(events, type, n)
  findings.push(...(await world.stop()).map((text): Finding => ({ law: 'agents live', text })))
  const last = quiets.at(-1)
  return {
    findings,
    edits: it.edits,
    chaos: it.chaos,
    events,
    ledger: ledger.counts(),
    quietPoints: quiets.filter(({ took }) => took !== null).length,
    slowestQuiet: Math.max(0, ...quiets.map(({ took }) => took ?? 0)),
    files: last?.files ?? 0,
    siblings: last?.siblings ?? 0,
    logs: new Map([['people', ledger.log()], ...world.agents.map((agent) => [agent.name, agent.log()] as const)]),
  }
}

function add(counts: Map<string, number>, name: string, n = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + n)
}

/** Everybody works at once; when it returns all processes run and the network is up. */
async function turn(it: Soak, milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds
  const going = (): boolean => performance.now() < end
  // Some turns are a flood of edits, some leave time for each.
  const pause = it.dice.pick([10, 40, 150])
  const calm = it.dice.oneIn(5)
  await Promise.all([
    ...it.people.map((person) => work(it, person, going, pause)),
    writeToCloud(it, going),
    ...(calm ? [] : [killAgents(it, going), killServer(it, going), cutNetworks(it, going)]),
  ])
}

async function work(it: Soak, person: Person, going: () => boolean, pause: number): Promise<void> {
  const weights = EDITS.reduce((sum, [, weight]) => sum + weight, 0)
  while (going()) {
    let rest = person.dice.below(weights)
    const [name, , edit] = EDITS.find(([, weight]) => (rest -= weight) < 0) ?? EDITS[0] ?? []
    if (name === undefined || edit === undefined) return
    try {
      if (await edit(person)) add(it.edits, name)
    } catch (error) {
      // An agent, or another edit, was there first: as for any program.
      if (typeof (error as NodeJS.ErrnoException).code !== 'string') throw error
      add(it.edits, `${name}: ${(error as NodeJS.ErrnoException).code}`)
    }
    await sleep(person.dice.below(pause * 2))
  }
}

async function writeToCloud(it: Soak, going: () => boolean): Promise<void> {
  while (going()) {
    await sleep(it.dice.below(1500))
    if (going() && (await it.cloud.edit(it.dice))) add(it.edits, 'put or delete in the bucket')
  }
}

async function killAgents(it: Soak, going: () => boolean): Promise<void> {
  for (;;) {
    await sleep(200 + it.dice.below(2500))
    if (!going()) return
    const index = it.dice.below(it.world.agents.length)
    add(it.chaos, 'kill -9 of an agent')
    await it.world.agents[index]?.kill(it.dice.below(1200))
  }
}

async function killServer(it: Soak, going: () => boolean): Promise<void> {
  for (;;) {
    await sleep(500 + it.dice.below(8000))
    if (!going()) return
    add(it.chaos, 'kill -9 of the server')
    it.ledger.note('kill -9 of the server')
    await it.world.killServer(it.dice.below(1500))
  }
}

async function cutNetworks(it: Soak, going: () => boolean): Promise<void> {
  for (;;) {
    await sleep(300 + it.dice.below(3000))
    if (!going()) return
    const agent = it.world.agents[it.dice.below(it.world.agents.length)]
    const state = it.dice.pick(['down', 'down', 'stalled'] as const)
    add(it.chaos, state === 'down' ? 'network cut' : 'network stalled')
    it.ledger.note(`network of ${agent?.name} ${state}`)
    agent?.network(state)
    await sleep(it.dice.below(2000))
    // What was stalled for long is dropped in the end.
    if (state === 'stalled' && it.dice.oneIn(2)) agent?.network('down')
    agent?.network('up')
  }
}
