import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide } from '../../../src/sync/core/reconcile.ts'
import { plan } from '../../../src/sync/core/plan.ts'
import type { Step } from '../../../src/sync/core/types.ts'
import { parseConflictName } from '../../../src/sync/core/conflict-name.ts'
import {
  actionable,
  countPaths,
  createWorld,
  dice,
  edit,
  editBucket,
  editDisk,
  link,
  settle,
  shuffled,
  unexplained,
  unfounded,
  type Edit,
  type World,
} from './model-world.ts'

/** Raise it for a soak: `PROPERTY_RUNS=100000`. */
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 1000)

/** Who edits: one of the two folders, or another writer of the bucket. */
const somewhere = fc.record({ where: fc.constantFrom(0, 1, 2), edit: fc.oneof({ weight: 12, arbitrary: edit }, link) })
const scenario = fc.record({
  caseBlind: fc.boolean(),
  /** The tree that all derive from. */
  start: fc.array(edit, { maxLength: 8 }),
  edits: fc.array(somewhere, { maxLength: 10 }),
  /** Done between the steps of plans that are under way. */
  meanwhile: fc.array(somewhere, { maxLength: 5 }),
  later: fc.array(somewhere, { maxLength: 4 }),
  seed: fc.nat(),
})

let clock = 1_000_000_000n
function apply(world: World, { where, edit: change }: { where: number; edit: Edit }): void {
  clock += 7_000_000_000n
  const agent = world.agents[where]
  if (agent === undefined) editBucket(world.bucket, change)
  else editDisk(agent.disk, change, clock)
}

function begin(s: { caseBlind: boolean; start: readonly Edit[] }, roll: (limit: number) => number): World {
  const world = createWorld({ caseBlind: s.caseBlind })
  for (const each of s.start) apply(world, { where: 0, edit: each })
  settle(world, roll)
  return world
}

/** Plans of both folders, done step by step in random order while others go on editing; some steps die before they are recorded. */
function disturb(
  world: World,
  edits: readonly { where: number; edit: Edit }[],
  roll: (limit: number) => number,
  dies: (step: Step) => boolean = () => true,
): void {
  const waiting = [...edits]
  const plans = world.agents.flatMap((agent) => actionable(agent).map((step) => ({ agent, step })))
  for (const { agent, step } of shuffled(plans, roll)) {
    if (roll(3) === 0 && waiting.length > 0) apply(world, waiting.shift() as (typeof edits)[number])
    if (roll(8) > 0) agent.act(step, dies(step) ? roll(8) > 0 : true)
  }
  for (const each of waiting) apply(world, each)
}

function expectSettled(world: World, rounds: number): void {
  expect(rounds).toBeLessThanOrEqual(4 * countPaths(world))
  for (const agent of world.agents) {
    expect(agent.losses).toEqual([])
    expect(unexplained(world, agent)).toEqual([])
    expect(unfounded(world, agent)).toEqual([])
  }
}

test('folders and bucket meet, in any order of steps, whatever is edited meanwhile, and no bytes are lost', () => {
  fc.assert(
    fc.property(scenario, (s) => {
      const roll = dice(s.seed)
      const world = begin(s, roll)
      expectSettled(world, 0)
      for (const each of s.edits) apply(world, each)
      disturb(world, s.meanwhile, roll)
      expectSettled(world, settle(world, roll))
      for (const each of s.later) apply(world, each)
      expectSettled(world, settle(world, roll))
    }),
    { numRuns: RUNS },
  )
})

