import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { openPlace, type Machine, type Running } from '../../scripts/harness.ts'
import { times } from '../figures.ts'
import { residentMiB } from '../process.ts'
import { keyAt } from './fill.ts'
import { treeBytes, type NatsNode } from './node.ts'

/** What a server takes from its start on, with one who asks one thing after the other. */
export interface Used {
  /** Milliseconds until it listens. */
  readonly start: number
  /** Milliseconds, and bytes that NATS sent it, for the first listing of a folder and the first put. */
  readonly firstList: number
  readonly firstListBytes: number
  readonly firstPut: number
  readonly firstPutBytes: number
  /** Median milliseconds of puts at keys all over the bucket, of gets of the same, and of listings of a thousand keys. */
  readonly put: number
  readonly get: number
  readonly list: number
  /** MiB of memory at the end. */
  readonly memory: number
  /** Bytes of its view at the end. */
  readonly viewBytes: number
}

interface UseOptions {
  readonly node: NatsNode
  readonly backend: string
  readonly bucket: string
  readonly keys: number
  /** Where it keeps its views. */
  readonly cache: string
}

const PUTS = 200
const LISTS = 30
const STARTING = 60_000

type Ask = (method: string, path: string, body?: Uint8Array) => Promise<Uint8Array>

export async function useServer(options: UseOptions): Promise<Used> {
  const place = openPlace('blobs-scaling-')
  try {
    const machine = place.machine('server', { BLOBS_BACKEND: options.backend, XDG_CACHE_HOME: options.cache })
    const began = performance.now()
    const data = join(machine.home, 'data')
    const server = machine.start(['serve', '--json', '--port', '0', '--data', data, '--gc-every', 'none'])
    const { url } = await server.event('a server', ({ type }) => type === 'listening', STARTING)
    const start = performance.now() - began
    const used = await ask(options, server, await askOf(machine, `${String(url)}/v1/buckets/${options.bucket}`))
    await server.stop()
    return { start, ...used }
  } finally {
    await place.dispose()
  }
}

async function askOf(machine: Machine, base: string): Promise<Ask> {
  const data = join(machine.home, 'data')
  const { out } = await machine.must(['token', 'create', '*', '--data', data, '--can', 'read,write', '-q'])
  const headers = { authorization: `Bearer ${out.trim()}` }
  return async (method, path, body) => {
    for (;;) {
      const answer = await fetch(`${base}${path}`, { method, headers, ...(body === undefined ? {} : { body }) })
      const bytes = await answer.bytes()
      // One that begins may need more time than it lets anybody wait.
      if (answer.status === 503) continue
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${Buffer.from(bytes).toString()}`)
      return bytes
    }
  }
}

async function ask({ node, keys, cache }: UseOptions, server: Running, request: Ask): Promise<Omit<Used, 'start'>> {
  const blob = (n: number): string => `/blobs/${keyAt(n, keys)}`
  const list = (n: number): Promise<unknown> => {
    const [folder = ''] = keyAt(n, keys).split('/')
    return request('GET', `/blobs?prefix=${folder}/&limit=1000`)
  }
  const put = (n: number): Promise<unknown> => request('PUT', blob(n), randomBytes(1024))
  const firstList = await weighed(node, () => list(1))
  const firstPut = await weighed(node, () => put(keys >> 1))
  return {
    firstList: firstList.took,
    firstListBytes: firstList.bytes,
    firstPut: firstPut.took,
    firstPutBytes: firstPut.bytes,
    put: await times(PUTS, put),
    get: await times(PUTS, (n) => request('GET', blob(n))),
    list: await times(LISTS, (n) => list(n * 37)),
    memory: residentMiB(server.pid),
    viewBytes: treeBytes(cache),
  }
}

async function weighed(node: NatsNode, act: () => Promise<unknown>): Promise<{ took: number; bytes: number }> {
  const before = await node.sentBytes()
  const started = performance.now()
  await act()
  const took = performance.now() - started
  return { took, bytes: (await node.sentBytes()) - before }
}
