import * as fc from 'fast-check'
import { unfit, type NameTraits } from '../../../src/sync/core/names.ts'
import { isMarker } from '../../../src/sync/core/reconcile.ts'
import { brake, census, isBraked, type Delete, type MaxDelete, type Side } from '../../../src/sync/core/safety.ts'
import type { Base, Path, Row, Step } from '../../../src/sync/core/types.ts'
import { createAgent, type Agent } from './model-agent.ts'
import { createBucket, type Bucket } from './model-bucket.ts'
import { contentOf, createDisk, type Disk } from './model-disk.ts'
import { actionable, dice, editBucket, editDisk, editOf, settle, shuffled, type Edit } from './model-world.ts'

/** Three trees that come from one: what both sides agreed on, and what has become of it here, there and in the memory of it. */
export interface Case {
  readonly traits: NameTraits
  readonly origin: readonly Edit[]
  readonly local: readonly Edit[]
  readonly remote: readonly Edit[]
  /** Bases that are not the last ones: forgotten (0), of a version that the bucket has lost (4), or of that version, modulo those it had. */
  readonly bases: readonly { readonly key: number; readonly version: number }[]
  readonly maxDelete: MaxDelete | null
  /** Decides the order of steps, and which are not done at first. */
  readonly seed: number
}

const COMMON = ['a', 'b', 'c', 'd']
/** Twins for a case-blind disk, and by Unicode form. */
const TWINS = ['A', 'B', '\u00e9', 'e\u0301', 'E\u0301']
/** What Windows or we ourselves reserve, and what folds or sorts oddly. */
const ODD = ['ß', 'SS', 'CON', 'nul.txt', 'x:y', 'end.', '.blobs', 'a b', '\u{1f4be}', '\uffff']
const name = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(...COMMON) },
  { weight: 3, arbitrary: fc.constantFrom(...TWINS) },
  { weight: 1, arbitrary: fc.constantFrom(...ODD) },
)
const link: fc.Arbitrary<Edit> = fc.record({
  type: fc.constant('link' as const),
  path: fc.array(name, { minLength: 1, maxLength: 2 }).map((names) => names.join('/')),
})
const edits = fc.array(
  fc.oneof(
    { weight: 14, arbitrary: fc.oneof(editOf(name, 1), editOf(name, 2), editOf(name)) },
    { weight: 1, arbitrary: link },
  ),
  {
    maxLength: 8,
  },
)

export const anyCase: fc.Arbitrary<Case> = fc.record({
  traits: fc.constantFrom(
    { caseBlind: false, windows: false },
    { caseBlind: true, windows: false },
    { caseBlind: true, windows: true },
  ),
  origin: edits,
  local: edits,
  remote: edits,
  bases: fc.array(fc.record({ key: fc.nat(20), version: fc.nat(4) }), { maxLength: 3 }),
  maxDelete: fc.oneof(fc.constant(null), fc.record({ count: fc.nat(3) }), fc.record({ percent: fc.nat(60) })),
  seed: fc.nat(),
})

/** A case made real, before the first plan. */
export interface Start {
  readonly agent: Agent
  readonly disk: Disk
  readonly bucket: Bucket
  readonly bases: Map<Path, Base>
  /** The rows of the first plan. */
  readonly rows: readonly Row[]
  readonly roll: (limit: number) => number
}

export function begin(one: Case): Start {
  const roll = dice(one.seed)
  const bucket = createBucket()
  const disk = createDisk(one.traits)
  const bases = new Map<Path, Base>()
  const agent = createAgent('here', disk, bucket, bases)
  let now = 1_000_000_000n
  const edit = (change: Edit): void => {
    now += 7_000_000_000n
    if (canHold(disk, change)) editDisk(disk, change, now)
  }
  for (const change of one.origin) edit(change)
  settle({ bucket, agents: [agent] }, roll)
  for (const change of one.local) edit(change)
  for (const change of one.remote) editBucket(bucket, change)
  misremember(one, { bucket, disk, bases })
  agent.done.length = 0
  return { agent, disk, bucket, bases, rows: agent.rows(), roll }
}

/** What this disk cannot hold nobody can make on it; `.blobs` is not scanned. */
function canHold({ traits }: Disk, change: Edit): boolean {
  return [change.path, ...('to' in change ? [change.to] : [])].every((path) => unfit(path, traits) === null)
}

const LOST = 4

function misremember(one: Case, { bucket, disk, bases }: Pick<Start, 'bucket' | 'disk' | 'bases'>): void {
  const keys = [...bucket.keys()].sort()
  for (const { key, version } of one.bases) {
    const path = keys[key % Math.max(1, keys.length)]
    if (path === undefined) return
    const versions = bucket.versions(path)
    const file = disk.find(path)
    const content = file?.kind === 'file' ? contentOf(file) : bucket.holds(path, versions)
    const lost = version === LOST && content !== null ? { ...content, version: versions + 2 } : null
    const at = 1 + ((version - 1) % versions)
    const kept = version === 0 || version === LOST ? null : bucket.holds(path, at)
    if (lost !== null) bases.set(path, lost)
    else if (kept !== null) bases.set(path, { ...kept, version: at })
    else bases.delete(path)
  }
}

/** One plan, as far as the brake lets it go. */
export interface Turn {
  readonly rows: readonly Row[]
  readonly steps: readonly Step[]
  /** Sides whose deletions wait. */
  readonly braked: ReadonlySet<Side>
  readonly done: readonly Step[]
}

const HARD_STOP = 200

/**
 * Turns of plan and shuffled steps until nothing is left that may go, deletions over the limit held back. `approve` lets all go. Some steps
 * of the first turns are left out, as if the process had been stopped. Throws at the hard stop.
 */
export function carryOut(start: Start, one: Case, approve: boolean): readonly Turn[] {
  const { agent, roll } = start
  const turns: Turn[] = []
  for (let n = 0; n < HARD_STOP; n++) {
    const rows = agent.rows()
    const steps = actionable(agent)
    const braked = approve ? new Set<Side>() : brakedSides(start, steps, one.maxDelete)
    const free = steps.filter((step) => !isBraked(step) || !braked.has(sideOf(step)))
    const lazy = n < 2 && one.seed % 2 === 0
    const done = shuffled(free, roll).filter((step) => (lazy && roll(6) === 0 ? false : agent.act(step, true)))
    turns.push({ rows, steps, braked, done })
    // What a file stands in the way of whose deletion waits cannot come.
    if (free.length === 0 || (braked.size > 0 && !lazy && done.length === 0)) return turns
  }
  throw new Error(`no fixed point after ${HARD_STOP} turns: ${JSON.stringify(actionable(agent))}`)
}

function brakedSides({ bases }: Start, steps: readonly Step[], maxDelete: MaxDelete | null): Set<Side> {
  const files = [...bases.keys()].filter((path) => !isMarker(path))
  const synced = {
    files: files.length,
    below: (folder: Path) => files.filter((path) => folder === '' || path.startsWith(`${folder}/`)).length,
  }
  const counts = census(steps)
  return new Set((['local', 'remote'] as const).filter((side) => brake(side, counts[side], synced, maxDelete) !== null))
}

/** The side that a deletion takes something from. */
export function sideOf(step: Delete): Side {
  return step.type === 'delete-local' ? 'local' : 'remote'
}
