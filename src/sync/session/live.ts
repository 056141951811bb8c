import { INITIAL_STATE, nextState, type AgentEvent, type AgentState } from '../core/agent-state.ts'
import type { Path } from '../core/types.ts'
import { dirtyFolders } from './dirty.ts'
import type { DirtyFolder } from '../disk/observed.ts'
import type { Watcher, WatchOptions, WatchProblem } from '../disk/watch.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { getMeta } from '../state/open.ts'
import { messageOf } from './failures.ts'
import type { Pauses } from './pauses.ts'
import type { CycleResult, CycleScope, Session } from './session.ts'
import { troubleOf } from './trouble.ts'
import { openWants, type Wants } from './wants.ts'

export interface LiveOptions {
  readonly session: Session
  /** Runs work while no other cycle does. */
  readonly serial: <T>(work: () => Promise<T>) => Promise<T>
  readonly watchFolder: (options: WatchOptions) => Promise<Watcher>
  readonly pauses: Pauses
  readonly onState: (state: AgentState) => void
  readonly onWatch: (problem: WatchProblem | null) => void
  /** Milliseconds between full rescans, about. Shorter while events may be missing. */
  readonly rescanMs?: number
}

const RESCAN = 300_000
const DEGRADED_RESCAN = 15_000
const FIRST_RETRY = 250
const LONGEST_RETRY = 30_000
/** After so long without trouble, the next trouble is a new one. */
const CALM = 10_000
const ROOT_RETRY = 2_000
const SUSPENDED_RETRY = 30_000
/** A file that somebody writes to is looked at again after as long as that goes on already, within these bounds: most are closed at once. */
const RESTLESS_RETRY = { least: 20, most: 500 }

/** Keeps both sides the same until the signal aborts: watch first, then look at everything, then follow both sides' news. */
export async function keepInSync(options: LiveOptions, signal: AbortSignal): Promise<void> {
  const { session, pauses } = options
  const machine = openMachine(options.onState)
  const wants = openWants(session.ports.clock)
  const watching = await openWatching(options, wants)
  const { clock, onEvent } = session.ports
  let tries = 0
  let offline = false
  let proved: number | null = null
  try {
    while (!signal.aborted) {
      await pauseOut(options, machine, wants, signal)
      const round = AbortSignal.any([signal, pauses.next()])
      try {
        await prove(options, machine, round)
        if (offline) onEvent({ type: 'online' })
        offline = false
        proved = clock.elapsed()
        await follow(options, machine, wants, watching, round)
      } catch (error) {
        // Only what went well for a while is tried at once again: else a feed that ends each time would keep us busy.
        if (proved !== null && clock.elapsed() - proved > CALM) tries = 0
        proved = null
        if (!round.aborted && !(tries++ === 0 && isAnotherHistory(error))) {
          offline = true
          if (isRootTrouble(error)) watching.doubt()
          await waitOut(options, machine, wants, error, tries - 1, round)
        }
      }
    }
  } finally {
    machine.tell({ type: 'stopped' })
    await watching.close()
  }
}

interface Watching {
  degraded(): boolean
  /** The folder is away: what is watched may be another one, or nothing. */
  doubt(): void
  /** Watches anew if the folder was away, or the rules are others than when the watch began: folders come or go with them. */
  renew(): Promise<void>
  close(): Promise<void>
}

async function openWatching(options: LiveOptions, wants: Wants): Promise<Watching> {
  const { session } = options
  const { clock, fs, db, root } = session.ports
  let degraded = false
  const open = (): Promise<Watcher> => {
    degraded = false
    options.onWatch(null)
    return options.watchFolder({
      fs,
      root: root.path,
      ignore: () => session.observer.ignore(),
      clock,
      onDirty: (folders) => wants.folders(folders),
      onDegraded: (problem) => {
        degraded = true
        options.onWatch(problem)
        wants.everything()
      },
      // Deletes wait in the plan, whoever found them.
      isKnown: () => false,
    })
  }
  let rules = getMeta(db, 'rules')
  let watcher = await open()
  let doubted = false
  return {
    degraded: () => degraded,
    doubt: () => {
      doubted = true
    },
    renew: async () => {
      const now = getMeta(db, 'rules')
      if (now === rules && !doubted) return
      rules = now
      doubted = false
      const before = watcher
      watcher = await open()
      await before.close()
      wants.everything()
    },
    close: () => watcher.close(),
  }
}

/** No trouble: the next cycle lists the bucket anew. */
function isAnotherHistory(error: unknown): boolean {
  return isBlobsError(error, 'CursorExpired') || isBlobsError(error, 'CursorForked')
}

interface Machine {
  tell(event: AgentEvent): void
}

function openMachine(onState: (state: AgentState) => void): Machine {
  let state = INITIAL_STATE
  onState(state)
  return {
    tell: (event) => {
      const next = nextState(state, event)
      if (next.name !== state.name) onState(next)
      state = next
    },
  }
}

async function prove(options: LiveOptions, machine: Machine, signal: AbortSignal): Promise<void> {
  machine.tell({ type: 'proved' })
  await cycle(options, machine, { local: 'all', remote: true }, signal)
}

async function cycle(
  { session, serial }: LiveOptions,
  machine: Machine,
  scope: CycleScope,
  signal: AbortSignal,
): Promise<CycleResult> {
  machine.tell({ type: 'scanned' })
  const result = await serial(() => session.cycle(scope, signal))
  machine.tell({ type: result.braked ? 'braked' : 'settled' })
  return result
}

