import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { Counter, Gauge, Histogram, Registry as Prometheus } from 'prom-client'
import type { Buckets } from '../../store/contract/blob-store.ts'
import type { BucketInfo } from '../../store/contract/types.ts'
import type { Traffic } from '../traffic.ts'
import type { CommitFacts, EventFacts, Meter, RequestFacts } from './meter.ts'

/** What is not counted but looked at when somebody asks. */
export interface Sources {
  readonly buckets: Pick<Buckets, 'list'>
  readonly isReady: () => Promise<boolean>
  readonly traffic: Traffic
  /** What the store takes on its disk, by part, and what is left there; null where there is no such disk. */
  readonly space: (() => Promise<Space>) | null
}
/** Bytes. */
export interface Space {
  readonly parts: Readonly<Record<string, number>>
  readonly free: number
}

export type Registry = Pick<Meter, 'refused' | 'read'> & {
  request(facts: RequestFacts): void
  commit(facts: CommitFacts): void
  event(facts: EventFacts): void
}

/** From a small read in memory to an upload that waits for its sender. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
/** Buckets that are told one by one: each is some series for ever. */
const MOST_BUCKETS = 1000

type Sourced = Sources & { readonly feeds: () => Readonly<Record<string, number>> }
/** Sets what was not counted to what it is now. */
type Look = () => void | Promise<void>

export function openRegistry(sources: Sourced): Registry {
  const register = new Prometheus()
  const registers = [register]
  const counts = openCounts(registers)
  const looks = [lookAtProcess, lookAtConnections, lookAtBuckets, lookAtDisk].map((open) => open(registers, sources))
  const look = async (): Promise<string> => {
    await Promise.all(looks.map((one) => one()))
    return register.metrics()
  }
  let reading: Promise<string> | null = null
  return {
    ...counts,
    read: async () => {
      // Two who ask at the same time look once.
      reading ??= look().finally(() => (reading = null))
      return { text: await reading, type: register.contentType }
    },
  }
}

function openCounts(registers: Prometheus[]): Omit<Registry, 'read'> {
  const histogram = <Label extends string>(name: string, help: string, labelNames: Label[]): Histogram<Label> =>
    new Histogram({ name, help, labelNames, buckets: SECONDS, registers })
  const requests = histogram(
    'blobs_http_request_duration_seconds',
    'From the head of a request to the end of its answer; without live feeds and polls.',
    ['method', 'route', 'status'],
  )
  const commits = histogram('blobs_commit_duration_seconds', 'Commits, by whatever way they came.', [])
  const entries = new Counter({
    name: 'blobs_commit_entries_total',
    help: 'Entries that were to be committed: made, in conflict, or failed with their whole commit.',
    labelNames: ['outcome'],
    registers,
  })
  const events = histogram('blobs_live_event_duration_seconds', 'Events of live clients (Socket.IO).', [
    'event',
    'outcome',
  ])
  const refused = new Counter({
    name: 'blobs_refused_connections_total',
    help: 'Connections that were refused because there were too many.',
    registers,
  })
  return {
    request: ({ request, route, status, seconds }) => {
      requests.observe({ method: request.method ?? '', route: route ?? 'unknown', status: String(status) }, seconds)
    },
    commit: ({ made, conflicts, failed, seconds }) => {
      commits.observe(seconds)
      entries.inc({ outcome: 'made' }, made)
      entries.inc({ outcome: 'conflict' }, conflicts)
      entries.inc({ outcome: 'failed' }, failed)
    },
    event: ({ name, failed, seconds }) => events.observe({ event: name, outcome: failed ? 'error' : 'ok' }, seconds),
    refused: () => refused.inc(),
  }
}

function lookAtProcess(registers: Prometheus[]): Look {
  const start = new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process began, in seconds since 1970.',
    registers,
  })
  const memory = new Gauge({ name: 'process_resident_memory_bytes', help: 'Memory of the process.', registers })
  const processor = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time of the process.',
    registers,
  })
  start.set(Math.round(Date.now() / 1000 - process.uptime()))
  return () => {
    const { user, system } = process.cpuUsage()
    memory.set(process.memoryUsage.rss())
    setTo(processor, (user + system) / 1e6)
  }
}

/** For what somebody else counts. */
function setTo(counter: Counter, value: number): void {
  counter.reset()
  counter.inc(value)
}

