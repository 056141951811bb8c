import { sqliteProblem } from '../platform/sqlite.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Agent, AgentStateName, AgentStatus, DryRun, PlanLine, SyncSummary, Waiting, WhyReport } from './api.ts'
import type { AgentState, Suspension } from './core/agent-state.ts'
import type { Path } from './core/types.ts'
import { codeOf } from './disk/failure.ts'
import type { Watcher, WatchOptions, WatchProblem } from './disk/watch.ts'
import { dirtyFolders } from './session/dirty.ts'
import { knownConflicts, listConflicts, resolveConflict } from './session/conflicts.ts'
import { keepInSync } from './session/live.ts'
import { holdBack, judge, planAll } from './session/planning.ts'
import { openPauses, type Pause, type Pauses } from './session/pauses.ts'
import { brakeOf, failed, skipped, summary, waitingForApproval } from './session/report.ts'
import type { CycleResult, Session } from './session/session.ts'
import { why } from './session/why.ts'
import { openSerial } from './serial.ts'
import { approveHeld, rejectHeld } from './state/held.ts'
import { getMeta, write } from './state/open.ts'
import { counts } from './state/rows.ts'

/** How long a single sync waits for files that somebody is writing to. */
const RESTLESS_PATIENCE = 3_000
const RESTLESS_PAUSE = 200
/** How often a single sync tries a path that failed. */
const TRIES = 3
const TRASH = { maxAgeMs: 30 * 24 * 3600 * 1000, maxBytes: 10 * 1024 ** 3 }
/** Milliseconds between two looks through the trash. */
const TRASH_EVERY = 3_600_000

export interface EngineOptions {
  readonly session: Session
  readonly pid: number
  readonly location: string
  readonly watchFolder: (options: WatchOptions) => Promise<Watcher>
  readonly rescanMs?: number
  /** Told when the trees turn out to be damaged. */
  readonly onDamage: () => void
  /** Lets go of everything that was opened for the session. */
  readonly release: () => Promise<void>
}

/** What an agent is doing. */
interface Now {
  state: AgentStateName
  suspended: Suspension | null
  problem: WatchProblem | null
}

/** An agent over a session: everything it does is done through the session's ports. */
export function openEngine(options: EngineOptions): Agent {
  const { session, location } = options
  const { ports } = session
  const oneByOne = openSerial()
  const serial = <T>(work: () => Promise<T>): Promise<T> => oneByOne(() => noticingDamage(work, options.onDamage))
  const now: Now = { state: 'idle', suspended: null, problem: null }
  let watching: Promise<SyncSummary> | null = null
  const closing = new AbortController()
  const pauses = openPauses(ports.db, ports.clock)
  const clearTrash = trashClearer(ports)

  const setState = (name: AgentStateName): void => {
    if (name === now.state) return
    now.state = name
    ports.onEvent({ type: 'state', state: name })
  }
  const both = (signal: AbortSignal | undefined): AbortSignal =>
    signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal])

  const syncOnce = async (signal?: AbortSignal): Promise<SyncSummary> =>
    serial(async () => {
      const before = { ...session.tally }
      session.failures.forget()
      if (watching === null) setState('syncing')
      try {
        const result = await untilSettled(session, both(signal))
        if (watching === null) setState(result.braked ? 'waiting' : 'idle')
      } catch (error) {
        if (!both(signal).aborted) throw error
      }
      await clearTrash()
      return summary(session, before)
    })

  const watch = async (signal: AbortSignal): Promise<SyncSummary> => {
    const before = { ...session.tally }
    await keepInSync(
      {
        session,
        serial: (work) => serial(() => withTrashCleared(work, clearTrash)),
        watchFolder: options.watchFolder,
        pauses,
        onState: (next) => {
          now.suspended = next.name === 'suspended' ? next.reason : null
          setState(nameOf(next))
        },
        onWatch: (problem) => {
          now.problem = problem
        },
        ...(options.rescanMs === undefined ? {} : { rescanMs: options.rescanMs }),
      },
      signal,
    )
    return summary(session, before)
  }

  const atOnce = (): typeof syncOnce | null => (watching === null || pauses.current() !== null ? null : syncOnce)

  return {
    pid: options.pid,
    syncOnce,
    watch: async (signal) => {
      watching = watch(both(signal))
      try {
        return await watching
      } finally {
        watching = null
      }
    },
    status: () => statusOf(session, { ...now, paused: pauses.current(), location, watching: watching !== null }),
    ...answers({ session, serial, pauses, atOnce }),
    dryRun: (signal) => serial(() => dryRun(session, signal)),
    close: async () => {
      closing.abort()
      await watching?.catch(() => undefined)
      await serial(async () => options.release())
    },
  }
}

