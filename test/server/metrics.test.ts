import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { storeSpace } from '../../src/locations/space.ts'
import { openLocal } from '../../src/backends/local/local.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BucketInfo } from '../../src/store/contract/types.ts'
import { ask, newId, type Reply, type Running, running } from './running.ts'
import { connect } from './socket/client.ts'

let at: Running
let directory: string
let token: string
const B = '/v1/buckets/team'
/** What took long to look at is looked at again only after a while. */
const LATE = { timeout: 20_000 }

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'blobs-metrics-'))
  const buckets = openBuckets({ backend: await openLocal({ directory, clock }), clock, ids })
  at = await running({ buckets, space: () => storeSpace(directory), bounds: { connectionsPerAddress: 20 } })
  token = await at.token({})
})
afterAll(async () => {
  await at[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

const scrape = async (): Promise<Map<string, number>> => {
  const { text } = await ask(at.url, '/metrics')
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}
/** What came to a series while something was done; a request is counted when its connection is done with it. */
async function added(series: string, act: () => Promise<unknown>): Promise<number> {
  const look = async (): Promise<number> => (await scrape()).get(series) ?? 0
  const before = await look()
  await act()
  await expect.poll(look).toBeGreaterThan(before)
  return (await look()) - before
}
const put = (key: string, body: string | Buffer, headers = {}): Promise<Reply> =>
  ask(at.url, `${B}/blobs/${key}`, { method: 'PUT', token, body, headers })
const requests = (method: string, route: string, status: number): string =>
  `blobs_http_request_duration_seconds_count{method="${method}",route="${route}",status="${status}"}`
const BLOB = '/v1/buckets/:bucket/blobs/*'

describe('what is counted', () => {
  it('is requests by their route and status, never by names of others', async () => {
    expect(await added(requests('PUT', BLOB, 201), () => put('a/secret-name', 'x'))).toBe(1)
    expect(await added(requests('GET', BLOB, 404), () => ask(at.url, `${B}/blobs/none`, { token }))).toBe(1)
    expect(await added(requests('GET', BLOB, 401), () => ask(at.url, `${B}/blobs/none`))).toBe(1)
    expect(await added(requests('GET', 'unknown', 404), () => ask(at.url, '/nowhere/at/all'))).toBe(1)
    const { text } = await ask(at.url, '/metrics')
    expect(text).not.toMatch(/secret-name|nowhere/)
    expect(text).toContain(
      `blobs_http_request_duration_seconds_bucket{le="+Inf",method="PUT",route="${BLOB}",status="201"}`,
    )
  })

  it('is commits by their outcome, by whatever way they come', async () => {
    const entries = (outcome: string): string => `blobs_commit_entries_total{outcome="${outcome}"}`
    expect(await added(entries('made'), () => put('b', '1'))).toBe(1)
    // A condition that does not hold already when it is asked for is no commit.
    const put2 = {
      type: 'put',
      key: 'b',
      expect: 'absent',
      hash: '',
      size: 0,
      body: { depth: 0, refs: [] },
      contentType: 'a/b',
      meta: {},
    }
    const hash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    const body = JSON.stringify({ entries: [{ id: newId(), changes: [{ ...put2, hash }] }] })
    expect(await added(entries('conflict'), () => ask(at.url, `${B}/commit`, { method: 'POST', token, body }))).toBe(1)
    const missing = JSON.stringify({
      entries: [
        {
          id: newId(),
          changes: [
            { ...put2, key: 'c', hash, size: 1, body: { depth: 0, refs: [{ hash: 'a'.repeat(64), size: 1 }] } },
          ],
        },
      ],
    })
    expect(
      await added(entries('failed'), () => ask(at.url, `${B}/commit`, { method: 'POST', token, body: missing })),
    ).toBe(1)
    using client = await connect(at.url, token)
    await client.ask('ref', randomBytes(32).toString('hex'))
    expect(await added(entries('made'), () => client.ask('set', { data: 'aGk=' }))).toBe(1)
    expect(await added('blobs_commit_duration_seconds_count', () => put('b', '2'))).toBe(1)
  })

  it('is bytes in and out, also on connections that are still open', async () => {
    const body = Buffer.alloc(300_000)
    expect(await added('blobs_received_bytes_total', () => put('large', body))).toBeGreaterThan(300_000)
    expect(await added('blobs_sent_bytes_total', () => ask(at.url, `${B}/blobs/large`, { token }))).toBeGreaterThan(
      300_000,
    )
  })

  it('is who is told of changes, which is no long request', async () => {
    const feeds = async (kind: string): Promise<number | undefined> =>
      (await scrape()).get(`blobs_live_feeds{kind="${kind}"}`)
    expect(await feeds('changes')).toBe(0)
    const changes = requests('GET', '/v1/buckets/:bucket/changes', 200)
    const before = (await scrape()).get(changes) ?? 0
    const feed = get(`${at.url}${B}/changes?live`, { agent: false, headers: { authorization: `Bearer ${token}` } })
    feed.on('error', () => undefined)
    await new Promise((resolve) => feed.once('response', (response) => response.once('data', resolve)))
    const client = await connect(at.url, token)
    expect([await feeds('changes'), await feeds('socket')]).toEqual([1, 1])
    feed.destroy()
    client.socket.close()
    await expect.poll(async () => [await feeds('changes'), await feeds('socket')]).toEqual([0, 0])
    expect((await scrape()).get(changes) ?? 0).toBe(before)
    expect(await added(changes, () => ask(at.url, `${B}/changes`, { token }))).toBe(1)
  })

  it('is events of live clients by whether they failed', async () => {
    using client = await connect(at.url, token)
    const events = (outcome: string): string =>
      `blobs_live_event_duration_seconds_count{event="get",outcome="${outcome}"}`
    expect(await added(events('error'), () => client.ask('get', null))).toBe(1)
    await client.ask('ref', 'a'.repeat(64))
    expect(await added(events('ok'), () => client.ask('get', {}))).toBe(1)
  })

  it('is connections that are open, and those that were refused', async () => {
    const clients = await Promise.all(Array.from({ length: 19 }, () => connect(at.url, token)))
    expect((await scrape()).get('blobs_connections')).toBeGreaterThanOrEqual(19)
    const refused = await added('blobs_refused_connections_total', async () => {
      clients.push(await connect(at.url, token))
      await expect(ask(at.url, '/live')).rejects.toThrow()
      clients.pop()?.socket.close()
      await expect
        .poll(() =>
          ask(at.url, '/live').then(
            ({ status }) => status,
            () => 0,
          ),
        )
        .toBe(200)
    })
    expect(refused).toBeGreaterThan(0)
    for (const client of clients) client.socket.close()
  })
})

describe('what is looked at', () => {
  it('is each bucket: its log, its blobs and their bytes', async () => {
    await at.buckets.create('looked-at')
    const of = async (what: string): Promise<number | undefined> =>
      (await scrape()).get(`blobs_bucket_${what}{bucket="looked-at"}`)
    await expect.poll(() => of('log_position'), LATE).toBeGreaterThan(0)
    const before = (await of('log_position')) ?? 0
    const writer = await at.token({ bucket: 'looked-at' })
    await ask(at.url, '/v1/buckets/looked-at/blobs/a', { method: 'PUT', token: writer, body: 'four' })
    await expect.poll(() => of('log_position'), LATE).toBe(before + 1)
    expect([await of('bytes'), await of('blobs')]).toEqual([4, 1])
    await at.buckets.remove('looked-at')
    await expect.poll(() => of('bytes'), LATE).toBe(undefined)
  })

  it('is many buckets at little cost: none waits for all, and others are served meanwhile', async () => {
    const many = async function* (): AsyncGenerator<BucketInfo> {
      for (let index = 0; ; index++) {
        await new Promise((resolve) => setTimeout(resolve, 3))
        yield { name: `b${index}`, epoch: '', head: `e:${index}:i`, created: '', blobs: 0, bytes: 0, options: {} }
      }
    }
    await using slow = await running({ buckets: { ...at.buckets, list: many, close: async () => undefined } })
    const read = async (): Promise<number> => {
      const started = performance.now()
      expect((await ask(slow.url, '/metrics')).status).toBe(200)
      return performance.now() - started
    }
    expect(await read()).toBeLessThan(2500)
    const counted = async (): Promise<string | undefined> =>
      /^blobs_buckets (\d+)$/m.exec((await ask(slow.url, '/metrics')).text)?.[1]
    await expect.poll(counted, { timeout: 20_000 }).toBe('1000')
    expect(await read()).toBeLessThan(500)
  })

  it('is the disk, the process, and whether it is ready', async () => {
    const all = await scrape()
    for (const part of ['log', 'packs', 'views'])
      expect(all.get(`blobs_store_bytes{part="${part}"}`)).toBeGreaterThanOrEqual(0)
    expect(all.get('blobs_store_bytes{part="log"}')).toBeGreaterThan(4096)
    for (const name of [
      'blobs_store_free_bytes',
      'process_resident_memory_bytes',
      'process_cpu_seconds_total',
      'blobs_buckets',
    ]) {
      expect(all.get(name), name).toBeGreaterThan(0)
    }
    expect(all.get('blobs_ready')).toBe(1)
    expect(Math.abs((all.get('process_start_time_seconds') ?? 0) - Date.now() / 1000)).toBeLessThan(600)
  })
})

describe('who may read it', () => {
  const asked = async (headers: Readonly<Record<string, string>>): Promise<number> =>
    (await ask(at.url, '/metrics', { headers })).status

  it('is this machine, not a proxy on it, nor a page that a foreign name leads here', async () => {
    const { host } = new URL(at.url)
    for (const name of [host, 'localhost', 'LOCALHOST:7420', '127.0.0.1', '[::1]:7420'])
      expect(await asked({ host: name }), name).toBe(200)
    for (const name of ['blobs.example', 'localhost.example', '127.0.0.1.example', '10.0.0.1'])
      expect(await asked({ host: name }), name).toBe(401)
    for (const name of ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via']) {
      expect(await asked({ [name]: 'for=10.0.0.1' }), name).toBe(401)
    }
  })

  it('is who has an admin token for all buckets, and no other token', async () => {
    const bearer = async (request: object): Promise<number> =>
      asked({ host: 'blobs.example', authorization: `Bearer ${await at.token(request)}` })
    expect(await bearer({ bucket: '*', can: ['admin'] })).toBe(200)
    expect(await bearer({ bucket: '*', can: ['read', 'write', 'delete'] })).toBe(403)
    expect(await bearer({ bucket: 'team', can: ['admin'] })).toBe(403)
    expect(await bearer({ bucket: '*', can: ['admin'], prefixes: ['a'] })).toBe(403)
    expect(await asked({ authorization: 'Bearer no' })).toBe(401)
  })
})

const promtool = spawnSync('promtool', ['--version']).status === 0
// Debian has it in the package prometheus; .ci/run installs it.
it.skipIf(!promtool)('promtool finds nothing to criticise', async () => {
  using client = await connect(at.url, token)
  await client.ask('now')
  await put('x', 'y')
  const { text, headers } = await ask(at.url, '/metrics')
  expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/)
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
  expect(checked.stderr + checked.stdout).toBe('')
  expect(checked.status).toBe(0)
})
