import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { freePorts } from '../free-ports.ts'
import type { Network } from './network.ts'

/** With a network stack of its own, each may have these. */
const PORTS = { clients: [4222, 4222, 4222], routes: [6222, 6222, 6222] } as const
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
  /** Of those that run. */
  pids(): readonly number[]
  dispose(): Promise<void>
}

interface NodesOptions {
  readonly folder: string
  /** Null: all on loopback. */
  readonly network: Network | null
}

export async function startNodes({ folder, network }: NodesOptions): Promise<Nodes> {
  const count = 3
  const hostOf = (node: number): string => network?.addresses[node] ?? '127.0.0.1'
  const ports = network === null ? { clients: await freePorts(count), routes: await freePorts(count) } : PORTS
  const addresses = ports.clients.map((port, node) => `${hostOf(node)}:${port}`)
  const routes = ports.routes.map((port, node) => `${hostOf(node)}:${port}`)
  const meet = routes.map((route) => `nats-route://${route}`).join(',')
  const wanted = Array.from({ length: count }, () => true)
  let crashes = 0
  const start = (node: number): ChildProcess => {
    const store = join(folder, `node-${node}`)
    mkdirSync(store, { recursive: true })
    const listen = ['-a', hostOf(node), '-p', String(ports.clients[node])]
    const cluster = ['--cluster_name=chaos', `--cluster=nats://${routes[node]}`, `--routes=${meet}`]
    const flags = ['-js', ...listen, '-sd', store, `--name=n${node}`, '-l', `${store}.log`, ...cluster]
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
    leader: openLeaders(addresses),
    crashes: () => crashes,
    pids: () => children.flatMap(({ pid }) => (pid === undefined ? [] : [pid])),
    dispose: async () => void (await Promise.all(children.map((_, node) => kill(node)))),
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

/** Who leads a stream says so itself, but its name is told by who leads the cluster: it is asked for once. */
function openLeaders(servers: readonly string[]): (bucket: string) => Promise<number> {
  const names = new Map<string, string>()
  const nameOf = async (manager: JetStreamManager, bucket: string): Promise<string> => {
    const known = names.get(bucket)
    if (known !== undefined) return known
    const streams = await manager.streams.list().next()
    const name = streams.map(({ config }) => config.name).find((one) => isLogOf(one, bucket))
    if (name === undefined) throw new Error(`there is no log of ${bucket}`)
    names.set(bucket, name)
    return name
  }
  return async (bucket) => {
    const connection = await connect({ servers: [...servers], timeout: 2000 })
    try {
      const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 1000 })
      for (const until = performance.now() + STARTING; performance.now() < until; await sleep(250)) {
        const info = await nameOf(manager, bucket)
          .then((name) => manager.streams.info(name))
          .catch(() => null)
        const leader = info?.cluster?.leader
        if (leader !== undefined && leader !== '') return Number(leader.slice(1))
      }
      throw new Error(`nobody leads the log of ${bucket}`)
    } finally {
      await connection.close()
    }
  }
}

function isLogOf(stream: string, bucket: string): boolean {
  return stream.includes(`_${bucket}_`) && stream.endsWith('_log')
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
