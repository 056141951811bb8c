import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, Contender } from '../bench.ts'
import { OURS } from '../figures.ts'
import { openConnection } from '../load/connection.ts'
import { drive, type Operation } from '../load/drive.ts'
import { tokensFor } from '../load/tokens.ts'
import { serveWebdav } from '../peers/rclone.ts'
import { serve } from '../server.ts'

const CONNECTIONS = 64
const LASTS_MS = 5000
const BODY = 1024
const PEER = 'rclone serve webdav'

interface Target {
  readonly name: string
  readonly needs?: string
  readonly url: string
  readonly path: string
  /** The token of each connection, where there are such. */
  readonly tokens: readonly string[]
  /** Keys that the first run of puts made. */
  keys: number
}

interface LoadResult {
  /** Requests that were answered. */
  readonly count: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

/** Small puts of new keys, and gets of keys that are there, by 64 connections that each wait for their answer. */
export async function measureServer(bench: Bench): Promise<void> {
  const served = await serve(bench)
  await served.client('client').must(['bucket', 'create', 'small'])
  const token = readFileSync(served.token, 'utf8').trim()
  const tokens = await tokensFor({ server: served.server.url, bucket: 'small', token, count: CONNECTIONS })
  const targets: Target[] = [{ name: OURS, url: served.server.url, path: '/v1/buckets/small/blobs', tokens, keys: 0 }]
  const webdav = bench.settings.alone ? null : await serveWebdav(join(bench.place.folder, 'webdav')).catch(() => null)
  if (webdav !== null) targets.push({ name: PEER, needs: 'rclone', url: webdav.url, path: '', tokens: [], keys: 0 })
  for (const method of ['PUT', 'GET'] as const) await measureMethod(bench, method, targets)
  await webdav?.stop()
  await served.stop()
}

async function measureMethod(bench: Bench, method: 'PUT' | 'GET', targets: readonly Target[]): Promise<void> {
  const results = new Map<string, LoadResult[]>()
  const name = method.toLowerCase()
  const contender = (target: Target): Contender => ({
    name: target.name,
    ...(target.needs === undefined ? {} : { needs: target.needs }),
    act: async (run) => {
      const result = await ask(method, target, run)
      if (method === 'PUT' && run === 0) target.keys = result.count
      results.set(target.name, [...(results.get(target.name) ?? []), result])
      return result.perSecond
    },
  })
  await bench.race({
    id: `server.${name}`,
    what: `small ${name}s, ${CONNECTIONS} connections`,
    unit: 'per second',
    runs: 3,
    contenders: targets.map(contender),
    notes: [
      `${BODY} bytes each; those who ask share the two cores with the server`,
      ...(method === 'PUT' ? [`an answered put is on the disk; ${PEER} does not sync`] : []),
    ],
  })
  bench.report({
    id: `server.${name}-wait`,
    what: `small ${name}s, ${CONNECTIONS} connections: time to the answer`,
    unit: 'ms',
    figures: [...results].flatMap(([who, list]) => [
      { name: `${who}, p50`, values: list.map(({ p50 }) => p50) },
      { name: `${who}, p99`, values: list.map(({ p99 }) => p99) },
    ]),
    targets: [],
    notes: [],
  })
}

/** Each connection asks again as soon as it has its answer. Throws when an answer is not a success. */
async function ask(method: 'PUT' | 'GET', target: Target, run: number): Promise<LoadResult> {
  const connections = Array.from({ length: CONNECTIONS }, () => openConnection(new URL(target.url)))
  const kind = method === 'PUT' ? 'put' : 'get'
  let sent = 0
  const next = (connection: number): Operation => {
    const token = target.tokens[connection]
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    return { kind, request: requestOf(method, target, headers, { run, number: sent++ }) }
  }
  try {
    const { tallies, milliseconds } = await drive({ connections, next, milliseconds: LASTS_MS, rate: null })
    const tally = tallies.get(kind)
    if (tally === undefined) throw new Error(`${target.name} answered nothing`)
    const { times, failures } = tally
    if (failures.size > 0) throw new Error(`refused: ${[...failures].map(([what, n]) => `${n} × ${what}`).join(', ')}`)
    const [p50, p99] = [times.percentile(50), times.percentile(99)]
    return { count: times.count, perSecond: (times.count * 1000) / milliseconds, p50, p99 }
  } finally {
    for (const connection of connections) connection.close()
  }
}

/** A put is of a key and bytes that are new; a get is of one of the first run's keys. */
function requestOf(
  method: 'PUT' | 'GET',
  { path, keys }: Target,
  headers: Readonly<Record<string, string>>,
  { run, number }: { readonly run: number; readonly number: number },
): Buffer {
  if (method === 'GET') return httpRequest('GET', `${path}/key-0-${number % keys}`, headers)
  const body = Buffer.alloc(BODY, `${run} ${number} `)
  const type = { 'content-type': 'application/octet-stream' }
  return httpRequest('PUT', `${path}/key-${run}-${number}`, { ...type, ...headers }, body)
}

function httpRequest(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array = Buffer.alloc(0),
): Buffer {
  const lines = Object.entries({ host: 'bench', 'content-length': String(body.length), ...headers })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}\r\n`), body])
}