function lookAtConnections(registers: Prometheus[], { traffic, feeds, isReady }: Sourced): Look {
  const connections = new Gauge({ name: 'blobs_connections', help: 'Open connections.', registers })
  const live = new Gauge({
    name: 'blobs_live_feeds',
    help: 'Who is told of changes as they happen: feeds of /v1, clients of Socket.IO.',
    labelNames: ['kind'],
    registers,
  })
  const ready = new Gauge({
    name: 'blobs_ready',
    help: '1 while the server can commit, as GET /ready says.',
    registers,
  })
  const received = new Counter({
    name: 'blobs_received_bytes_total',
    help: 'Bytes that came over the network.',
    registers,
  })
  const sent = new Counter({ name: 'blobs_sent_bytes_total', help: 'Bytes that went over the network.', registers })
  return async () => {
    const bytes = traffic.bytes()
    connections.set(traffic.open.size)
    setTo(received, bytes.received)
    setTo(sent, bytes.sent)
    for (const [kind, count] of Object.entries(feeds())) live.set({ kind }, count)
    ready.set((await isReady()) ? 1 : 0)
  }
}

function lookAtBuckets(registers: Prometheus[], { buckets }: Sourced): Look {
  const ofBucket = (name: string, help: string): Gauge<'bucket'> =>
    new Gauge({ name, help: `${help} Of the first ${MOST_BUCKETS} buckets.`, labelNames: ['bucket'], registers })
  const count = new Gauge({
    name: 'blobs_buckets',
    help: `Buckets; no more than ${MOST_BUCKETS} are counted.`,
    registers,
  })
  const position = ofBucket('blobs_bucket_log_position', 'Position of the last entry in the log of a bucket.')
  const size = ofBucket('blobs_bucket_bytes', 'Bytes of the current blobs of a bucket.')
  const blobs = ofBucket('blobs_bucket_blobs', 'Current blobs of a bucket.')
  return sparingly(async () => {
    const all = await listBuckets(buckets)
    for (const gauge of [position, size, blobs]) gauge.reset()
    count.set(all.length)
    for (const info of all) {
      const bucket = info.name
      size.set({ bucket }, info.bytes)
      blobs.set({ bucket }, info.blobs)
      position.set({ bucket }, positionOf(info))
    }
  })
}

/** Milliseconds that an answer waits for a look that takes long; then it tells what the look before has seen. */
const PATIENCE = 1000
/** A look rests so many times as long as it took. */
const REST = 20

/** Looks so seldom that it takes no more than a small part of the time, however long one look takes. */
function sparingly(look: () => Promise<void>): Look {
  let looking: Promise<void> | null = null
  let rested = Number.NEGATIVE_INFINITY
  const once = async (): Promise<void> => {
    const started = performance.now()
    await look()
    const ended = performance.now()
    rested = ended + REST * (ended - started)
    looking = null
  }
  return async () => {
    if (looking === null && performance.now() < rested) return
    looking ??= once()
    const waiting = new AbortController()
    await Promise.race([looking, sleep(PATIENCE, undefined, { signal: waiting.signal }).catch(() => undefined)])
    waiting.abort()
  }
}

/** None while they cannot be read: `blobs_ready` tells of that. */
async function listBuckets(buckets: Sources['buckets']): Promise<readonly BucketInfo[]> {
  const all: BucketInfo[] = []
  try {
    for await (const info of buckets.list()) {
      all.push(info)
      if (all.length >= MOST_BUCKETS) break
      // Each may have to be opened: others have their turn between two.
      await setImmediate()
    }
    return all
  } catch {
    return []
  }
}

/** The middle of `EPOCH:POSITION:ENTRY`; it is shown, and never compared. */
function positionOf({ head }: BucketInfo): number {
  return Number(head.split(':')[1])
}

function lookAtDisk(registers: Prometheus[], { space }: Sourced): Look {
  if (space === null) return () => undefined
  const free = new Gauge({ name: 'blobs_store_free_bytes', help: 'Bytes left on the disk of the store.', registers })
  const parts = new Gauge({
    name: 'blobs_store_bytes',
    help: 'What the store takes on its disk.',
    labelNames: ['part'],
    registers,
  })
  return async () => {
    // A disk that cannot be asked is no reason to tell nothing else.
    const found = await space().catch(() => null)
    if (found === null) return
    free.set(found.free)
    for (const [part, bytes] of Object.entries(found.parts)) parts.set({ part }, bytes)
  }
}