/** Takes from the trash what is beyond its limits, with its first call and then no more than once an hour. */
function trashClearer({ disk, clock }: Session['ports']): () => Promise<void> {
  let cleared: number | null = null
  return async () => {
    if (cleared !== null && clock.elapsed() - cleared < TRASH_EVERY) return
    await disk.pruneTrash(TRASH)
    cleared = clock.elapsed()
  }
}

/** A trash that cannot be cleared keeps nothing from being synced. */
async function withTrashCleared<T>(work: () => Promise<T>, clearTrash: () => Promise<void>): Promise<T> {
  const result = await work()
  try {
    await clearTrash()
  } catch (error) {
    if (codeOf(error) === null) throw error
  }
  return result
}

/** What is decided and told on request. */
function answers({
  session,
  serial,
  pauses,
  atOnce,
}: {
  readonly session: Session
  readonly serial: <T>(work: () => Promise<T>) => Promise<T>
  readonly pauses: Pauses
  /** What brings both sides up to date after a decision; null where nothing is done by itself. */
  readonly atOnce: () => (() => Promise<unknown>) | null
}): Pick<Agent, 'why' | 'conflicts' | 'resolveConflict' | 'approve' | 'reject' | 'pause' | 'resume'> {
  return {
    why: async (path) => whyNow(await why(session, path), pauses.current()),
    conflicts: () => listConflicts(session),
    resolveConflict: async (path, keep) => {
      const resolved = await serial(() => resolveConflict(session, path, keep))
      await atOnce()?.()
      return resolved
    },
    approve: async () => decide(session, serial, approveHeld, atOnce()),
    reject: async () => decide(session, serial, rejectHeld, atOnce()),
    pause: async (until) => pauses.set({ until }),
    resume: async () => pauses.set(null),
  }
}

/** Where nothing is done by itself, that is why. */
function whyNow(report: WhyReport, pause: Pause | null): WhyReport {
  if (pause === null || report.reason !== null) return report
  return {
    ...report,
    reason: 'The folder is paused: nothing is looked at or done by itself.',
    next: 'Run blobs resume to go on, or blobs sync to sync it once.',
  }
}

async function noticingDamage<T>(work: () => Promise<T>, onDamage: () => void): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (sqliteProblem(error) !== 'corrupt') throw error
    onDamage()
    throw new BlobsError('Corrupt', 'the saved state of this folder is damaged', {
      cause: error,
      hint: 'start again: the folder is linked anew, which deletes nothing',
    })
  }
}

async function decide(
  { ports }: Session,
  serial: <T>(work: () => Promise<T>) => Promise<T>,
  act: (db: Session['ports']['db']) => number,
  then: (() => Promise<unknown>) | null,
): Promise<{ readonly count: number }> {
  const count = await serial(async () => write(ports.db, () => act(ports.db)))
  await then?.()
  return { count }
}

/** Cycles until nothing waits for time any more, or has had its chance. */
async function untilSettled(session: Session, signal: AbortSignal): Promise<CycleResult> {
  const { clock } = session.ports
  const start = clock.elapsed()
  let result = await session.cycle({ local: 'all', remote: true }, signal)
  while (!signal.aborted) {
    const retry = retryIn(session)
    const restless = session.observer.restless().size > 0 && clock.elapsed() - start < RESTLESS_PATIENCE
    const waits = [result.wait?.inMs, retry, restless ? RESTLESS_PAUSE : undefined].filter((ms) => ms !== undefined)
    if (waits.length === 0) break
    await clock.sleep(Math.min(...waits), signal)
    if (signal.aborted) break
    const again = [...(result.wait?.folders ?? []), ...dirtyFolders(session.observer.restless().keys())]
    result = await session.cycle({ local: again, remote: true }, signal)
  }
  return result
}

