import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { startLog } from '../../src/store/log-store.ts'
import { cpuSeconds } from '../process.ts'
import { fillLog } from './fill.ts'
import { startNode, treeBytes, type NatsNode } from './node.ts'
import { openBackend, openStore, portsOf } from './place.ts'
import { useServer, type Used } from './use.ts'

/** Changes of an entry, so that a log of very many keys is made in a bearable time. */
const EACH = 1000
/** Up to so many keys each also gets an entry of its own, as single puts make. */
const MOST_SINGLE = 100_000

/** What a log of so many keys costs, before anybody asks for it. */
interface Filled {
  readonly keys: number
  readonly entries: number
  /** Milliseconds: from the log, for a server that has nothing. */
  readonly catchUp: number
  /** Seconds of a processor. */
  readonly catchUpCpu: number
  readonly checkpoint: number
  /** On disk. */
  readonly logBytes: number
  readonly viewBytes: number
  readonly checkpointBytes: number
}
/**
 * A server that had no view, just behind a checkpoint; one that had all of it; and again one that had none, with what the two put at keys all
 * over the bucket behind the checkpoint.
 */
export interface Grown extends Filled {
  readonly fresh: Used
  readonly settled: Used
  readonly late: Used
}

interface GrowthOptions {
  /** Kept between runs: what was filled is not filled again, but what was put stays behind its checkpoint. */
  readonly directory: string
  readonly keys: readonly number[]
  readonly onGrown: (grown: Grown) => void
}

/** Buckets of so many keys on one node of NATS, and what a server takes to begin with each, and to work in it. */
export async function measureGrowth({ directory, keys, onGrown }: GrowthOptions): Promise<void> {
  const node = await startNode(join(directory, 'node'))
  try {
    for (const count of keys) {
      for (const each of count > MOST_SINGLE ? [EACH] : [1, EACH]) {
        const filled = await fill(node, directory, count, each)
        onGrown({ ...filled, ...(await use(node, directory, filled)) })
      }
    }
  } finally {
    await node.stop()
  }
}

function bucketOf({ keys, entries }: Pick<Filled, 'keys' | 'entries'>): string {
  return `keys-${keys}-${keys === entries ? 'single' : 'many'}`
}

async function fill(node: NatsNode, directory: string, keys: number, each: number): Promise<Filled> {
  const entries = Math.ceil(keys / each)
  const bucket = bucketOf({ keys, entries })
  const known = join(directory, `${bucket}.json`)
  if (existsSync(known)) return JSON.parse(readFileSync(known, 'utf8')) as Filled
  const cache = cacheOf(directory, bucket)
  rmSync(cache, { recursive: true, force: true })
  const backend = await openBackend(placeOf(node), cache)
  try {
    await backend.remove(bucket)
    await backend.create(bucket)
    const ports = await portsOf(backend, bucket)
    await startLog({ name: bucket, ports, clock, ids }, {})
    await fillLog(ports.log, { keys, each })
    await ports.log.close()
    const store = await openStore(backend, bucket)
    const [started, cpu] = [performance.now(), cpuSeconds(process.pid)]
    const { blobs } = await store.info()
    if (blobs !== keys) throw new Error(`the view has ${blobs} of ${keys} keys`)
    const [caughtUp, caughtUpCpu] = [performance.now(), cpuSeconds(process.pid)]
    await store.checkpoint()
    const checkpoint = performance.now() - caughtUp
    await store.close()
    const filled: Filled = {
      keys,
      entries,
      catchUp: caughtUp - started,
      catchUpCpu: caughtUpCpu - cpu,
      checkpoint,
      logBytes: node.streamBytes(bucket, 'log'),
      viewBytes: treeBytes(cache),
      checkpointBytes: node.streamBytes(bucket, 'chunks'),
    }
    writeFileSync(known, JSON.stringify(filled))
    return filled
  } finally {
    await backend.close()
  }
}

async function use(node: NatsNode, directory: string, filled: Filled): Promise<Omit<Grown, keyof Filled>> {
  const bucket = bucketOf(filled)
  const options = { node, bucket, keys: filled.keys, backend: placeOf(node) }
  const withNothing = (name: string): Promise<Used> => {
    const cache = join(directory, name)
    rmSync(cache, { recursive: true, force: true })
    mkdirSync(cache)
    return useServer({ ...options, cache })
  }
  const fresh = await withNothing('cache-fresh')
  const settled = await useServer({ ...options, cache: cacheOf(directory, bucket) })
  return { fresh, settled, late: await withNothing('cache-late') }
}

function placeOf({ address }: NatsNode): string {
  return `nats://${address}`
}

function cacheOf(directory: string, bucket: string): string {
  return join(directory, `cache-${bucket}`)
}
