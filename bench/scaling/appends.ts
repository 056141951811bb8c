import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { sha256 } from '../../src/content/hash.ts'
import { openLocal } from '../../src/backends/local/local.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import { encodeEntry } from '../../src/store/entry.ts'
import type { Backend, BucketPorts, RawEntry } from '../../src/store/ports.ts'
import { median } from '../figures.ts'
import { cpuSeconds, residentMiB } from '../process.ts'
import { startNode, treeBytes } from './node.ts'
import { startNodes } from '../../scripts/chaos/nodes.ts'
import { openBackend, portsOf } from './place.ts'

/** What it costs to keep one more thing, at a place. */
export interface Appended {
  readonly place: string
  /** Median milliseconds of one entry of a put, one after the other. */
  readonly append: number
  /** Of entries that 64 writers append at once, which a server does for all of them: a second, and milliseconds of a processor for one. */
  readonly appendsPerSecond: number
  readonly appendsCpu: number
  /** Bytes of an entry, and what it takes on the disk of each server. */
  readonly entryBytes: number
  readonly entryOnDisk: number
  /** Median milliseconds of one chunk of 64 KiB, MiB a second of many at once, and what one takes on the disk. */
  readonly chunk: number
  readonly chunkMiBPerSecond: number
  readonly chunkOnDisk: number
  /** Of chunks of a kilobyte, put many at once: a second, and what one takes on the disk. */
  readonly smallPerSecond: number
  readonly smallOnDisk: number
  /** KiB of memory of a node for 1000 of these that it has; 0 where there is none. */
  readonly chunkMemory: number
}

interface Site {
  readonly name: string
  readonly backend: Backend
  /** What is on one disk for the bucket. */
  bytes(): number
  /** Seconds of a processor that its servers have used. */
  cpu(): number
  /** MiB of memory of one of them. */
  memory(): number
  stop(): Promise<void>
}

const BUCKET = 'appends'
const SINGLE = 300
const MANY = 10_000
const TOGETHER = 64
const CHUNK = 64 * 1024
const CHUNKS = 1000
const SMALL = 1024
const SMALLS = 10_000

/** The embedded store, one node of NATS, and three. */
export async function measureAppends(directory: string, onAppended: (appended: Appended) => void): Promise<void> {
  for (const open of [openEmbedded, openOne, openThree]) {
    const site = await open(directory)
    try {
      onAppended(await measure(site))
    } finally {
      await site.stop()
    }
  }
}

async function openEmbedded(directory: string): Promise<Site> {
  const data = join(directory, 'embedded')
  const backend = await openLocal({ directory: data, clock })
  return {
    name: 'embedded',
    backend,
    bytes: () => treeBytes(data),
    cpu: () => 0,
    memory: () => 0,
    stop: () => backend.close(),
  }
}

async function openOne(directory: string): Promise<Site> {
  const node = await startNode(join(directory, 'one'))
  const backend = await openBackend(`nats://${node.address}`, join(directory, 'one-cache'))
  return {
    name: 'NATS, 1 node',
    backend,
    bytes: () => treeBytes(join(directory, 'one')),
    cpu: () => cpuSeconds(node.pid),
    memory: () => residentMiB(node.pid),
    stop: async () => {
      await backend.close()
      await node.stop()
    },
  }
}

async function openThree(directory: string): Promise<Site> {
  const folder = join(directory, 'three')
  mkdirSync(folder)
  const nodes = await startNodes({ folder, network: null })
  const backend = await openBackend(`nats://${nodes.addresses.join(',')}?replicas=3`, join(directory, 'three-cache'))
  return {
    name: 'NATS, 3 replicas',
    backend,
    bytes: () => treeBytes(join(folder, 'node-0')),
    cpu: () => nodes.pids().reduce((sum, pid) => sum + cpuSeconds(pid), 0),
    memory: () => Math.max(...nodes.pids().map(residentMiB)),
    stop: async () => {
      await backend.close()
      await nodes.dispose()
    },
  }
}

