import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '../../scripts/free-ports.ts'
import { startProgram, until } from '../programs.ts'

/** One server of NATS with JetStream. */
export interface NatsNode {
  /** `127.0.0.1:port` */
  readonly address: string
  readonly pid: number
  /** Bytes on disk of the stream of a bucket that ends so (`log`, `chunks`). */
  streamBytes(bucket: string, end: string): number
  /** Bytes that it has sent to those who use it. */
  sentBytes(): Promise<number>
  stop(): Promise<void>
}

/** On the port that it had before, if it was started in this directory: servers know a place by its address. */
export async function startNode(directory: string): Promise<NatsNode> {
  mkdirSync(directory, { recursive: true })
  const [free = 0, monitor = 0] = await freePorts(2)
  const known = join(directory, 'port')
  const port = existsSync(known) ? Number(readFileSync(known, 'utf8')) : free
  writeFileSync(known, String(port))
  const flags = ['-js', '-a', '127.0.0.1', '-p', String(port), '-m', String(monitor), '-sd', directory]
  const { child, stop } = startProgram('nats-server', flags)
  const ask = async (path: string): Promise<Record<string, unknown>> =>
    (await (await fetch(`http://127.0.0.1:${monitor}/${path}`)).json()) as Record<string, unknown>
  await until('nats-server is ready', () =>
    ask('healthz').then(
      ({ status }) => status === 'ok',
      () => false,
    ),
  )
  return {
    address: `127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    streamBytes: (bucket, end) => {
      const streams = join(directory, 'jetstream', '$G', 'streams')
      const names = readdirSync(streams).filter((name) => name.includes(`_${bucket}_`) && name.endsWith(`_${end}`))
      return names.reduce((sum, name) => sum + treeBytes(join(streams, name)), 0)
    },
    sentBytes: async () => Number((await ask('varz'))['out_bytes']),
    stop,
  }
}

/** Of all files below. */
export function treeBytes(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .reduce((sum, one) => sum + statSync(join(one.parentPath, one.name)).size, 0)
}