function retryIn({ failures }: Session): number | undefined {
  const again = failures
    .list()
    .filter(({ reason, tries }) => tries < TRIES && (reason === 'download-failed' || reason === 'upload-failed'))
  return again.length === 0 ? undefined : Math.max(50, failures.nextIn() ?? 0)
}

function nameOf(state: AgentState): AgentStateName {
  switch (state.name) {
    case 'waiting-for-approval':
      return 'waiting'
    case 'suspended':
      return state.reason === 'unauthenticated' ? 'unauthenticated' : 'suspended'
    case 'stopping':
      return 'stopped'
    default:
      return state.name
  }
}

function statusOf(
  session: Session,
  now: Now & { paused: Pause | null; location: string; watching: boolean },
): AgentStatus {
  const { ports } = session
  const { synced, pending } = counts(ports.db)
  const conflicts: Waiting[] = knownConflicts(session).map(({ path, siblings }) => ({
    type: 'conflict',
    path,
    siblings,
    remedy: `blobs conflicts resolve ${path} --keep mine|theirs|both`,
  }))
  const approvals = waitingForApproval(session)
  const mode = now.watching ? (now.problem === null ? 'events' : 'rescan') : 'off'
  return {
    state: stateOf(now, approvals.length > 0),
    suspended: now.suspended,
    paused: pausedJson(now.paused),
    root: ports.root.path,
    location: now.location,
    synced,
    pending,
    waiting: [...approvals, ...conflicts],
    unsynced: [...failed(session), ...skipped(session)],
    watch: { mode, remedy: now.problem?.remedy ?? null },
    lastVerified: getMeta(ports.db, 'verified'),
  }
}

/** Who opens the folder anew has run no cycle yet that could have told; one that rests may not have come to it yet. */
function stateOf({ state, paused }: { state: AgentStateName; paused: Pause | null }, asks: boolean): AgentStateName {
  if (paused !== null && state !== 'scanning' && state !== 'syncing') return 'paused'
  return state === 'idle' && asks ? 'waiting' : state
}

function pausedJson(pause: Pause | null): AgentStatus['paused'] {
  if (pause === null) return null
  return { until: pause.until === null ? null : new Date(pause.until).toISOString() }
}

async function dryRun(session: Session, signal: AbortSignal | undefined): Promise<DryRun> {
  const { ports } = session
  await session.observe(signal)
  const options = { leaveOut: () => false, sendWhole: new Set<Path>() }
  const lines: PlanLine[] = []
  for await (const { plan } of planAll(ports, options)) {
    const moved = new Map(
      [...plan.remoteDeletes, ...plan.localDeletes].flatMap((step) =>
        step.movedTo === undefined ? [] : [[step.movedTo, step.path] as const],
      ),
    )
    for (const step of plan.conflicts) lines.push({ action: 'conflict', path: step.path, size: step.local.size })
    for (const step of plan.uploads) lines.push(putLine('upload', step.path, step.local.size, moved.get(step.path)))
    for (const step of plan.downloads)
      lines.push(putLine('download', step.path, step.remote.size, moved.get(step.path)))
    for (const step of plan.remoteDeletes)
      if (step.movedTo === undefined) lines.push({ action: 'delete-remote', path: step.path })
    for (const step of plan.localDeletes)
      if (step.movedTo === undefined) lines.push({ action: 'delete-local', path: step.path })
    for (const step of plan.skips) lines.push({ action: 'skip', path: step.path, reason: step.reason })
  }
  holdBack(ports, await judge(ports, options))
  return { lines, brake: brakeOf(session) }
}

function putLine(action: 'upload' | 'download', path: Path, size: number, from: Path | undefined): PlanLine {
  return from === undefined ? { action, path, size } : { action: 'rename', path, from }
}
