import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { openBuckets } from '../../src/locations/open.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import type { Place } from '../harness.ts'
import { startNginx } from '../nginx.ts'
import { startClients, type Clients } from './clients.ts'
import { BRIEF, faultsFor, LONG } from './faults.ts'
import { startFolders } from './folders.ts'
import { startFronts, type Fronts } from './fronts.ts'
import { faultsIn } from './history.ts'
import type { Network } from './network.ts'
import { startNodes } from './nodes.ts'

const BUCKET = 'register'
/** Bucket of the folders that are synced. */
const FOLDERS = 'folders'
/** Milliseconds until all clients must write again after everything was mended. */
const RECOVERY = 60_000
/** Milliseconds until a write must have failed clearly while most nodes are gone. */
const CLEARLY = 40_000
const CLIENTS = ['one', 'two', 'three', 'four']

interface Outage {
  readonly fault: string
  /** The longest time that a client waited for a write. */
  readonly longestWait: number
  /** Until all clients wrote again. */
  readonly took: number
}

export interface ChaosReport {
  readonly outages: readonly Outage[]
  readonly writes: number
  readonly reads: number
  readonly staleReads: number
  readonly unknown: number
  readonly saves: number
  /** Of nodes, which were started again. */
  readonly crashes: number
  readonly failures: ReadonlyMap<string, number>
  /** What was wrong, in words. */
  readonly findings: readonly string[]
}

export interface ChaosOptions {
  readonly place: Place
  readonly network: Network | null
  /** Each fault happens once, and then again, in any order, until so many milliseconds have passed; 0: each in little time. */
  readonly milliseconds: number
  readonly die: (below: number) => number
  readonly onOutage: (outage: Outage) => void
}

/** Runs three nodes, three servers, nginx, clients and agents, and lets go wrong what can. */
export async function chaos({ place, network, milliseconds, die, onOutage }: ChaosOptions): Promise<ChaosReport> {
  const findings: string[] = []
  const nodes = await startNodes({ folder: place.folder, network })
  const ends: (() => Promise<unknown>)[] = [nodes.dispose]
  try {
    const backend = `nats://${nodes.addresses.join(',')}?replicas=3`
    const fronts = await startFronts({ place, backend, secret: randomBytes(32).toString('hex') })
    ends.push(fronts.dispose)
    const nginx = await startNginx(fronts.addresses)
    ends.push(nginx.stop)
    const options = await Promise.all(
      CLIENTS.map(async (name) => ({ name, url: nginx.url, bucket: BUCKET, token: await fronts.token(BUCKET) })),
    )
    const [{ token }] = options as [(typeof options)[number]]
    await createBucket(nginx.url, token)
    const folders = await startFolders({ place, url: `${nginx.url}/${FOLDERS}`, token: await fronts.token(FOLDERS) })
    const clients = await startClients(options)
    if (!(await clients.allWrite(RECOVERY))) findings.push('the clients never began')
    const outages: Outage[] = []
    const scene = {
      nodes,
      fronts,
      network,
      die,
      bucket: BUCKET,
      beforeMostAreGone: () => lookAtAll(fronts, token),
      whileMostAreGone: () => lookAtTheRest(fronts, token, findings),
      spans: milliseconds === 0 ? BRIEF : LONG,
    }
    for (const fault of faultsFor(milliseconds, scene)) {
      const since = performance.now()
      await fault.happen(scene)
      const recovered = await clients.allWrite(RECOVERY)
      if (!recovered) findings.push(`${fault.name}: not all clients write ${RECOVERY / 1000} s after all was mended`)
      const outage = { fault: fault.name, longestWait: clients.longestWait(since), took: performance.now() - since }
      outages.push(outage)
      onOutage(outage)
      if (!recovered) break
    }
    findings.push(...(await folders.settle(RECOVERY)))
    await clients.stop()
    findings.push(...(await compare(nginx.url, token, clients)))
    const { operations, unknown, failures } = clients
    return {
      outages,
      writes: operations.filter(({ kind }) => kind === 'write').length,
      reads: operations.filter(({ kind }) => kind === 'read').length,
      staleReads: operations.filter(({ stale }) => stale).length,
      unknown: unknown.length,
      saves: folders.saves(),
      crashes: nodes.crashes(),
      failures,
      findings,
    }
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

async function createBucket(url: string, token: string): Promise<void> {
  const buckets = await openBuckets(url, { data: '', clock, ids, token })
  await buckets.create(BUCKET)
  await buckets.close()
}

/** A server that nobody has asked for a bucket knows nothing of it. */
async function lookAtAll({ addresses }: Fronts, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` }
  await Promise.all(
    addresses.map(async (address) => {
      const told = async (): Promise<boolean> =>
        (await fetch(`http://${address}/v1/buckets/${BUCKET}/blobs/a`, { method: 'HEAD', headers })).ok
      for (let tries = 0; tries < 100 && !(await told()); tries++) await sleep(100)
    }),
  )
}

