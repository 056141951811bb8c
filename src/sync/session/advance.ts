import type { SyncEvent } from '../api.ts'
import { explain } from '../core/reasons.ts'
import { sameContent } from '../core/reconcile.ts'
import type { Base, Content, Path, Reason, Step } from '../core/types.ts'
import { itemOf } from '../remote/mapping.ts'
import type { PullResult } from '../remote/pull.ts'
import type { PushResult } from '../remote/push-work.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import { release } from '../state/held.ts'
import { settleIntents } from '../state/intents.ts'
import { forgetCursor, note, write } from '../state/open.ts'
import { endPlacing } from '../state/placing.ts'
import { applyTaken, correctRemote, setBase, type Taken } from '../state/remote.ts'
import { messageOf, type Failures } from './failures.ts'
import type { Observer } from './observe.ts'
import type { Planned } from './planning.ts'
import type { SessionPorts } from './ports.ts'

/** What a round has to tell the next. */
export interface Progress {
  /** Something was written down that may need another step. */
  moved: boolean
  /** The bucket is not as it was last read. */
  lookRemote: boolean
  /** Paths that were not as planned. */
  readonly dirty: Set<Path>
  /** How often in this cycle a path was not as planned. */
  readonly unsteady: Map<Path, number>
  /** Uploads that must not name a copy again. */
  readonly sendWhole: Set<Path>
}

/** Writes down what was done, and nothing else: the base follows results, never plans. */
export interface Advance {
  pushed(results: readonly PushResult[]): void
  pulled(results: readonly PullResult[]): void
}

/** So often in one cycle a path may be another than planned. */
const PATIENCE = 5

interface Context {
  readonly ports: SessionPorts
  readonly observer: Observer
  readonly failures: Failures
  readonly progress: Progress
}

export function advance(context: Context, planned: Pick<Planned, 'plan' | 'rows'>): Advance {
  const { db } = context.ports
  const told = narrator(planned)
  return {
    pushed: (results) => {
      // The intent was written down before it was sent: by that the bucket's history tells all of it once more.
      note(db, () => savePushed(context, results))
      for (const result of results) followPushed(context, told, result)
    },
    pulled: (results) => {
      write(db, () => savePulled(context, results))
      for (const result of results) followPulled(context, told, result)
    },
  }
}

function savePushed({ ports: { db, bucket }, observer }: Context, results: readonly PushResult[]): void {
  const taken: Taken[] = []
  for (const result of results) {
    const { path } = result.work.step
    if (result.type === 'done') {
      const { content, info } = result
      const item = info === null ? null : itemOf(bucket.prefix, info)
      taken.push({ path, content, item, at: info?.position ?? null })
    } else if (result.type === 'overtaken') {
      const { current } = result
      settleIntents(db, [path])
      correctRemote(db, path, current === null ? null : itemOf(bucket.prefix, current))
      // A version that was there and never was: the bucket went back in time, and its history is not what we read.
      if (current === null && result.work.step.expect !== 'absent') forgetCursor(db)
    }
  }
  applyTaken(db, taken, observer.ignores)
  release(
    db,
    taken.map(({ path }) => path),
  )
}

function followPushed(context: Context, told: Narrator, result: PushResult): void {
  const { failures, progress } = context
  const { step } = result.work
  if (result.type === 'failed') {
    // The bytes that were to be copied are gone: next time they travel.
    if (step.type === 'upload' && step.copyOf !== null && isBlobsError(result.error, 'InvalidRequest')) {
      progress.sendWhole.add(step.path)
      progress.moved = true
    } else fail(context, step.path, result.reason, result.error)
    return
  }
  if (result.type === 'changed') return lookAgain(context, step.path)
  progress.moved = true
  if (result.type === 'overtaken') progress.lookRemote = true
  if (result.type !== 'done') return
  failures.clear(step.path)
  progress.sendWhole.delete(step.path)
  tell(context, told.pushed(step, result.info?.version ?? 0))
}

