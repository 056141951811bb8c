import type { Clock, Ids } from '../../src/platform/ports.ts'
import type { Database } from '../../src/platform/sqlite.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../../src/store/contract/errors.ts'
import { retrying } from '../../src/store/retry.ts'
import {
  pair,
  readPairing,
  type Agent,
  type MaxDelete,
  type SyncEvent,
  type SyncSummary,
  type Unsynced,
} from '../../src/sync/agent.ts'
import { openIgnore } from '../../src/sync/disk/ignore.ts'
import { openRoot } from '../../src/sync/disk/marker.ts'
import { openDisk } from '../../src/sync/disk/transition.ts'
import { openEngine } from '../../src/sync/engine.ts'
import { openSession } from '../../src/sync/session/session.ts'
import { prepareState } from '../../src/sync/state/open.ts'
import { traitsOf } from '../../src/sync/traits.ts'
import { openAccounts, type Accounts } from './accounts.ts'
import { chanceOf, type Chance } from './chance.ts'
import type { Coverage } from './coverage.ts'
import { openMemoryDisk, type MemoryDisk } from './memory-file-system.ts'
import { jumbled, networked, wired } from './network.ts'
import { openPerson, ROOT, type Person } from './person.ts'
import { Killed, stamp, wallTime } from './life.ts'
import { openProcess, type Process } from './process.ts'
import { openScheduler, type Scheduler } from './scheduler.ts'
import { openServer, type Server } from './server.ts'
import { simulatedWatcher } from './watcher.ts'
import { openWire, type Wire } from './wire.ts'
import { takeState } from './state-pool.ts'

const STATE = '/home/state'
/** How long somebody waits for a run that does not end. */
const WHILE = 1500
/** How often who follows both sides looks at everything, about: more often than without being told, so that less time has to pass. */
export const RESCAN = 90_000

export interface WorldOptions {
  readonly seed: number
  readonly devices: number
  readonly coverage: Coverage
  /** On the disk of the first device `A` and `a` are one name. */
  readonly caseBlind: boolean
  readonly canExchange: boolean
  /** Whether calls are repeated below the session, as a client of a server does. */
  readonly retries: boolean
  readonly backend?: 'memory' | 'local'
  readonly wire?: boolean
  readonly maxDelete: MaxDelete | null
  readonly window?: number
}

/** A machine with a disk, a person, and an agent that comes and goes. */
export interface Device {
  readonly name: string
  readonly disk: MemoryDisk
  readonly person: Person
  /** Starts a sync, or something else that an agent does, unless one is under way; also beside a run that follows both sides. */
  begin(what?: (agent: Agent) => Promise<unknown>): void
  /** Starts to follow both sides, unless something is under way. */
  live(): void
  /** Ends a run that follows both sides, as one who closes it. */
  quit(): Promise<void>
  /** The process that runs, if one does. */
  process(): Process | null
  /** Resolves when no sync is under way, or after a while where both sides are followed. Throws what a sync ended with that nothing explains. */
  rest(): Promise<void>
  /** Ends the process, with the power or without; gives how much of the disk vanished. */
  die(power: boolean): Promise<number>
  loseState(): Promise<void>
  stepClock(milliseconds: number): void
  /** One whole sync without faults; throws whatever it throws. */
  sync(): Promise<SyncSummary>
  /** Paths that wait for a yes. */
  held(): readonly string[]
  /** How many deletions had a yes and are not done. */
  approved(): number
  /** Files that the agent has deleted on either side, moves aside. */
  deletions(): { readonly local: number; readonly remote: number }
  /** Files that both sides agreed on. */
  files(): number
  /** Paths that the agent says are not in sync. */
  unsynced(): readonly Unsynced[]
  ignores(path: string): boolean
  /** Files of the folder without `.blobs`. */
  tree(): Map<string, string>
  /** Nothing of it is used any more. */
  close(): void
}

export interface World {
  readonly chance: Chance
  readonly scheduler: Scheduler
  readonly server: Server
  readonly devices: readonly Device[]
  readonly accounts: Accounts
  /** How many of all calls across the network meet with something. */
  setNetwork(rate: number): void
  /** Resolves when no message is under way any more. */
  calm(): Promise<void>
  /** Ends it, with whatever is under way. */
  close(): void
}

