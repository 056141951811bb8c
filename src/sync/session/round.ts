import { explain } from '../core/reasons.ts'
import { isBraked } from '../core/safety.ts'
import type { Path, Step } from '../core/types.ts'
import type { DirtyFolder } from '../disk/observed.ts'
import { pull, type PullStep, type PullWork } from '../remote/pull.ts'
import { push } from '../remote/push.ts'
import { park, unparkAbove, type Parked } from '../state/parking.ts'
import { write } from '../state/open.ts'
import { beginPlacing } from '../state/placing.ts'
import { setBase } from '../state/remote.ts'
import { hasBytesOnDisk, isOneSided, onDiskWith, rowAt } from '../state/rows.ts'
import { dirtyFolders } from './dirty.ts'
import { advance, type Advance, type Progress as Moves } from './advance.ts'
import {
  holdBack,
  isHeld,
  judge,
  judgePlan,
  NO_BRAKES,
  planAll,
  type Planned,
  type PlanningOptions,
  type Verdict,
} from './planning.ts'
import type { SessionPorts } from './ports.ts'
import { bytesOf, pushOptions, pushWork, type RoundContext } from './pushing.ts'

/** A delete waits so long for its file to be written anew: many programs save that way. */
const DELETE_PATIENCE = 200

export interface RoundResult {
  /** Something moved: look again. */
  readonly moved: boolean
  readonly lookRemote: boolean
  readonly dirty: readonly DirtyFolder[]
  /** Look again at `folders` after so many milliseconds; null: nothing waits for time. */
  readonly wait: { readonly inMs: number; readonly folders: readonly DirtyFolder[] } | null
  readonly verdict: Verdict
}

/** One look at all that differs: plan, brakes, then both sides at once. Throws what concerns the whole bucket, with all results saved. `moves`: what was found out before. */
export async function round(context: RoundContext, moves: Moves): Promise<RoundResult> {
  const { ports, failures } = context
  const options: PlanningOptions = {
    leaveOut: (path) => failures.waits(path),
    sendWhole: context.sendWhole,
  }
  const late = new Map<Path, number>()
  let verdict: Verdict | null = null
  let last: Planned | null = null
  const due = new Set(failures.list().flatMap(({ path }) => (failures.waits(path) ? [] : [path])))
  for await (const planned of planAll(ports, options)) {
    if (verdict === null) {
      verdict = await judgeAll(ports, planned, options)
      holdBack(ports, verdict)
    }
    last = planned
    for (const path of planned.rows.keys()) due.delete(path)
    await carryOut(context, planned, verdict, moves, late)
    if (context.signal?.aborted) break
  }
  // What failed and differs no more is all right.
  for (const path of due) failures.clear(path)
  if (verdict === null) {
    verdict = NO_BRAKES
    holdBack(ports, verdict)
  }
  return {
    // Rules that could not be brought wait, and keep nothing else waiting.
    moved:
      moves.moved ||
      (last?.alone === true && goesRoundOnceMore(context)) ||
      (last?.fresh === true && !isOneSided(ports.db)),
    lookRemote: moves.lookRemote,
    dirty: dirtyFolders(moves.dirty),
    wait: late.size === 0 ? null : { inMs: longest(late.values()), folders: dirtyFolders(late.keys()) },
    verdict,
  }
}

function judgeAll(ports: SessionPorts, first: Planned, options: PlanningOptions): Verdict | Promise<Verdict> {
  if (first.whole) return judgePlan(ports, first)
  // Nothing of what is planned was ever agreed on, so that nothing is deleted.
  return first.fresh ? NO_BRAKES : judge(ports, options)
}

/** So often in a cycle rules that could not be brought are a reason to plan again. */
const RULES_PATIENCE = 3

function goesRoundOnceMore({ unsteady }: RoundContext): boolean {
  const times = (unsteady.get('') ?? 0) + 1
  unsteady.set('', times)
  return times <= RULES_PATIENCE
}

