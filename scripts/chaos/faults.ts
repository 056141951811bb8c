import { setTimeout as sleep } from 'node:timers/promises'
import type { Fronts } from './fronts.ts'
import type { Network } from './network.ts'
import type { Nodes } from './nodes.ts'

/** How long things stay as they are, in milliseconds. */
interface Spans {
  readonly dead: number
  readonly still: number
  readonly cut: number
}
export const LONG: Spans = { dead: 2000, still: 10_000, cut: 8000 }
/** A node whose leader is silent wants to be leader itself after 4 to 9 s. */
export const BRIEF: Spans = { dead: 500, still: 6000, cut: 6000 }

interface Scene {
  readonly spans: Spans
  readonly nodes: Nodes
  readonly fronts: Fronts
  /** Null: no node can be cut off here. */
  readonly network: Network | null
  /** The bucket that clients write to. */
  readonly bucket: string
  /** From 0 to below this. */
  readonly die: (below: number) => number
  /** What is looked at before most of the nodes go, so that each server knows of it, and while they are away; what was wrong is noted. */
  readonly beforeMostAreGone: () => Promise<void>
  readonly whileMostAreGone: () => Promise<void>
}

/** One thing that goes wrong, and is mended by whoever runs the machines: nobody else does anything. */
export interface Fault {
  readonly name: string
  /** Resolves when everything is started again. */
  readonly happen: (scene: Scene) => Promise<void>
}

async function killed({ nodes, spans }: Scene, node: number): Promise<void> {
  await nodes.kill(node)
  await sleep(spans.dead)
  await nodes.restart(node)
}

/** Needs that nodes can be cut off. */
const CUT_OFF: Fault = {
  name: 'the node that leads is cut off',
  happen: async ({ nodes, network, bucket, spans }) => {
    if (network === null) return
    const node = await nodes.leader(bucket)
    network.cut(node)
    await sleep(spans.cut)
    network.heal(node)
  },
}
const SERVER_KILLED: Fault = {
  name: 'kill -9 of a server',
  happen: async ({ fronts, die, spans }) => {
    const front = die(3)
    await fronts.end(front, 'SIGKILL')
    await sleep(spans.dead)
    await fronts.restart(front)
  },
}
const SERVER_REPLACED: Fault = {
  name: 'a server is replaced gracefully',
  happen: async ({ fronts, die }) => {
    const front = die(3)
    await fronts.end(front, 'SIGTERM')
    await fronts.restart(front)
  },
}
const SERVER_STOPPED: Fault = {
  name: 'a server stands still',
  happen: async ({ fronts, die, spans }) => {
    const front = die(3)
    fronts.signal(front, 'SIGSTOP')
    await sleep(spans.still)
    fronts.signal(front, 'SIGCONT')
  },
}
const FOLLOWER_KILLED: Fault = {
  name: 'kill -9 of a node that follows',
  happen: async (scene) => killed(scene, ((await scene.nodes.leader(scene.bucket)) + 1 + scene.die(2)) % 3),
}
const LEADER_KILLED: Fault = {
  name: 'kill -9 of the node that leads',
  happen: async (scene) => killed(scene, await scene.nodes.leader(scene.bucket)),
}
const LEADER_STOPPED: Fault = {
  name: 'the node that leads stands still',
  happen: async ({ nodes, bucket, spans }) => {
    const node = await nodes.leader(bucket)
    nodes.pause(node)
    await sleep(spans.still)
    nodes.resume(node)
  },
}
const TWO_GONE: Fault = {
  name: 'two of three nodes are gone',
  happen: async ({ nodes, die, beforeMostAreGone, whileMostAreGone }) => {
    await beforeMostAreGone()
    const stays = die(3)
    const gone = [0, 1, 2].filter((node) => node !== stays)
    await Promise.all(gone.map((node) => nodes.kill(node)))
    await whileMostAreGone()
    await Promise.all(gone.map((node) => nodes.restart(node)))
  },
}
const ALL_KILLED: Fault = {
  name: 'all nodes and all servers are killed and started again',
  happen: async ({ nodes, fronts }) => {
    const all = [0, 1, 2]
    await Promise.all(all.flatMap((one) => [nodes.kill(one), fronts.end(one, 'SIGKILL')]))
    await Promise.all(all.map((node) => nodes.restart(node)))
    await Promise.all(all.map((front) => fronts.restart(front)))
  },
}

const FAULTS: readonly Fault[] = [
  SERVER_KILLED,
  SERVER_REPLACED,
  FOLLOWER_KILLED,
  LEADER_KILLED,
  LEADER_STOPPED,
  SERVER_STOPPED,
  CUT_OFF,
  TWO_GONE,
  ALL_KILLED,
]

/** The same in little time: what needs a new leader, which takes its time, goes with what does not. */
const TOGETHER: readonly Fault[] = [
  both(FOLLOWER_KILLED, SERVER_KILLED),
  both(LEADER_KILLED, SERVER_REPLACED),
  both(LEADER_STOPPED, SERVER_STOPPED),
  CUT_OFF,
  then(TWO_GONE, ALL_KILLED),
]

function both(one: Fault, other: Fault): Fault {
  return {
    name: `${one.name}; ${other.name}`,
    happen: async (scene) => void (await Promise.all([one.happen(scene), other.happen(scene)])),
  }
}

function then(one: Fault, other: Fault): Fault {
  return {
    name: `${one.name}; ${other.name}`,
    happen: async (scene) => {
      await one.happen(scene)
      await other.happen(scene)
    },
  }
}

/** Each once, and then any of them until so many milliseconds have passed; in little time if there are none. */
export function* faultsFor(milliseconds: number, { die, network }: Pick<Scene, 'die' | 'network'>): Generator<Fault> {
  const isPossible = (fault: Fault): boolean => fault !== CUT_OFF || network !== null
  if (milliseconds === 0) return yield* TOGETHER.filter(isPossible)
  const all = FAULTS.filter(isPossible)
  const until = performance.now() + milliseconds
  yield* all
  while (performance.now() < until) {
    const fault = all[die(all.length)]
    if (fault !== undefined) yield fault
  }
}
