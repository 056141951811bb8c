import { plan, type Plan } from '../core/plan.ts'
import { historyAfter, needsFolder } from '../core/reconcile.ts'
import { brake, census, isBraked, type Brake, type Delete, type Side } from '../core/safety.ts'
import type { Path, Step } from '../core/types.ts'
import { IGNORE_FILE } from '../disk/ignore.ts'
import { keyOf } from '../remote/mapping.ts'
import { heldDeletes, hold, isApproved, sideOf } from '../state/held.ts'
import { look, write } from '../state/open.ts'
import {
  differing,
  filesWithBase,
  inBucketWith,
  isFileOnDisk,
  isOneSided,
  rowAt,
  setHistory,
  type PlanRow,
} from '../state/rows.ts'
import { clashing } from './clashes.ts'
import { inTheWay } from './in-the-way.ts'
import type { SessionPorts } from './ports.ts'

/** A plan and the rows it was made from. */
export interface Planned {
  readonly plan: Plan
  readonly rows: ReadonlyMap<Path, PlanRow>
  /** There is no other window. */
  readonly whole: boolean
  /** New rules, before which nothing else is planned. */
  readonly alone: boolean
  /** Of what is new on one side, see `isOneSided`; what came to differ otherwise meanwhile was not planned. */
  readonly fresh: boolean
}

/** Rows planned at once: bounds memory, whatever differs. The two halves of a move are seen as one in the same window only. */
const WINDOW = 50_000
/** Where there are no moves: the first bytes travel before the rest is planned, and less is held in memory. */
const FRESH_WINDOW = 5_000
const QUESTIONS_AT_ONCE = 8
/** As far back as the digests of a listing go. */
const VERSIONS_ASKED = 100

export interface PlanningOptions {
  /** Paths to be left alone for now. */
  readonly leaveOut: (path: Path) => boolean
  /** Uploads of these read the file even where the bucket has its bytes: copying them did not work. */
  readonly sendWhole: ReadonlySet<Path>
}

/**
 * Plans all that differs, a window at a time; the next is planned after the last was done. New rules in the bucket go first and alone: until
 * they are on disk nobody knows which other paths are meant.
 */
export async function* planAll(ports: SessionPorts, options: PlanningOptions): AsyncGenerator<Planned> {
  const rules = rulesToFetch(ports, options)
  if (rules.length > 0) {
    const found = planned(ports, await askHistory(ports, withNamesAbove(ports, rules)), options)
    yield { ...found, whole: true, alone: true, fresh: false }
    return
  }
  const fresh = isOneSided(ports.db)
  const window = ports.window ?? (fresh ? FRESH_WINDOW : WINDOW)
  let after: Path | null = null
  for (;;) {
    const from: Path | null = after
    const rows: PlanRow[] = look(ports.db, () => differing(ports.db, ports.traits, from, window))
    const last = rows.at(-1)
    if (last === undefined) return
    const whole = after === null && rows.length < window
    after = last.path
    const due = fresh ? rows.filter(isNew) : rows
    const found = planned(ports, await askHistory(ports, withNamesAbove(ports, due)), options)
    yield { ...found, whole, alone: false, fresh }
    if (rows.length < window) return
  }
}

function isNew({ base, local, remote }: PlanRow): boolean {
  return base === null && (local === null || remote === null)
}

/** A file that is in sync makes way all the same when the bucket gets something below its name. */
function withNamesAbove(ports: SessionPorts, rows: readonly PlanRow[]): readonly PlanRow[] {
  const there = new Set(rows.map((row) => row.path))
  const looked = new Set<Path>()
  const added: PlanRow[] = []
  for (const row of rows) {
    if (!needsFolder(row)) continue
    for (let slash = row.path.lastIndexOf('/'); slash > 0; slash = row.path.lastIndexOf('/', slash - 1)) {
      const name = row.path.slice(0, slash)
      if (looked.has(name)) break
      looked.add(name)
      const above = !there.has(name) && isFileOnDisk(ports.db, name) ? rowAt(ports.db, ports.traits, name) : null
      if (above !== null) added.push(above)
    }
  }
  return added.length === 0 ? rows : [...added, ...rows]
}

function rulesToFetch(ports: SessionPorts, options: Pick<PlanningOptions, 'leaveOut'>): PlanRow[] {
  const paths = ports.db.all<{ parent: string }>(
    `SELECT parent FROM paths WHERE differs AND name = ? AND r_kind = 'f' AND NOT (b_version IS r_version)`,
    IGNORE_FILE,
  )
  return paths.flatMap(({ parent }) => {
    const path = parent + IGNORE_FILE
    const row = options.leaveOut(path) ? null : rowAt(ports.db, ports.traits, path)
    return row === null || row.unfit !== null || row.local?.kind === 'unknown' ? [] : [row]
  })
}

/** Plans the files among these paths whose name and bytes are in no tree but the disk's: whatever else there is, they are uploads. */
export function planNewFiles(
  ports: SessionPorts,
  paths: readonly Path[],
  options: PlanningOptions,
): Pick<Planned, 'plan' | 'rows'> {
  const found = look(ports.db, () => paths.flatMap((path) => rowAt(ports.db, ports.traits, path) ?? []))
  const rows = found.filter(({ base, remote, local }) => base === null && remote === null && local?.kind === 'file')
  return planned(ports, rows, options)
}

/** True if the bucket has rules that are not on disk yet. */
export function awaitsRules(ports: SessionPorts): boolean {
  return rulesToFetch(ports, { leaveOut: () => false }).length > 0
}