/** With most nodes gone, writes fail clearly and in time, and what a server knows can be read, and says that it may be stale. */
async function lookAtTheRest({ addresses }: Fronts, token: string, findings: string[]): Promise<void> {
  const authorization = `Bearer ${token}`
  await Promise.all(
    addresses.map(async (address) => {
      const blob = `http://${address}/v1/buckets/${BUCKET}/blobs/a`
      // A leader that is left alone takes some seconds to know that it is none.
      const until = performance.now() + CLEARLY
      let told = ''
      while (!told.startsWith('200, stale') && performance.now() < until) {
        const read = await fetch(blob, { method: 'HEAD', headers: { authorization } })
        told = `${read.status}, ${read.headers.has('x-blobs-stale') ? 'stale' : 'fresh'}`
        await sleep(200)
      }
      if (!told.startsWith('200, stale')) findings.push(`with two nodes gone, a read at ${address} gave ${told}`)
      const signal = AbortSignal.timeout(CLEARLY)
      const body = 'not to be taken'
      const key = `http://${address}/v1/buckets/${BUCKET}/blobs/refused`
      const write = await fetch(key, { method: 'PUT', headers: { authorization }, body, signal }).catch(() => null)
      const problem = (await write?.json().catch(() => null)) as { readonly code?: unknown } | null
      if (write?.status !== 503 || problem?.code !== 'Unavailable' || write.headers.get('retry-after') === null) {
        findings.push(`with two nodes gone, a write at ${address} gave ${write?.status ?? 'no answer'}`)
      }
    }),
  )
}

/** Reads the whole history, and compares it with what the clients were told. */
async function compare(
  url: string,
  token: string,
  { operations, unknown, hashes }: Clients,
): Promise<readonly string[]> {
  const buckets = await openBuckets(url, { data: '', clock, ids, token })
  const store = await buckets.open(BUCKET)
  try {
    const chains = new Map<string, string[]>()
    const wrong: string[] = []
    const wants: { key: string; version: number }[] = []
    const told = new Map<string, string>()
    for await (const item of store.changes({})) {
      if (item.type === 'bookmark' || item.key === 'refused') continue
      const { key, version, entry, hash } = item
      const chain = chains.get(key) ?? []
      chains.set(key, chain)
      if (chain.push(entry) !== version) wrong.push(`${key}: version ${version} is number ${chain.length}`)
      if (hashes.get(entry) !== hash) wrong.push(`${key}: version ${version} has other bytes than were written`)
      wants.push({ key, version })
      told.set(`${version} ${key}`, hash)
    }
    // Read as a whole: their bytes are compared with their hashes on the way.
    for await (const { key, version } of store.fetch(wants)) told.delete(`${version} ${key}`)
    for (const name of told.keys()) wrong.push(`the bytes of version ${name} are not there`)
    return [...wrong, ...faultsIn({ operations, unknown, chains })]
  } catch (error) {
    if (!isBlobsError(error)) throw error
    return [`the history cannot be read: ${error.message}`]
  } finally {
    await store.close()
    await buckets.close()
    await sleep(0)
  }
}
