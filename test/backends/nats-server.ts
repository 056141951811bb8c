import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { freePorts } from '../../scripts/free-ports.ts'

/** Why no server can be started here, or null. */
export function lacksNats(): string | null {
  return spawnSync('nats-server', ['--version']).error === undefined ? null : 'there is no nats-server'
}

export interface NatsServer {
  /** `127.0.0.1:port` */
  readonly address: string
  readonly name: string
  /** With SIGKILL, unless given; resolves when it has ended. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Starts it again with what it stored, on the same port. */
  restart(): Promise<void>
  /** Kills it, and removes what it stored. */
  stop(): Promise<void>
}

/** Starts a server on a free port of loopback, with JetStream unless the flags say otherwise. */
export async function startNats(more: readonly string[] = ['-js']): Promise<NatsServer> {
  const directory = mkdtempSync(join(tmpdir(), 'blobs-nats-'))
  const start = (port: string): ChildProcess => {
    const flags = ['-a', '127.0.0.1', '-p', port, '--ports_file_dir', directory, '-sd', directory]
    return spawn('nats-server', [...flags, ...more], { stdio: 'ignore' })
  }
  let child = start('-1')
  const addressOf = async (): Promise<string> => {
    const ports = await readSoon(join(directory, `nats-server_${child.pid}.ports`), child)
    return new URL((JSON.parse(ports) as { nats: string[] }).nats[0] ?? '').host
  }
  const address = await addressOf()
  return {
    address,
    name: more.find((flag) => flag.startsWith('--name='))?.slice('--name='.length) ?? '',
    kill: (signal) => end(child, signal),
    restart: async () => {
      child = start(address.split(':')[1] ?? '')
      await addressOf()
    },
    stop: async () => {
      await end(child)
      rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

/** The server that leads the stream. */
export async function leaderOf(servers: readonly NatsServer[], isIt: (stream: string) => boolean): Promise<NatsServer> {
  const connection = await connect({ servers: servers.map(({ address }) => address) })
  try {
    const streams = await (await jetstreamManager(connection)).streams.list().next()
    const leader = streams.find(({ config }) => isIt(config.name))?.cluster?.leader
    const server = servers.find(({ name }) => name === leader)
    if (server === undefined) throw new Error(`no server leads it`)
    return server
  } finally {
    await connection.close()
  }
}

/** Starts a cluster of three, which forms while it is used. */
export async function startCluster(): Promise<readonly NatsServer[]> {
  const ports = await freePorts(3)
  const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`).join(',')
  const started = ports.map((port, index) =>
    startNats([
      '-js',
      `--name=n${index}`,
      '--cluster_name=blobs',
      `--cluster=nats://127.0.0.1:${port}`,
      `--routes=${routes}`,
    ]),
  )
  return Promise.all(started)
}

async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await ended
}

async function readSoon(path: string, child: ChildProcess): Promise<string> {
  for (let tries = 0; tries < 400 && child.exitCode === null; tries++) {
    await sleep(25)
    try {
      const text = readFileSync(path, 'utf8')
      if (text.endsWith('}')) return text
    } catch {
      // Not yet.
    }
  }
  await end(child)
  throw new Error('nats-server did not start')
}