async function measure({ name, backend, bytes, cpu, memory }: Site): Promise<Appended> {
  await backend.create(BUCKET)
  const ports = await portsOf(backend, BUCKET)
  const append = await oneByOne(SINGLE, () => ports.log.append([entryOf()]))
  const allCpu = (): number => cpu() + cpuSeconds(process.pid)
  const entries = batches(Array.from({ length: MANY }, entryOf), TOGETHER)
  const appends = await watched(bytes, allCpu, () => inTurn(1, entries, (some) => ports.log.append(some)))
  const chunk = await oneByOne(SINGLE, () => ports.content.put([chunkOf(CHUNK)]))
  const chunks = await stage(ports, bytes, allCpu, { count: CHUNKS, size: CHUNK })
  const memoryBefore = memory()
  const smalls = await stage(ports, bytes, allCpu, { count: SMALLS, size: SMALL })
  await ports.log.close()
  await ports.content.close()
  return {
    place: name,
    append,
    appendsPerSecond: MANY / appends.seconds,
    appendsCpu: (appends.cpu * 1000) / MANY,
    entryBytes: entryOf().data.length,
    entryOnDisk: appends.bytes / MANY,
    chunk,
    chunkMiBPerSecond: (CHUNKS * CHUNK) / 1024 ** 2 / chunks.seconds,
    chunkOnDisk: chunks.bytes / CHUNKS,
    smallPerSecond: SMALLS / smalls.seconds,
    smallOnDisk: smalls.bytes / SMALLS,
    chunkMemory: ((memory() - memoryBefore) * 1024 * 1000) / SMALLS,
  }
}

/** Puts chunks as uploads do: eight megabytes, or five hundred of them, in one call. */
async function stage(
  { content }: BucketPorts,
  bytes: () => number,
  cpu: () => number,
  { count, size }: { readonly count: number; readonly size: number },
): Promise<Watched> {
  const all = Array.from({ length: count }, () => chunkOf(size))
  const each = Math.min(500, (8 * 1024 * 1024) / size)
  return watched(bytes, cpu, () => inTurn(2, batches(all, each), (some) => content.put(some)))
}

interface Watched {
  readonly seconds: number
  readonly cpu: number
  readonly bytes: number
}

async function watched(bytes: () => number, cpu: () => number, act: () => Promise<void>): Promise<Watched> {
  const [beforeBytes, beforeCpu, started] = [bytes(), cpu(), performance.now()]
  await act()
  const seconds = (performance.now() - started) / 1000
  return { seconds, cpu: cpu() - beforeCpu, bytes: bytes() - beforeBytes }
}

async function oneByOne(count: number, act: () => Promise<unknown>): Promise<number> {
  const spans: number[] = []
  for (let n = 0; n < count; n++) {
    const started = performance.now()
    await act()
    spans.push(performance.now() - started)
  }
  return median(spans)
}

function batches<T>(all: readonly T[], each: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / each) }, (_, n) => all.slice(n * each, (n + 1) * each))
}

/** One after the other, so many at the same time. */
async function inTurn<T>(width: number, all: readonly T[], act: (one: T) => Promise<unknown>): Promise<void> {
  let at = 0
  const work = async (): Promise<void> => {
    for (let one = all[at++]; one !== undefined; one = all[at++]) await act(one)
  }
  await Promise.all(Array.from({ length: width }, work))
}

function chunkOf(size: number): { readonly hash: string; readonly bytes: Uint8Array } {
  const bytes = randomBytes(size)
  return { hash: sha256(bytes), bytes }
}

function entryOf(): RawEntry {
  const id = randomBytes(16).toString('hex')
  const hash = randomBytes(32).toString('hex')
  const put = { put: `folder/${id}`, expect: 'any', hash, size: SMALL, depth: 0, refs: [[hash, SMALL]] } as const
  const changes = [
    { ...put, type: 'application/octet-stream', meta: { mtime: '1767225600.123', mode: '644' } },
  ] as const
  const data = encodeEntry({ v: 1, id, time: Date.now(), author: 'ann', device: 'laptop', changes, based: 1 })
  return { id, data }
}
