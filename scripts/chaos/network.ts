import { spawnSync } from 'node:child_process'

/** A network stack of its own for each node of a cluster, all on one switch with the stack in which everybody else lives. */
export interface Network {
  readonly name: string
  /** What runs a command among those who use the nodes, and in the stack of each node. */
  readonly others: readonly string[]
  readonly nodes: readonly (readonly string[])[]
  /** Address of each node. */
  readonly addresses: readonly string[]
  /** From now on nothing comes to the node, or from it; nobody is told. */
  cut(node: number): void
  heal(node: number): void
  dispose(): void
}

const NODES = [0, 1, 2]
const SUBNET = '10.91.7'

/** Null where this user, or this system, cannot make them. */
export function makeNetwork(): Network | null {
  const network = networkOf(`blobs-x${process.pid % 65_536}`)
  const { name, addresses } = network
  const steps = [
    ['netns', 'add', name],
    ['-n', name, 'link', 'set', 'lo', 'up'],
    ['-n', name, 'link', 'add', 'switch', 'type', 'bridge'],
    ['-n', name, 'address', 'add', `${SUBNET}.100/24`, 'dev', 'switch'],
    ['-n', name, 'link', 'set', 'switch', 'up'],
    ...NODES.flatMap((node) => {
      const one = `${name}-${node}`
      return [
        ['netns', 'add', one],
        ['-n', name, 'link', 'add', `port${node}`, 'type', 'veth', 'peer', 'name', 'wire', 'netns', one],
        ['-n', name, 'link', 'set', `port${node}`, 'master', 'switch', 'up'],
        ['-n', one, 'address', 'add', `${addresses[node]}/24`, 'dev', 'wire'],
        ['-n', one, 'link', 'set', 'wire', 'up'],
        ['-n', one, 'link', 'set', 'lo', 'up'],
      ]
    }),
  ]
  if (steps.every(ip)) return network
  network.dispose()
  return null
}

/** One that was made, by its name. */
export function networkOf(name: string): Network {
  const set = (node: number, state: 'up' | 'down'): void => void ip(['-n', name, 'link', 'set', `port${node}`, state])
  return {
    name,
    others: inside(name),
    nodes: NODES.map((node) => inside(`${name}-${node}`)),
    addresses: NODES.map((node) => `${SUBNET}.${node + 1}`),
    cut: (node) => set(node, 'down'),
    heal: (node) => set(node, 'up'),
    dispose: () => {
      for (const one of [...NODES.map((node) => `${name}-${node}`), name]) ip(['netns', 'delete', one])
    },
  }
}

function ip(args: readonly string[]): boolean {
  return spawnSync('ip', args, { stdio: 'ignore', timeout: 10_000 }).status === 0
}

function inside(name: string): readonly string[] {
  return ['ip', 'netns', 'exec', name]
}