test('a bucket that is restored from a backup loses nothing that is on a disk, and deletes nothing', () => {
  fc.assert(
    fc.property(scenario, fc.nat({ max: 3 }), (s, when) => {
      const roll = dice(s.seed)
      const world = begin(s, roll)
      world.bucket.snapshot()
      for (const each of s.edits) apply(world, each)
      for (let step = 0; step < when; step++) disturb(world, [], roll)
      const before = world.agents.map((agent) => agent.disk.scan().files)
      world.bucket.restore()
      const done = world.agents.map((agent) => agent.done.length)
      for (const each of s.meanwhile.filter((each) => each.where === 2)) apply(world, each)
      expectSettled(world, settle(world, roll))
      for (const [index, agent] of world.agents.entries()) {
        const since = agent.done.slice(done[index])
        expect(since.filter((step) => step.type === 'delete-remote')).toEqual([])
        const after = [...agent.disk.scan().files]
        for (const [path, file] of before[index] ?? []) {
          const here = after.some(
            ([each, { bytes }]) => bytes === file.bytes && (each === path || parseConflictName(each)?.path === path),
          )
          const hash = agent.plan().skips.some((step) => step.path === path)
          expect(here || hash || held(world, path, file.bytes)).toBe(true)
        }
      }
    }),
    { numRuns: RUNS / 2 },
  )
})

/** A file that came for the first time, and that was not written down, reads as one that was made here: its deletion elsewhere is undone. */
const isKnownAgain = (step: Step): boolean => step.type !== 'download' || step.replaces !== null

function held(world: World, path: string, bytes: string): boolean {
  const hash = [...bytes].map((c) => (c.codePointAt(0) ?? 0).toString(16)).join('')
  return world.bucket.everHeld(path, hash.padEnd(64, '0'))
}

test('one writer never sees a conflict, whatever is sent or fetched and not recorded', () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.array(edit, { maxLength: 5 }), { maxLength: 5 }),
      fc.nat(),
      (caseBlind, bursts, seed) => {
        const roll = dice(seed)
        const world = createWorld({ caseBlind })
        for (const burst of bursts) {
          for (const each of burst) apply(world, { where: 0, edit: each })
          for (const dies of [isKnownAgain, isKnownAgain]) disturb(world, [], roll, dies)
        }
        settle(world, roll)
        // A file that became a folder, sent by half, has lost its base (`makeWay`): what happens to it then may look like two writers.
        if (world.agents.some((agent) => agent.forgot())) return
        for (const agent of world.agents) {
          const conflicts = agent.done.filter((step) => step.type === 'conflict' && step.remote !== null)
          expect(conflicts).toEqual([])
        }
      },
    ),
    { numRuns: RUNS / 2 },
  )
})

test('a side that nobody edits is not written, beyond what the others changed', () => {
  fc.assert(
    fc.property(scenario, (s) => {
      const roll = dice(s.seed)
      const world = begin(s, roll)
      settle(world, roll)
      for (const agent of world.agents) expect(actionable(agent)).toEqual([])
      const counts = world.agents.map((agent) => agent.done.length)
      for (const path of world.bucket.keys()) editBucket(world.bucket, { type: 'touch', path })
      settle(world, roll)
      for (const [index, agent] of world.agents.entries()) expect(agent.done.length).toBe(counts[index])
    }),
    { numRuns: RUNS / 4 },
  )
})

test('state that is lost deletes nothing and makes no sibling of bytes that the bucket knows', () => {
  fc.assert(
    fc.property(scenario, (s) => {
      const roll = dice(s.seed)
      const world = begin(s, roll)
      for (const each of s.edits.filter((each) => each.where === 2)) apply(world, each)
      // As if the server went back to this very moment: bases are void, contents are not.
      world.bucket.snapshot()
      world.bucket.restore()
      settle(world, roll)
      const deletes = world.agents.flatMap((agent) => agent.done.filter((step) => step.type === 'delete-remote'))
      expect(deletes).toEqual([])
    }),
    { numRuns: RUNS / 4 },
  )
})

test('the same rows give the same plan, whatever their order', () => {
  fc.assert(
    fc.property(scenario, (s) => {
      const roll = dice(s.seed)
      const world = begin(s, roll)
      for (const each of s.edits) apply(world, each)
      for (const agent of world.agents) {
        const rows = agent.rows()
        expect(plan(shuffled(rows, roll))).toEqual(plan(rows))
        const steps = Object.values(plan(rows)).flat() as { path: string }[]
        expect(new Set(steps.map((step) => step.path)).size).toBe(steps.length)
        const alone = rows.map(decide).filter((step) => step !== null)
        expect(steps.length).toBe(alone.length)
      }
    }),
    { numRuns: RUNS / 4 },
  )
})