export async function openWorld(options: WorldOptions): Promise<World> {
  const chance = chanceOf(options.seed)
  const scheduler = openScheduler(chance)
  const ids = idsOf(chance)
  const accounts = openAccounts()
  const server = await scheduler.finish(openServer({ ...options, chance, scheduler, ids }))
  let rate = 0
  let messages: Promise<unknown>[] = []
  const later = (work: Promise<unknown>): void => void messages.push(work.catch(() => undefined))
  const lines = openWire({ ...options, chance, scheduler, rate: () => rate, listener: server.listener, later })
  const devices: Device[] = []
  for (const name of ['a', 'b', 'c'].slice(0, options.devices)) {
    const shared = { ...options, name, chance, scheduler, ids, accounts, server, later, lines, rate: () => rate }
    devices.push(await scheduler.finish(openDevice(shared)))
  }
  return {
    chance,
    scheduler,
    server,
    devices,
    accounts,
    setNetwork: (next) => {
      rate = next
      if (next === 0) lines.heal()
    },
    calm: async () => {
      await scheduler.finish(Promise.all(messages))
      messages = []
    },
    close: () => {
      for (const device of devices) device.close()
    },
  }
}

function idsOf(chance: Chance): Ids {
  const digits = (): string => chance.below(0x1_0000_0000).toString(16).padStart(8, '0')
  return { next: () => digits() + digits() + digits() + digits() }
}

interface DeviceOptions extends WorldOptions {
  readonly name: string
  readonly chance: Chance
  readonly scheduler: Scheduler
  readonly ids: Ids
  readonly accounts: Accounts
  readonly server: Server
  readonly rate: () => number
  readonly later: (work: Promise<unknown>) => void
  readonly lines: Wire
}

interface Running {
  readonly process: Process
  readonly agent: Agent
}

async function openDevice(options: DeviceOptions): Promise<Device> {
  const { name, chance, scheduler, coverage, accounts } = options
  let skew = 0
  const deleted = { local: 0, remote: 0 }
  const onEvent = (event: SyncEvent): void => {
    coverage.count(`event: ${event.type}`)
    if (event.type === 'deleted-local' && !event.path.endsWith('/')) deleted.local++
    if (event.type === 'deleted-remote' && !event.path.endsWith('/')) deleted.remote++
  }
  const caseBlind = options.caseBlind && name === 'a'
  const disk = openMemoryDisk({ ...options, caseBlind, now: () => stamp(scheduler, skew) })
  await furnish(disk, options)
  const person = openPerson(name, disk, accounts)
  const state = takeState()
  let running: Running | null = null
  let work: Promise<void> | null = null
  let following: AbortController | null = null
  let beside: Promise<void> | null = null
  let unexplained: unknown = null

  const start = (): Running => {
    const process = openProcess({ fs: disk.fs, db: state.db, chance, scheduler, coverage, skew: () => skew })
    return { process, agent: openAgentIn({ ...options, disk, onEvent }, process) }
  }
  const stop = (): void => {
    if (running === null) return
    state.cut()
    if (running.process.lostPower() && disk.powerLoss(chance) > 0) coverage.count('power: unsynced writes vanished')
    running = null
  }
  const once = async (): Promise<SyncSummary> => {
    running ??= start()
    return running.agent.syncOnce()
  }
  const run = async (act: (agent: Agent) => Promise<unknown>): Promise<void> => {
    try {
      running ??= start()
      await Promise.race([act(running.agent), running.process.death])
    } catch (error) {
      if (!isExplained(error)) unexplained = error
    }
    if (running !== null && !running.process.alive()) stop()
  }
  const attempt = async (act: (agent: Agent) => Promise<unknown>): Promise<void> => {
    await run(act)
    work = following = null
  }
  const sideline = async (act: (agent: Agent) => Promise<unknown>): Promise<void> => {
    await run(act)
    beside = null
  }
  const follows = (): boolean => following !== null && running?.process.alive() === true
  const rest = async (): Promise<void> => {
    if (beside !== null) await scheduler.finish(beside)
    if (work !== null && follows()) await scheduler.finish(scheduler.sleep(WHILE))
    else if (work !== null) await scheduler.finish(work)
    if (running !== null && !running.process.alive()) stop()
    if (unexplained !== null) throw unexplained
  }
  return {
    name,
    disk,
    person,
    begin: (what = (agent) => agent.syncOnce()) => {
      if (work === null) work = attempt(what)
      else if (follows()) beside ??= sideline(what)
    },
    live: () => {
      if (work !== null) return
      const { signal } = (following = new AbortController())
      work = attempt((agent) => agent.watch(signal))
    },
    quit: async () => {
      following?.abort('quit')
      following = null
      await rest()
    },
    process: () => running?.process ?? null,
    rest,
    die: async (power) => {
      running?.process.kill()
      await rest()
      return power ? disk.powerLoss(chance) : 0
    },
    loseState: async () => {
      running?.process.kill()
      await rest()
      state.lose()
    },
    stepClock: (milliseconds) => void (skew += milliseconds),
    sync: () => scheduler.finish(once()),
    held: () =>
      state.db
        .all<{ path: string }>('SELECT parent || name AS path FROM held WHERE approved = 0')
        .map(({ path }) => path),
    approved: () => count(state.db, 'held WHERE approved = 1'),
    deletions: () => ({ ...deleted }),
    files: () => count(state.db, `paths WHERE b_kind = 'f'`),
    unsynced: () => running?.agent.status().unsynced ?? [],
    ignores: (path) => openIgnore({ fs: disk.fs, root: ROOT }).ignores(path, false),
    tree: () => {
      const found = new Map<string, string>()
      for (const [path, { bytes, note }] of disk.tree(ROOT)) {
        if (path === '.blobs' || path.startsWith('.blobs/')) continue
        found.set(path, bytes === null ? '' : `${note}${Buffer.from(bytes).toString('latin1')}`)
      }
      return found
    },
    close: () => {
      running?.process.kill()
      running = null
      state.release()
    },
  }
}