function savePulled({ ports: { db }, observer }: Context, results: readonly PullResult[]): void {
  for (const { work } of results) endPlacing(db, work.step.path)
  const agreed = new Map<Path, Base>()
  const apart: [Path, Base | null][] = []
  const done = results.flatMap(({ work: { step }, result }) =>
    result.type === 'done' ? [{ step, now: result.now }] : [],
  )
  for (const { step, now } of done) {
    const base = step.type === 'delete-local' ? step.base : baseOf(step.remote)
    const isFile = now[0]?.path === step.path && now[0].node.kind === 'file'
    if (base !== null && isFile) agreed.set(step.path, base)
    else apart.push([step.path, base])
  }
  // All at once: what follows from an observation for the names above it is looked up once.
  observer.take(
    done.flatMap(({ now }) => now),
    agreed,
  )
  for (const [path, base] of apart) setBase(db, path, base)
  release(
    db,
    done.map(({ step }) => step.path),
  )
}

function followPulled(context: Context, told: Narrator, { work: { step }, result }: PullResult): void {
  const { failures, progress } = context
  if (result.type === 'failed') {
    if (isBlobsError(result.error, 'NotFound')) progress.lookRemote = true
    fail(context, step.path, result.reason, result.error)
    return
  }
  if (result.sibling !== null) tell(context, { type: 'conflict', path: step.path, sibling: result.sibling })
  if (result.type === 'dropped') {
    if (result.sibling !== null) progress.dirty.add(result.sibling)
    return lookAgain(context, step.path)
  }
  progress.moved = true
  failures.clear(step.path)
  tell(context, told.pulled(step))
}

/** Somebody was faster: plan again, but not for ever. A file that never stands still waits, and the others go on. */
function lookAgain(context: Context, path: Path): void {
  const { progress } = context
  const times = (progress.unsteady.get(path) ?? 0) + 1
  progress.unsteady.set(path, times)
  if (times > PATIENCE) return fail(context, path, 'changing', null)
  progress.moved = true
  progress.dirty.add(path)
}

function fail({ ports, failures }: Context, path: Path, reason: Reason, error: unknown): void {
  if (!failures.add(path, reason, error)) return
  ports.onEvent({ type: 'failed', path, reason, message: messageOf(error), remedy: explain(reason, path).remedy })
}

function tell({ ports }: Context, event: SyncEvent | null): void {
  if (event !== null) ports.onEvent(event)
}

function baseOf(
  remote: (Content & { readonly version: number }) | null,
): (Content & { readonly version: number }) | null {
  if (remote === null) return null
  const { kind, hash, size, executable, version } = remote
  return { kind, hash, size, executable, version }
}

interface Narrator {
  pushed(step: Step, version: number): SyncEvent | null
  pulled(step: Step): SyncEvent | null
}

/** Turns steps into events: the two halves of a move are one. */
function narrator({ plan, rows }: Pick<Planned, 'plan' | 'rows'>): Narrator {
  const movedFrom = new Map<string, Path>()
  for (const step of plan.remoteDeletes)
    if (step.movedTo !== undefined) movedFrom.set(`push ${step.movedTo}`, step.path)
  for (const step of plan.localDeletes) if (step.movedTo !== undefined) movedFrom.set(`pull ${step.movedTo}`, step.path)
  return {
    pushed: (step, version) => {
      const { path } = step
      if (step.type === 'delete-remote') return step.movedTo === undefined ? { type: 'deleted-remote', path } : null
      if (step.type !== 'upload') return null
      const row = rows.get(path)
      const from = movedFrom.get(`push ${path}`)
      if (from !== undefined) return { type: 'renamed', path, from }
      if (row?.remote?.kind === 'deleted' && row.base !== null) return { type: 'resurrected', path }
      if (onlyMode(row?.base ?? null, step.local)) return { type: 'mode', path, executable: step.local.executable }
      return { type: 'uploaded', path, version, size: step.local.size }
    },
    pulled: (step) => {
      const { path } = step
      if (step.type === 'delete-local') return step.movedTo === undefined ? { type: 'deleted-local', path } : null
      if (step.type !== 'download') return null
      const row = rows.get(path)
      const from = movedFrom.get(`pull ${path}`)
      if (from !== undefined) return { type: 'renamed', path, from }
      if (row !== undefined && row.local === null && row.base !== null) return { type: 'resurrected', path }
      if (onlyMode(step.replaces, step.remote)) return { type: 'mode', path, executable: step.remote.executable }
      return { type: 'downloaded', path, version: step.remote.version, size: step.remote.size }
    },
  }
}

function onlyMode(before: Content | null, after: Content): boolean {
  return before !== null && before.hash === after.hash && !sameContent(before, after)
}
