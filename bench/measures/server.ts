import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, Contender } from '../bench.ts'
import { OURS } from '../figures.ts'
import { httpRequest, load, type LoadResult } from '../load.ts'
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
  readonly headers: Readonly<Record<string, string>>
  /** Keys that the first run of puts made. */
  keys: number
}

/** Small puts of new keys, and gets of keys that are there, by 64 connections that each wait for their answer. */
export async function measureServer(bench: Bench): Promise<void> {
  const served = await serve(bench)
  await served.client('client').must(['bucket', 'create', 'small'])
  const authorization = `Bearer ${readFileSync(served.token, 'utf8').trim()}`
  const targets: Target[] = [
    { name: OURS, url: served.server.url, path: '/v1/buckets/small/blobs', headers: { authorization }, keys: 0 },
  ]
  const webdav = bench.settings.alone ? null : await serveWebdav(join(bench.place.folder, 'webdav')).catch(() => null)
  if (webdav !== null) targets.push({ name: PEER, needs: 'rclone', url: webdav.url, path: '', headers: {}, keys: 0 })
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
      const result = await load({
        url: target.url,
        connections: CONNECTIONS,
        milliseconds: LASTS_MS,
        request: (n) => requestOf(method, target, run, n),
      })
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

/** A put is of a key and bytes that are new; a get is of one of the first run's keys. */
function requestOf(method: 'PUT' | 'GET', { path, headers, keys }: Target, run: number, n: number): Buffer {
  if (method === 'GET') return httpRequest('GET', `${path}/key-0-${n % keys}`, headers)
  const body = Buffer.alloc(BODY, `${run} ${n} `)
  return httpRequest('PUT', `${path}/key-${run}-${n}`, { 'content-type': 'application/octet-stream', ...headers }, body)
}