function count(db: Database, what: string): number {
  return db.get<{ n: number }>(`SELECT count(*) AS n FROM ${what}`)?.n ?? 0
}

/** A new machine: a folder, paired, and a place for the state. */
async function furnish(disk: MemoryDisk, { scheduler, ids }: DeviceOptions): Promise<void> {
  const { fs } = disk
  const clock: Clock = { now: () => wallTime(scheduler, 0), elapsed: scheduler.elapsed, sleep: scheduler.sleep }
  disk.durably(() => {
    for (const path of ['/home', ROOT, STATE, '/home/outside']) fs.mkdir(path, 0o755)
  })
  await pair(ROOT, { location: '', bucket: 'team', prefix: '' }, { fs, clock, ids })
}

function openAgentIn(
  options: DeviceOptions & { readonly disk: MemoryDisk; readonly onEvent: (event: SyncEvent) => void },
  process: Process,
): Agent {
  const { name, chance, ids, onEvent } = options
  const { fs, db, clock } = process
  const pairing = readPairing(fs, ROOT)
  if (pairing === null) throw new BlobsError('Refused', `${name} has lost its pairing`)
  const root = openRoot(fs, ROOT, pairing.id)
  const problem = prepareState(fs, db, { device: name, folder: ROOT, root })
  if (problem !== null) throw new Error(`the state of ${name} does not fit: ${JSON.stringify(problem)}`)
  const direct = options.wire === true ? wired({ process, wire: options.lines }) : networked({ ...options, process })
  const store: BlobStore = options.retries ? retrying(direct, { clock, chance: chance.next }) : direct
  const watchFolder = simulatedWatcher({ ...options, life: process })
  const session = openSession({
    fs,
    clock,
    ids,
    db,
    root,
    disk: openDisk({ fs, root, stateDirectory: STATE, device: name, clock, ids }),
    bucket: { store: jumbled(store, options), prefix: '' },
    device: { id: name, name },
    traits: traitsOf(fs, ROOT, 'linux'),
    exclude: [],
    maxDelete: options.maxDelete,
    ...(options.window === undefined ? {} : { window: options.window }),
    onEvent,
  })
  return openEngine({
    session,
    pid: 1,
    location: '',
    watchFolder,
    rescanMs: RESCAN,
    onDamage: () => undefined,
    release: async () => undefined,
  })
}

/** Errors with which a sync may end while faults come. All else is a mistake of the engine. */
function isExplained(error: unknown): boolean {
  if (error instanceof Killed || isBlobsError(error)) return true
  const { message } = error as Error
  return (error instanceof Error && message.includes('(injected)')) || isDiskError(error)
}

function isDiskError(error: unknown): boolean {
  const { code, syscall } = Object(error) as { code?: unknown; syscall?: unknown }
  return typeof code === 'string' && typeof syscall === 'string'
}
