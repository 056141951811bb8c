import { setTimeout as sleep } from 'node:timers/promises'
import type { Fronts } from './fronts.ts'
import type { Network } from './network.ts'
import type { Nodes } from './nodes.ts'

/** Milliseconds. */
const SHORT = 2000
const PAUSED = 10_000
const CUT = 8000

interface Scene {
  readonly nodes: Nodes
  readonly fronts: Fronts
  /** Null: no node can be cut off here. */
  readonly network: Network | null
  /** The bucket that clients write to. */
  readonly bucket: string
  /** From 0 to below this. */
  readonly die: (below: number) => number
  /** What is looked at while most of the nodes are away; what was wrong is noted. */
  readonly whileMostAreGone: () => Promise<void>
}

/** One thing that goes wrong, and is mended by whoever runs the machines: nobody else does anything. */
export interface Fault {
  readonly name: string
  /** Resolves when everything is started again. */
  readonly happen: (scene: Scene) => Promise<void>
}

async function killed({ nodes }: Scene, node: number): Promise<void> {
  await nodes.kill(node)
  await sleep(SHORT)
  await nodes.restart(node)
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'kill -9 of a server',
    happen: async ({ fronts, die }) => {
      const front = die(3)
      await fronts.end(front, 'SIGKILL')
      await sleep(SHORT)
      await fronts.restart(front)
    },
  },
  {
    name: 'a server is replaced gracefully',
    happen: async ({ fronts, die }) => {
      const front = die(3)
      await fronts.end(front, 'SIGTERM')
      await fronts.restart(front)
    },
  },
  {
    name: 'kill -9 of a node that follows',
    happen: async (scene) => killed(scene, ((await scene.nodes.leader(scene.bucket)) + 1 + scene.die(2)) % 3),
  },
  {
    name: 'kill -9 of the node that leads',
    happen: async (scene) => killed(scene, await scene.nodes.leader(scene.bucket)),
  },
  {
    name: 'the node that leads stands still for 10 s',
    happen: async ({ nodes, bucket }) => {
      const node = await nodes.leader(bucket)
      nodes.pause(node)
      await sleep(PAUSED)
      nodes.resume(node)
    },
  },
  {
    name: 'a server stands still for 10 s',
    happen: async ({ fronts, die }) => {
      const front = die(3)
      fronts.signal(front, 'SIGSTOP')
      await sleep(PAUSED)
      fronts.signal(front, 'SIGCONT')
    },
  },
  {
    name: 'the node that leads is cut off for 8 s',
    happen: async ({ nodes, network, bucket }) => {
      if (network === null) return
      const node = await nodes.leader(bucket)
      network.cut(node)
      await sleep(CUT)
      network.heal(node)
    },
  },
  {
    name: 'two of three nodes are gone',
    happen: async ({ nodes, die, whileMostAreGone }) => {
      const stays = die(3)
      const gone = [0, 1, 2].filter((node) => node !== stays)
      await Promise.all(gone.map((node) => nodes.kill(node)))
      await whileMostAreGone()
      await Promise.all(gone.map((node) => nodes.restart(node)))
    },
  },
  {
    name: 'all nodes and all servers are killed and started again',
    happen: async ({ nodes, fronts }) => {
      const all = [0, 1, 2]
      await Promise.all(all.flatMap((one) => [nodes.kill(one), fronts.end(one, 'SIGKILL')]))
      await Promise.all(all.map((node) => nodes.restart(node)))
      for (const front of all) await fronts.restart(front)
    },
  },
]
