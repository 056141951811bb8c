import type { BackendContext, PlaceAddress, PlaceFinding } from '../../store/ports.ts'
import type { StreamInfo } from './answers.ts'
import { openJetStream, type JetStream } from './jetstream.ts'
import { namesOf, type BucketRecord, type PlaceNames } from './names.ts'
import { placeIn, readOptions } from './options.ts'
import { openRegistry } from './registry.ts'
import { openWire, type Wire } from './wire.ts'

/** Milliseconds in which a bucket is made, or removed, however slowly. */
const YOUNG = 3_600_000
/** Part of what an account may have from which on it is told to look after it. */
const FULL = 0.9

/** What `blobs doctor` tells: the server, the cluster, and of each bucket on how many servers it is and who leads it. */
export async function* examine(address: PlaceAddress, context: BackendContext): AsyncGenerator<PlaceFinding> {
  const [options, names] = [readOptions(address), namesOf(placeIn(address))]
  const { clock, ids } = context
  const wire = await openWire(options, context)
  try {
    yield serverFact(wire)
    const js = openJetStream(wire, { options, clock, ids })
    await js.check()
    yield fact('jetstream', `JetStream is on; the largest message is ${Math.floor(wire.maxPayload / 1024)} KiB`)
    const registry = openRegistry(js, names, ids)
    const known = new Set([names.registry])
    for (const bucket of await registry.names()) {
      const record = await registry.find(bucket)
      if (record === null) continue
      const { log, chunks } = names.of(record)
      known.add(log).add(chunks)
      yield* bucketFindings(js, names, record)
    }
    for (const stream of await js.streamNames(names.anySubject)) {
      const leftover = known.has(stream) ? null : await leftoverFinding(js, stream, clock.now())
      if (leftover !== null) yield leftover
    }
    yield await diskFinding(js)
    yield fact(
      'power',
      'a server acknowledges before its disk has it, and writes through every sync_interval (2 min unless changed): a power cut of all replicas at once may take that',
    )
  } finally {
    await wire.close()
  }
}

function serverFact({ version, cluster, connection }: Wire): PlaceFinding {
  const where = cluster === null ? 'a single server' : `a server of the cluster ${cluster}`
  return fact('server', `${connection.getServer()} is nats-server ${version}, ${where}`)
}

async function* bucketFindings(
  js: JetStream,
  names: PlaceNames,
  record: BucketRecord,
): AsyncGenerator<PlaceFinding, void> {
  const { bucket } = record
  const { log, chunks } = names.of(record)
  const [logInfo, chunksInfo] = [await js.stream(log), await js.stream(chunks)]
  if (logInfo === null || chunksInfo === null) {
    const missing = logInfo === null ? log : chunks
    yield {
      code: 'stream',
      severity: 'warning',
      message: `the stream ${missing} of bucket ${bucket} is not there`,
      remedy: 'was it deleted by hand? restore it from a backup: nats stream restore',
    }
    return
  }
  const replicas = Math.min(logInfo.config.num_replicas, chunksInfo.config.num_replicas)
  if (replicas > 1) {
    const size = `${inMiB(logInfo.bytes)} of log, ${inMiB(chunksInfo.bytes)} of chunks`
    yield fact(
      'replicas',
      `bucket ${bucket} is on ${replicas} servers, led by ${logInfo.leader ?? 'nobody now'}: ${size} on each`,
    )
    for (const info of [logInfo, chunksInfo]) yield* lagFindings(bucket, info)
    return
  }
  yield {
    code: 'replicas',
    severity: 'warning',
    message: `bucket ${bucket} is on one server only, and lost with it`,
    remedy: `in a cluster of three: nats stream edit --replicas 3 ${log}, and ${chunks} and ${names.registry} as well`,
  }
}

/** What a bucket would lose if its leader were lost now. */
function* lagFindings(bucket: string, { config, followers }: StreamInfo): Generator<PlaceFinding> {
  for (const { name, current, offline = false, lag = 0 } of followers) {
    if (!offline && current) continue
    const state = offline ? 'does not answer' : `is ${lag} operations behind`
    yield {
      code: 'lag',
      severity: 'warning',
      message: `${name}, which holds ${config.name} of bucket ${bucket}, ${state}`,
      remedy: 'is that server running, and reached by the others? it catches up by itself: look again',
    }
  }
}

async function diskFinding(js: JetStream): Promise<PlaceFinding> {
  const { used, limit } = await js.storage()
  if (limit === null)
    return fact('disk', `JetStream holds ${inMiB(used)} for this account, with no limit but its disks`)
  const held = `JetStream holds ${inMiB(used)} of the ${inMiB(limit)} that this account may have`
  if (used < limit * FULL) return fact('disk', held)
  return { code: 'disk', severity: 'warning', message: held, remedy: 'make room, or raise the limit of the account' }
}

function inMiB(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`
}

/** Streams are made before their bucket is, and go after it: what a crash left in between is older than that takes. */
async function leftoverFinding(js: JetStream, stream: string, now: number): Promise<PlaceFinding | null> {
  const info = await js.stream(stream)
  if (info === null || now - info.created < YOUNG) return null
  return {
    code: 'leftover',
    severity: 'warning',
    message: `the stream ${stream} belongs to no bucket: a crash left it when one was made or removed`,
    remedy: `it only takes room: nats stream rm ${stream}`,
  }
}

function fact(code: string, message: string): PlaceFinding {
  return { code, severity: 'fact', message, remedy: '' }
}