/** Acts on the news of both sides, and looks at everything now and then, until something fails. */
async function follow(
  options: LiveOptions,
  machine: Machine,
  wants: Wants,
  watching: Watching,
  signal: AbortSignal,
): Promise<void> {
  const { session } = options
  const { clock, ids } = session.ports
  const feed = openFeed(session, wants, signal)
  // Not all agents of a bucket at once.
  const spread = 0.75 + Number.parseInt(ids.next().slice(0, 6), 16) / 2 ** 25
  const period = (): number => (watching.degraded() ? DEGRADED_RESCAN : (options.rescanMs ?? RESCAN)) * spread
  let lastFull = clock.elapsed()
  const later = openLater()
  try {
    await watching.renew()
    while (!signal.aborted) {
      feed.check()
      const now = clock.elapsed()
      const retry = Math.max(FIRST_RETRY, session.failures.nextIn() ?? Number.POSITIVE_INFINITY)
      const within = Math.min(lastFull + period() - now, later.dueIn(now), retry)
      const found = await wants.next(Math.max(0, within), signal)
      feed.check()
      if (signal.aborted) return
      const scope = widen(found, later.take(clock.elapsed()), clock.elapsed() - lastFull >= period())
      if (scope.local === 'all') lastFull = clock.elapsed()
      machine.tell({ type: 'changed' })
      const result = await cycle(options, machine, scope, signal)
      await watching.renew()
      if (result.wait !== null) later.add(result.wait.folders, clock.elapsed() + result.wait.inMs)
      const restless = session.observer.restless()
      if (restless.size > 0) later.add(dirtyFolders(restless.keys()), clock.elapsed() + pauseFor(restless.values()))
    }
  } finally {
    await feed.stop()
  }
}

/** Until the file that became restless last is looked at again. */
function pauseFor(restless: Iterable<number>): number {
  const newest = Math.min(...restless)
  return Math.min(RESTLESS_RETRY.most, Math.max(RESTLESS_RETRY.least, newest))
}

function widen(found: CycleScope | null, due: readonly DirtyFolder[], full: boolean): CycleScope {
  if (full || found?.local === 'all') return { local: 'all', remote: true }
  return { local: [...(found?.local ?? []), ...due], remote: false }
}

/** Folders to be looked at again at a time. */
function openLater(): {
  add(folders: readonly DirtyFolder[], at: number): void
  dueIn(now: number): number
  take(now: number): readonly DirtyFolder[]
} {
  let at = Number.POSITIVE_INFINITY
  const paths = new Map<Path, DirtyFolder>()
  return {
    add: (folders, when) => {
      at = Math.min(at, when)
      for (const folder of folders) paths.set(folder.path, folder)
    },
    dueIn: (now) => at - now,
    take: (now) => {
      if (now < at) return []
      const due = [...paths.values()]
      paths.clear()
      at = Number.POSITIVE_INFINITY
      return due
    },
  }
}

interface Feed {
  /** Throws what ended it. */
  check(): void
  stop(): Promise<void>
}

/** Follows the bucket's changes in the background: each is written down as it comes, and wakes the loop. */
function openFeed(session: Session, wants: Wants, signal: AbortSignal): Feed {
  const stopping = new AbortController()
  const state: { failure: { readonly error: unknown } | null } = { failure: null }
  const run = async (): Promise<void> => {
    const since = getMeta(session.ports.db, 'cursor')
    const ended = AbortSignal.any([signal, stopping.signal])
    try {
      const options = { live: true, signal: ended, ...(since === null ? {} : { since }) }
      for await (const item of session.ports.bucket.store.changes(options)) if (session.feed(item)) wants.news()
      if (!ended.aborted) state.failure = { error: new BlobsError('Unavailable', 'the live feed of the bucket ended') }
    } catch (error) {
      if (!ended.aborted) state.failure = { error }
    }
    wants.stop()
  }
  const running = run()
  return {
    check: () => {
      if (state.failure !== null) throw state.failure.error
    },
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}

/** While the folder is paused, nothing is done. */
async function pauseOut({ pauses }: LiveOptions, machine: Machine, wants: Wants, signal: AbortSignal): Promise<void> {
  const pause = pauses.current()
  if (pause === null) return
  machine.tell({ type: 'paused', until: pause.until })
  await pauses.end(signal)
  // What happened meanwhile was not looked at.
  wants.everything()
  machine.tell({ type: 'resumed' })
}

function isRootTrouble(error: unknown): boolean {
  const trouble = troubleOf(error)
  return trouble?.type === 'suspended' && (trouble.reason === 'root-missing' || trouble.reason === 'other-root')
}

/** Says what is wrong and waits until it is worth trying again. */
async function waitOut(
  { session }: LiveOptions,
  machine: Machine,
  wants: Wants,
  error: unknown,
  tries: number,
  signal: AbortSignal,
): Promise<void> {
  const trouble = troubleOf(error)
  if (trouble === null) throw error
  const { clock, ids, onEvent } = session.ports
  const message = messageOf(error)
  if (trouble.type === 'offline') {
    const jitter = 0.75 + Number.parseInt(ids.next().slice(0, 6), 16) / 2 ** 25
    const retryIn = Math.max(trouble.retryAfter, Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** tries) * jitter)
    machine.tell({ type: 'disconnected' })
    onEvent({ type: 'offline', message, retryIn })
    await clock.sleep(retryIn, signal)
    machine.tell({ type: 'connected' })
    return
  }
  machine.tell({ type: 'suspended', reason: trouble.reason })
  await clock.sleep(isRootTrouble(error) ? ROOT_RETRY : SUSPENDED_RETRY, signal)
  wants.everything()
  machine.tell({ type: 'recovered' })
}
