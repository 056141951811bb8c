import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Network } from './network.ts'

const CLIENTS = 4222
const ROUTES = 6222
const STARTING = 30_000

/** Three servers of NATS that are one cluster, each of which may be hurt. */
export interface Nodes {
  /** `host:port` of each. */
  readonly addresses: readonly string[]
  kill(node: number): Promise<void>
  /** Starts it again with what it stored. */
  restart(node: number): Promise<void>
  pause(node: number): void
  resume(node: number): void
  /** The one that leads the log of a bucket. */
  leader(bucket: string): Promise<number>
  /** How often one ended that nobody killed; it was started again. */
  crashes(): number
  dispose(): Promise<void>
}

interface NodesOptions {
  readonly folder: string
  /** Null: all on loopback. */
  readonly network: Network | null
}

export async function startNodes({ folder, network }: NodesOptions): Promise<Nodes> {
  const count = 3
  const base = network === null ? 20_000 + (process.pid % 10_000) * 3 : 0
  const hostOf = (node: number): string => network?.addresses[node] ?? '127.0.0.1'
  const portOf = (first: number, node: number): number => (network === null ? base + node + (first % 2000) : first)
  const routes = Array.from({ length: count }, (_, node) => `nats-route://${hostOf(node)}:${portOf(ROUTES, node)}`)
  const wanted = Array.from({ length: count }, () => true)
  let crashes = 0
  const start = (node: number): ChildProcess => {
    const store = join(folder, `node-${node}`)
    mkdirSync(store, { recursive: true })
    const [host, port] = [hostOf(node), String(portOf(CLIENTS, node))]
    const cluster = [
      '--cluster_name=chaos',
      `--cluster=nats://${host}:${portOf(ROUTES, node)}`,
      `--routes=${routes.join(',')}`,
    ]
    const flags = ['-js', '-a', host, '-p', port, '-sd', store, `--name=n${node}`, '-l', `${store}.log`, ...cluster]
    const [command = '', ...rest] = [...(network?.nodes[node] ?? []), 'nats-server', ...flags]
    const child = spawn(command, rest, { stdio: 'ignore' })
    child.once('exit', (code, signal) => {
      if (wanted[node] !== true) return
      crashes += 1
      writeFileSync(`${store}.crash-${crashes}`, `${code ?? signal}\n`)
      children[node] = start(node)
    })
    return child
  }
  const children = Array.from({ length: count }, (_, node) => start(node))
  const addresses = children.map((_, node) => `${hostOf(node)}:${portOf(CLIENTS, node)}`)
  const kill = async (node: number): Promise<void> => {
    wanted[node] = false
    await end(children[node])
  }
  await Promise.all(addresses.map(accepts))
  return {
    addresses,
    kill,
    restart: async (node) => {
      wanted[node] = true
      children[node] = start(node)
      await accepts(addresses[node] ?? '')
    },
    pause: (node) => void children[node]?.kill('SIGSTOP'),
    resume: (node) => void children[node]?.kill('SIGCONT'),
    leader: (bucket) => leaderOf(addresses, bucket),
    crashes: () => crashes,
    dispose: async () => void (await Promise.all(children.map((_, node) => kill(node)))),
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

async function leaderOf(servers: readonly string[], bucket: string): Promise<number> {
  const connection = await connect({ servers: [...servers] })
  try {
    const manager = await jetstreamManager(connection)
    for (let tries = 0; tries < 40; tries++) {
      const streams = await manager.streams.list().next()
      const log = streams.find(({ config: { name } }) => name.includes(`_${bucket}_`) && name.endsWith('_log'))
      const leader = log?.cluster?.leader
      if (leader !== undefined && leader !== '') return Number(leader.slice(1))
      await sleep(250)
    }
    throw new Error(`nobody leads the log of ${bucket}`)
  } finally {
    await connection.close()
  }
}

/** Resolves when something listens there. */
async function accepts(address: string): Promise<void> {
  const [host = '', port = ''] = address.split(':')
  for (const until = performance.now() + STARTING; performance.now() < until; await sleep(50)) {
    const there = await new Promise<boolean>((resolve) => {
      const socket = dial(Number(port), host)
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (there) return
  }
  throw new Error(`nothing listens at ${address}`)
}