function planned(
  ports: SessionPorts,
  rows: readonly PlanRow[],
  options: PlanningOptions,
): Pick<Planned, 'plan' | 'rows'> {
  const clashes = clashing(ports)
  const unfitFor = inTheWay(ports)
  const seen = rows.map((row) => {
    if (row.unfit !== null) return row
    if (clashes(row.path)) return { ...row, unfit: 'name-clash' as const }
    return { ...row, unfit: unfitFor(row) }
  })
  const made = look(ports.db, () => plan(seen, { knownCopy: (hash, size) => inBucketWith(ports.db, hash, size) }))
  const uploads = made.uploads.map((step) => (options.sendWhole.has(step.path) ? { ...step, copyOf: null } : step))
  const rowsByPath = new Map(seen.map((row) => [row.path, row]))
  return withoutLeftOut({ ...made, uploads }, rowsByPath, options.leaveOut)
}

/** A move is left alone as a whole: a delete that lost its other half would be no more than a delete. */
function withoutLeftOut(
  made: Plan,
  rows: ReadonlyMap<Path, PlanRow>,
  leaveOut: (path: Path) => boolean,
): Pick<Planned, 'plan' | 'rows'> {
  const left = new Set([...rows.keys()].filter(leaveOut))
  if (left.size === 0) return { plan: made, rows }
  for (const step of [...made.remoteDeletes, ...made.localDeletes])
    if (step.movedTo !== undefined && left.has(step.movedTo)) left.add(step.path)
  const stays = ({ path }: { readonly path: Path }): boolean => !left.has(path)
  const kept: Plan = {
    records: made.records.filter(stays),
    uploads: made.uploads.filter(stays),
    remoteDeletes: made.remoteDeletes.filter(stays),
    localDeletes: made.localDeletes.filter(stays),
    conflicts: made.conflicts.filter(stays),
    downloads: made.downloads.filter(stays),
    skips: made.skips.filter(stays),
  }
  return { plan: kept, rows: new Map([...rows].filter(([path]) => !left.has(path))) }
}

/** Where no base tells an edit from an old copy, the bucket's history does. */
async function askHistory(ports: SessionPorts, rows: readonly PlanRow[]): Promise<readonly PlanRow[]> {
  const questions = rows.filter((row) => !row.historyAsked && historyAfter(row) !== null)
  if (questions.length === 0) return rows
  const answers = new Map<Path, boolean>()
  let next = 0
  const ask = async (): Promise<void> => {
    for (let row = questions[next++]; row !== undefined; row = questions[next++]) {
      answers.set(row.path, await isOldVersion(ports, row))
    }
  }
  await Promise.all(Array.from({ length: QUESTIONS_AT_ONCE }, ask))
  write(ports.db, () => {
    for (const row of questions) setHistory(ports.db, row, answers.get(row.path) === true)
  })
  return rows.map((row) =>
    answers.has(row.path) ? { ...row, localIsOldVersion: answers.get(row.path) === true } : row,
  )
}

async function isOldVersion(ports: SessionPorts, row: PlanRow): Promise<boolean> {
  const { store, prefix } = ports.bucket
  const key = keyOf(prefix, row.path)
  const { local } = row
  const after = historyAfter(row)
  if (local === null || local.kind === 'unknown' || after === null) return false
  // The key itself is the first of all that begin with it.
  const { items } = await store.list({ prefix: key, limit: VERSIONS_ASKED, versions: true, deleted: true })
  return items.some((item) => item.key === key && item.version > after && item.hash === local.hash)
}

/** What the brakes say to a plan: the sides that wait, each with all its deletions that nobody approved. */
export interface Verdict {
  readonly brakes: readonly (Brake & { readonly steps: readonly Delete[] })[]
  readonly braked: ReadonlySet<Side>
}

export const NO_BRAKES: Verdict = { brakes: [], braked: new Set() }

/** Counts all deletions that are due, over every window, and holds a side's back when they are too many without a yes. */
export async function judge(ports: SessionPorts, options: PlanningOptions): Promise<Verdict> {
  const deletes: Step[] = []
  for await (const { plan: made } of planAll(ports, { ...options, leaveOut: () => false })) {
    for (const step of [...made.localDeletes, ...made.remoteDeletes]) {
      if (!isBraked(step) || !isApproved(ports.db, step)) deletes.push(step)
    }
  }
  return verdict(ports, deletes)
}

/** As `judge`, of a plan that is whole. */
export function judgePlan(ports: SessionPorts, { plan: made }: Planned): Verdict {
  const deletes = [...made.localDeletes, ...made.remoteDeletes]
  return verdict(
    ports,
    deletes.filter((step) => !isBraked(step) || !isApproved(ports.db, step)),
  )
}

function verdict(ports: SessionPorts, deletes: readonly Step[]): Verdict {
  const counts = census(deletes)
  const brakes = (['local', 'remote'] as const).flatMap((side) => {
    if (counts[side].deletes === 0) return []
    const synced = { files: filesWithBase(ports.db, ''), below: (folder: Path) => filesWithBase(ports.db, folder) }
    const found = brake(side, counts[side], synced, ports.maxDelete)
    const steps = deletes.filter((step): step is Delete => isBraked(step) && sideOf(step) === side)
    return found === null ? [] : [{ ...found, steps }]
  })
  return { brakes, braked: new Set(brakes.map(({ side }) => side)) }
}

/** Writes down what waits. */
export function holdBack(ports: SessionPorts, verdict: Verdict): void {
  if (verdict.brakes.length === 0 && heldDeletes(ports.db, 0).length === 0) return
  write(ports.db, () => {
    for (const side of ['local', 'remote'] as const) {
      hold(ports.db, side, verdict.brakes.find((one) => one.side === side)?.steps ?? [])
    }
  })
}

/** True if the step waits for a yes. */
export function isHeld(ports: SessionPorts, { braked }: Verdict, step: Delete): boolean {
  return isBraked(step) && braked.has(sideOf(step)) && !isApproved(ports.db, step)
}