async function carryOut(
  context: RoundContext,
  planned: Planned,
  verdict: Verdict,
  moves: Moves,
  late: Map<Path, number>,
): Promise<void> {
  const { ports } = context
  writeDown(context, planned, moves)
  const { plan } = planned
  const due = (step: Step): boolean => {
    if (!isBraked(step)) return true
    if (isHeld(ports, verdict, step)) return false
    // A folder stands at the name: that file does not come back.
    if (planned.rows.get(step.path)?.localFolder === true) return true
    const gone = step.type === 'delete-remote' ? context.observer.goneFor(step.path) : null
    if (gone === null || gone >= DELETE_PATIENCE) return true
    late.set(step.path, DELETE_PATIENCE - gone)
    return false
  }
  const pushes = [...plan.uploads, ...plan.remoteDeletes].filter(due).map((step) => pushWork(planned, step))
  const pulls = diskOrder(planned)
    .filter(due)
    .map((step) => pullWork(planned, step))
  context.progress.expect(pushes.length + pulls.length, bytesOf(pushes) + bytesOf(pulls))
  const results = advance({ ports, observer: context.observer, failures: context.failures, progress: moves }, planned)
  const settled = await Promise.allSettled([
    push(pushOptions(context, results), pushes),
    pullAll(context, results, pulls),
  ])
  for (const one of settled) if (one.status === 'rejected') throw one.reason
}

function pullAll(
  { ports, tally, progress, signal }: RoundContext,
  results: Advance,
  works: readonly PullWork[],
): Promise<void> {
  const { bucket, db, disk } = ports
  return pull(
    {
      bucket,
      disk,
      onDiskWith: (hash, size) => onDiskWith(db, hash, size, 1),
      hasBytesOnDisk: () => hasBytesOnDisk(db),
      keepFolder: (folder) => keepsFolder(ports, folder),
      onPlacing: (placings) => write(db, () => beginPlacing(db, placings)),
      onResults: (list) => {
        results.pulled(list)
        progress.files(list.length)
      },
      onBytes: (bytes) => {
        tally.bytesDown += bytes
        progress.bytes(bytes)
      },
      ...(signal === undefined ? {} : { signal }),
    },
    works,
  )
}

/** Deletes first; but one that is half of a move goes next to the other half, so that the bytes are still there to be taken. */
function diskOrder({ plan }: Planned): PullStep[] {
  const moved = new Map(
    plan.localDeletes.flatMap((step) => (step.movedTo === undefined ? [] : [[step.movedTo, step] as const])),
  )
  const plain = plan.localDeletes.filter((step) => step.movedTo === undefined)
  const downloads = plan.downloads.flatMap((step) => {
    const from = moved.get(step.path)
    return from === undefined ? [step] : [from, step]
  })
  return [...plan.conflicts, ...plain, ...downloads]
}

/** Saves what needs no I/O: agreements, and why a path is left alone. */
function writeDown(context: RoundContext, { plan, rows }: Planned, moves: Moves): void {
  const { ports, told } = context
  const planned = new Set<Path>()
  for (const list of [
    plan.records,
    plan.uploads,
    plan.remoteDeletes,
    plan.localDeletes,
    plan.conflicts,
    plan.downloads,
  ]) {
    for (const step of list) planned.add(step.path)
  }
  const parked: [Path, Parked][] = plan.skips.map((step) => [step.path, step.reason])
  for (const step of plan.skips) planned.add(step.path)
  for (const path of rows.keys()) if (!planned.has(path)) parked.push([path, 'settled'])
  if (plan.records.length > 0) moves.moved = true
  if (plan.records.length > 0 || parked.length > 0) {
    write(ports.db, () => {
      for (const { path, base } of plan.records) setBase(ports.db, path, base)
      unparkAbove(
        ports.db,
        plan.records.map((step) => step.path),
      )
      park(ports.db, parked)
    })
  }
  for (const { path, base } of plan.records) if (base !== null) context.failures.clear(path)
  for (const { path, reason } of plan.skips) {
    if (told.has(`${reason} ${path}`)) continue
    told.add(`${reason} ${path}`)
    ports.onEvent({ type: 'skipped', path, reason, remedy: explain(reason, path).remedy })
  }
}

function pullWork({ rows }: Planned, step: PullStep): PullWork {
  const row = rows.get(step.path)
  return { step, identity: row?.identity ?? '', remoteMtime: row?.remoteMtime ?? null }
}

function keepsFolder(ports: SessionPorts, folder: Path): boolean {
  const remote = rowAt(ports.db, ports.traits, `${folder}/`)?.remote ?? null
  return remote !== null && remote.kind !== 'deleted'
}

function longest(waits: Iterable<number>): number {
  let most = 1
  for (const wait of waits) most = Math.max(most, wait)
  return most
}
