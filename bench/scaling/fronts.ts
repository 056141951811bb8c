import { randomBytes } from 'node:crypto'
import { startFronts } from '../../scripts/chaos/fronts.ts'
import { startNodes } from '../../scripts/chaos/nodes.ts'
import { openPlace } from '../../scripts/harness.ts'
import { startNginx } from '../../scripts/nginx.ts'
import { open } from '../../src/client.ts'
import { openConnection } from '../load/connection.ts'
import { drive } from '../load/drive.ts'
import { fillBucket } from '../load/fill.ts'
import { requestsOf, type Mix } from '../load/requests.ts'
import { tokensFor } from '../load/tokens.ts'
import { childrenOf, cpuSeconds, residentMiB } from '../process.ts'

/** So many servers over three nodes of NATS behind nginx, asked by many at once. */
export interface Fronts {
  readonly fronts: number
  readonly mix: Mix
  /** Requests a second that were asked for; null: as many as were answered. */
  readonly rate: number | null
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly failures: number
  /** Milliseconds of a processor for a request. */
  readonly cpu: Readonly<Record<Part, number>>
  /** MiB of memory of a server afterwards. */
  readonly memory: number
}
type Part = 'servers' | 'nats' | 'nginx' | 'load'

const BUCKET = 'load'
const CONNECTIONS = 64
const KEYS = 1000
const SIZE = 1024
const WARM_MS = 1500
const LASTS_MS = 5000
const RUNS: readonly (readonly [Mix, number | null])[] = [
  ['puts', null],
  ['gets', null],
  ['puts', 150],
  ['gets', 300],
]

export async function measureFronts(counts: readonly number[], onFronts: (fronts: Fronts) => void): Promise<void> {
  for (const count of counts) await measureCount(count, onFronts)
}

async function measureCount(count: number, onFronts: (fronts: Fronts) => void): Promise<void> {
  const place = openPlace('blobs-scaling-')
  const ends: (() => Promise<unknown>)[] = [place.dispose]
  try {
    const nodes = await startNodes({ folder: place.folder, network: null })
    ends.push(nodes.dispose)
    const backend = `nats://${nodes.addresses.join(',')}?replicas=3`
    const fronts = await startFronts({ place, backend, secret: randomBytes(32).toString('hex'), count })
    ends.push(fronts.dispose)
    const nginx = await startNginx(fronts.addresses)
    ends.push(nginx.stop)
    const token = await fronts.token('*', '--can', 'read,write,delete,admin')
    const bucket = await open(`${nginx.url}/${BUCKET}`, { token, create: true, env: {} })
    await fillBucket(bucket.store, { end: KEYS, size: SIZE })
    await bucket.close()
    const tokens = await tokensFor({ server: nginx.url, bucket: BUCKET, token, count: CONNECTIONS })
    const parts: Record<Part, () => readonly number[]> = {
      servers: fronts.pids,
      nats: nodes.pids,
      nginx: () => childrenOf(nginx.pid),
      load: () => [process.pid],
    }
    for (const [mix, rate] of RUNS) {
      const driven = await ask(new URL(nginx.url), { mix, rate, tokens, parts })
      const memory = Math.max(...fronts.pids().map(residentMiB))
      onFronts({ fronts: count, mix, rate, ...driven, memory })
    }
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

interface Asking {
  readonly mix: Mix
  readonly rate: number | null
  readonly tokens: readonly string[]
  readonly parts: Readonly<Record<Part, () => readonly number[]>>
}

async function ask(
  server: URL,
  { mix, rate, tokens, parts }: Asking,
): Promise<Pick<Fronts, 'perSecond' | 'p50' | 'p99' | 'failures' | 'cpu'>> {
  const connections = Array.from({ length: CONNECTIONS }, () => openConnection(server))
  const next = requestsOf({ mix, bucket: BUCKET, keys: KEYS, size: SIZE, tokens, host: server.host })
  const names = Object.keys(parts) as readonly Part[]
  const used = (): readonly number[] =>
    names.map((name) => parts[name]().reduce((sum, pid) => sum + cpuSeconds(pid), 0))
  try {
    await drive({ connections, next, milliseconds: WARM_MS, rate })
    const before = used()
    const { tallies, milliseconds } = await drive({ connections, next, milliseconds: LASTS_MS, rate })
    const after = used()
    const tally = tallies.get(mix === 'gets' ? 'get' : 'put')
    if (tally === undefined) throw new Error('nothing was answered')
    const { times, failures } = tally
    const each = (index: number): number => (((after[index] ?? 0) - (before[index] ?? 0)) * 1000) / times.count
    return {
      perSecond: (times.count * 1000) / milliseconds,
      p50: times.percentile(50),
      p99: times.percentile(99),
      failures: [...failures.values()].reduce((sum, one) => sum + one, 0),
      cpu: Object.fromEntries(names.map((name, index) => [name, each(index)])) as Fronts['cpu'],
    }
  } finally {
    for (const connection of connections) connection.close()
  }
}
