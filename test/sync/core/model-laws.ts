import { parseConflictName } from '../../../src/sync/core/conflict-name.ts'
import { clashKey, unfit } from '../../../src/sync/core/names.ts'
import { plan } from '../../../src/sync/core/plan.ts'
import { isMarker, sameContent } from '../../../src/sync/core/reconcile.ts'
import { deleteLimit, isBraked } from '../../../src/sync/core/safety.ts'
import type { Content, Path, Row, Step } from '../../../src/sync/core/types.ts'
import { begin, carryOut, sideOf, type Case, type Start, type Turn } from './model-case.ts'
import { contentOf, type File } from './model-disk.ts'
import { countPaths, dice, shuffled, unexplained, unfounded } from './model-world.ts'

export interface Played {
  /** The laws that do not hold, as lines `law: what`. */
  readonly broken: readonly string[]
  /** What was done, and what became of files that no other name touches: for a look at what a run has covered. */
  readonly covered: readonly string[]
}

/** Plays a case to its fixed point, first with deletions held back, then with all approved. */
export function play(one: Case): Played {
  const start = begin(one)
  const before = start.disk.scan().files
  const held = carryOut(start, one, false)
  const free = carryOut(start, one, true)
  const turns = [...held, ...free]
  const world = { bucket: start.bucket, agents: [start.agent] }
  const fates = start.rows.filter((row) => isPlain(row, start)).map((row) => plainFate(row, start, before))
  const broken = [
    ...start.agent.losses.map((line) => `I1: ${line}`),
    ...lost(start, before),
    ...unexplained(world, start.agent).map((line) => `I2: ${line}`),
    ...unfounded(world, start.agent).map((line) => `I2: listed without a cause: ${line}`),
    ...(turns.length > 4 * countPaths(world) + 2 ? [`I3: ${turns.length} turns`] : []),
    ...turns.flatMap((turn) => turn.done.flatMap((step) => unproved(step, turn))),
    ...unbraked(one, held),
    ...(samePlan(one, start) ? [] : ['I16: the same rows in another order give another plan']),
    ...fates.flatMap(({ broken }) => broken),
  ]
  const covered = [
    ...turns.flatMap(({ done, braked }) => [
      ...done.map(({ type }) => `step ${type}`),
      ...[...braked].map((side) => `brake ${side}`),
    ]),
    ...start.agent.plan().skips.map(({ reason }) => `listed ${reason}`),
    ...fates.map(({ fate }) => `fate: ${fate}`),
  ]
  return { broken, covered }
}

/** What both sides hold in the end, as text: the same for the same case. */
export function finalState(one: Case): string {
  const start = begin(one)
  carryOut(start, one, false)
  carryOut(start, one, true)
  const files = [...start.disk.scan().files].map(([path, file]) => [path, file.bytes, file.executable])
  return JSON.stringify([
    files,
    [...start.disk.scan().folders],
    start.bucket.keys().map((key) => [key, start.bucket.current(key)]),
  ])
}

/** By occurrence: each file that was on disk is at its name, beside it, or in the history of that very key. */
function lost({ disk, bucket }: Start, before: ReadonlyMap<Path, File>): string[] {
  const after = disk.scan().files
  return [...before].flatMap(([path, file]) => {
    const { hash } = contentOf(file)
    const here = after.get(path)
    if (here !== undefined && contentOf(here).hash === hash) return []
    return bucket.everHeld(path, hash) || siblingOf(path, hash, after)
      ? []
      : [`I1: ${file.bytes} of ${path} is nowhere`]
  })
}

function siblingOf(path: Path, hash: string, files: ReadonlyMap<Path, File>): boolean {
  return [...files].some(([name, file]) => parseConflictName(name)?.path === path && contentOf(file).hash === hash)
}

/** Deletions need proof, conflicts need two different contents, and what is sent says what it replaces. */
function unproved(step: Step, turn: Turn): string[] {
  const row = turn.rows.find(({ path }) => path === step.path)
  if (row === undefined) return [`I14: ${step.type} ${step.path} of no row`]
  const { base, local, remote } = row
  const live = remote !== null && remote.kind !== 'deleted' ? remote : null
  if (step.type === 'delete-remote') {
    const proved = base !== null && local === null && live !== null && sameContent(base, live)
    return proved && live.version >= base.version ? [] : [`I14: deletes ${step.path} in the bucket`]
  }
  if (step.type === 'delete-local') {
    const proved = base !== null && remote?.kind === 'deleted' && remote.version > base.version
    return proved || row.remoteBelow ? [] : [`I14: deletes ${step.path} on disk`]
  }
  if (step.type === 'conflict') {
    if (local === null || local.kind !== 'file') return [`I7: a conflict of nothing at ${step.path}`]
    return local.hash === live?.hash ? [`I5: equal bytes conflict at ${step.path}`] : []
  }
  return []
}

function unbraked(one: Case, turns: readonly Turn[]): string[] {
  return turns.flatMap(({ rows, done, braked }) => {
    const files = rows.filter(({ path, base }) => base !== null && !isMarker(path)).length
    const limit = deleteLimit(files, one.maxDelete)
    return (['local', 'remote'] as const).flatMap((side) => {
      const gone = done.filter((step) => isBraked(step) && sideOf(step) === side && !isMarker(step.path)).length
      return gone > (braked.has(side) ? 0 : limit) ? [`I15: ${gone} deletions of at most ${limit}`] : []
    })
  })
}

function samePlan(one: Case, { rows }: Start): boolean {
  return JSON.stringify(plan(shuffled(rows, dice(one.seed)))) === JSON.stringify(plan(rows))
}

/**
 * The fate of a file that no other name touches, said once more and in other words than the planner's: I5 to I8. Others meet folders,
 * twins and links; for these the laws above have to do.
 */
function plainFate(row: Row, start: Start, before: ReadonlyMap<Path, File>): { fate: Fate; broken: string[] } {
  const { path } = row
  const local = row.local as Content | null
  const remote = row.remote !== null && row.remote.kind !== 'deleted' ? row.remote : null
  const after = start.disk.scan().files
  const file = after.get(path)
  const now = start.bucket.current(path)
  const end = {
    local: file === undefined ? null : contentOf(file),
    remote: now === null || now.kind === 'deleted' ? null : now,
    untouchedHere: file === before.get(path),
    untouchedThere: (now?.version ?? 0) === (row.remote?.version ?? 0),
    sibling: local !== null && siblingOf(path, local.hash, after),
  }
  const fate = fateOf(row, local, remote)
  const rights: Record<Fate, boolean> = {
    'nothing is written': end.untouchedHere && end.untouchedThere && !end.sibling,
    'theirs is taken': same(end.local, remote) && end.untouchedThere && !end.sibling,
    'mine is sent': same(end.remote, local) && end.untouchedHere && !end.sibling,
    'both are kept': same(end.local, remote) && end.sibling && end.untouchedThere,
  }
  const law = fate === 'both are kept' ? 'I6' : fate === 'nothing is written' ? 'I5' : 'I8'
  return { fate, broken: rights[fate] ? [] : [`${law}: ${path}: should be: ${fate}; is ${JSON.stringify(end)}`] }
}

type Fate = 'nothing is written' | 'theirs is taken' | 'mine is sent' | 'both are kept'

function fateOf(row: Row, local: Content | null, remote: Content | null): Fate {
  if (same(local, remote)) return 'nothing is written'
  const wentBack = (row.remote?.version ?? 0) < (row.base?.version ?? 0)
  // A bucket that has lost the base knows nothing of what was deleted since, here or there.
  if (wentBack && local === null) return 'theirs is taken'
  if (wentBack && remote === null) return 'mine is sent'
  const base = wentBack && !same(row.base, remote) ? null : row.base
  if (same(local, base)) return 'theirs is taken'
  if (same(remote, base)) return 'mine is sent'
  if (local === null) return 'theirs is taken'
  const stale = row.localIsOldVersion
  if (remote === null) return stale && base !== null ? 'theirs is taken' : 'mine is sent'
  if (stale || local.hash === remote.hash || local.hash === base?.hash) return 'theirs is taken'
  return remote.hash === base?.hash ? 'mine is sent' : 'both are kept'
}

function same(a: Content | null, b: Content | null): boolean {
  return a === null || b === null ? a === b : sameContent(a, b)
}

function isPlain(row: Row, { rows, disk }: Start): boolean {
  const { path } = row
  if (isMarker(path) || row.unfit !== null || row.local?.kind === 'unknown') return false
  const { folders, others } = disk.scan()
  const names = new Set<Path>([...folders, ...others.keys(), ...rows.flatMap((each) => [...above(each.path)])])
  const files = new Set(rows.map((each) => each.path).filter((each) => !isMarker(each)))
  if (folders.has(path) || rows.some((each) => each.path.startsWith(`${path}/`))) return false
  return [...above(path)].every((each) => {
    if (unfit(each, disk.traits) !== null || others.has(each) || (each !== path && files.has(each))) return false
    return ![...names].some((name) => name !== each && twins(name, each, disk.traits))
  })
}

function twins(a: Path, b: Path, traits: Parameters<typeof clashKey>[1]): boolean {
  return clashKey(a, traits) === clashKey(b, traits)
}

function* above(path: Path): Iterable<Path> {
  const segments = path.split('/').filter((segment) => segment !== '')
  for (let depth = 1; depth <= segments.length; depth++) yield segments.slice(0, depth).join('/')
}
