import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openRecords } from '../../src/access/records.ts'
import { openSystem } from '../../src/access/system.ts'
import { mintToken } from '../../src/access/tokens.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import type { FeedItem } from '../../src/store/contract/types.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import { retrying } from '../../src/store/retry.ts'
import { bucketsAt, openPlaceOf } from '../backends/driver/open.ts'
import { lacksNats, startNats, type NatsServer } from '../backends/nats-server.ts'
import { put, textOf } from '../store/acts.ts'
import { openTurns, openWay, type Way } from './between-machines.ts'
import { ask, type Overrides, type Running, running, SECRETS } from './running.ts'

const lacks = lacksNats()
if (lacks !== null && process.env['CI'] !== undefined) throw new Error(`front ends cannot be tested: ${lacks}`)

let nats: NatsServer
const ends: (() => unknown)[] = []
const places: string[] = []

beforeAll(async () => {
  if (lacks === null) nats = await startNats()
})
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})
afterAll(() => nats?.stop())

/** A server of its own machine over one place; `way`: how it comes there. */
async function frontEnd(way = nats.address, overrides: Overrides = {}): Promise<Running & { readonly place: Buckets }> {
  const place = await bucketsAt(`nats://${way}/${places.at(-1)}`, {})
  const server = await running({ buckets: place, staleReads: 60_000, ...overrides })
  ends.push(
    () => place.close(),
    () => server[Symbol.asyncDispose](),
  )
  return { ...server, place }
}

async function client(url: string, onStale?: (seconds: number) => void): Promise<BlobStore> {
  const token = await mintToken({ bucket: 'team' }, SECRETS, { now: clock.now(), id: ids.next() })
  const buckets = await openHttpBuckets({ origin: url, token, ...(onStale ? { onStale } : {}) })
  ends.push(() => buckets.close())
  return retrying(await buckets.open('team'), { clock, chance: Math.random })
}

function newPlace(): void {
  places.push(`place${places.length}`)
}

async function wayThere(): Promise<Way> {
  const way = await openWay(nats.address)
  ends.push(() => way.close())
  return way
}

describe.skipIf(lacks !== null)(`several servers of one place (${lacks ?? 'NATS'})`, () => {
  it('a client whose requests go to another one each time reads what it wrote, and what it was told of', async () => {
    newPlace()
    const servers = [await frontEnd(), await frontEnd(), await frontEnd()]
    await servers[0]?.place.create('team')
    const turns = await openTurns(servers.map(({ url }) => url))
    ends.push(() => turns.close())
    const store = await client(turns.url)
    for (let n = 1; n <= 20; n++) {
      await put(store, 'counter', String(n), n === 1 ? { expect: 'absent' } : { expect: { version: n - 1 } })
      expect(await textOf(store, 'counter')).toBe(String(n))
    }
    expect(Math.min(...turns.counts)).toBeGreaterThan(10)
  })

  it('one that has not come as far as its client has seen answers 503 with Retry-After, and the client comes again', async () => {
    newPlace()
    const one = await frontEnd()
    await one.place.create('team')
    let behind = 3
    const place = await bucketsAt(`nats://${nats.address}/${places.at(-1)}`, {})
    const lagging: Buckets = {
      ...place,
      open: async (name) => {
        const store = await place.open(name)
        return {
          ...store,
          reach: async (options) => {
            if (options.seen.length === 0 || behind-- <= 0) return store.reach?.(options) as never
            throw new BlobsError('Unavailable', 'not yet', { retryAfter: 200 })
          },
        }
      },
    }
    const other = await frontEnd(nats.address, { buckets: lagging })
    ends.push(() => place.close())
    const token = await one.token({})
    const written = await ask(one.url, '/v1/buckets/team/blobs/a', { method: 'PUT', token, body: 'x' })
    const seen = String(written.headers['x-blobs-cursor'])
    const refused = await ask(other.url, '/v1/buckets/team/blobs/a', { token, headers: { 'x-blobs-seen': seen } })
    expect([refused.status, refused.headers['retry-after'], refused.json.code]).toEqual([503, '1', 'Unavailable'])
    const turns = await openTurns([one.url, other.url])
    ends.push(() => turns.close())
    const store = await client(turns.url)
    await put(store, 'b', 'y')
    expect(await textOf(store, 'b')).toBe('y')
    expect(behind).toBeLessThanOrEqual(0)
    const odd = await ask(one.url, '/v1/buckets/team/blobs/a', { token, headers: { 'x-blobs-seen': 'no cursor' } })
    expect(odd.status).toBe(400)
  })

  it('tell those who follow what was written at another one, at once', async () => {
    newPlace()
    const [one, two] = [await frontEnd(), await frontEnd()]
    await one.place.create('team')
    const [writer, reader] = [await client(one.url), await client(two.url)]
    const stop = new AbortController()
    const heard: FeedItem[] = []
    const following = (async () => {
      for await (const item of reader.changes({ live: true, signal: stop.signal })) heard.push(item)
    })()
    await expect.poll(() => heard.length).toBeGreaterThan(0)
    const started = performance.now()
    await put(writer, 'news', 'n')
    await expect.poll(() => heard.some((item) => item.type === 'put'), { interval: 5 }).toBe(true)
    expect(performance.now() - started).toBeLessThan(1000)
    // What a feed told of is there at whichever server is asked next.
    expect(await textOf(reader, 'news')).toBe('n')
    stop.abort()
    await following
  })

  it('refuse a token within a second after it was revoked at another one', async () => {
    newPlace()
    const [one, two] = [await frontEnd(), await frontEnd()]
    await one.place.create('team')
    const admin = await one.token({ bucket: '*', can: ['read', 'write', 'delete', 'admin'] })
    const asking = { method: 'POST', token: admin, body: JSON.stringify({ bucket: 'team' }) }
    const { id, token } = (await ask(one.url, '/v1/tokens', asking)).json as { id: string; token: string }
    expect((await ask(two.url, '/v1/buckets/team', { token })).status).toBe(200)
    const body = JSON.stringify({ ids: [id] })
    expect((await ask(one.url, '/v1/tokens/revoke', { method: 'POST', token: admin, body })).status).toBe(200)
    const started = performance.now()
    await expect
      .poll(async () => (await ask(two.url, '/v1/buckets/team', { token })).status, { interval: 10 })
      .toBe(401)
    expect(performance.now() - started).toBeLessThan(1000)
    expect((await ask(two.url, '/v1/tokens', { token: admin })).text).toContain(id)
  })

  it('one that is new begins at a checkpoint, though the log before it is gone', async () => {
    newPlace()
    const one = await frontEnd()
    await one.place.create('team')
    const writer = await client(one.url)
    for (let n = 0; n < 30; n++) await put(writer, `key ${n}`, `value ${n}`)
    const backend = await openPlaceOf(`nats://${nats.address}/${places.at(-1)}`, {})
    const ports = await backend.open('team')
    if (ports === null) throw new Error('no bucket')
    const store = await openLogStore({
      name: 'team',
      ports,
      viewDirectory: null,
      promises: backend.promises,
      clock,
      ids,
    })
    expect(await store.trim({ positions: 2, time: 0 })).toBeGreaterThan(20)
    await store.close()
    await backend.close()
    const reader = await client((await frontEnd()).url)
    expect((await reader.list()).items).toHaveLength(30)
    expect(await textOf(reader, 'key 0')).toBe('value 0')
  })

  it('one that cannot reach the place tells what it knows, marked, and writes nothing; then it goes on', async () => {
    newPlace()
    const way = await wayThere()
    const [one, cut] = [await frontEnd(), await frontEnd(way.address)]
    await one.place.create('team')
    const told: number[] = []
    const reader = await client(cut.url, (seconds) => told.push(seconds))
    await put(await client(one.url), 'a', 'old')
    expect(await textOf(reader, 'a')).toBe('old')
    way.blocked = true
    await sleep(1100)
    const [token, mighty] = [ids.next(), await one.token({})]
    const revoked = await mintToken({ bucket: 'team' }, SECRETS, { now: clock.now(), id: token })
    const path = '/v1/buckets/team/blobs/a'
    const known = await ask(cut.url, path, { method: 'HEAD', token: mighty })
    expect([known.status, Number(known.headers['x-blobs-stale'])]).toEqual([200, expect.any(Number)])
    expect(Number(known.headers['x-blobs-stale'])).toBeGreaterThan(0)
    expect(await reader.head('a')).toMatchObject({ version: 1 })
    expect(told).toHaveLength(1)
    // What was seen at another server is not denied here.
    const put2 = await ask(one.url, path, { method: 'PUT', token: mighty, body: 'new' })
    const headers = { 'x-blobs-seen': String(put2.headers['x-blobs-cursor']) }
    expect((await ask(cut.url, path, { method: 'HEAD', token: mighty, headers })).status).toBe(503)
    const written = await ask(cut.url, path, { method: 'PUT', token: mighty, body: 'lost' })
    expect([written.status, written.json.code]).toEqual([503, 'Unavailable'])
    const records = openRecords({ store: await openSystem(one.place), now: () => clock.now(), newId: () => ids.next() })
    await records.revoke([token], '')
    way.blocked = false
    await expect
      .poll(async () => (await ask(cut.url, path, { token: mighty })).headers['x-blobs-stale'], { timeout: 10_000 })
      .toBeUndefined()
    expect((await ask(cut.url, path, { token: revoked })).status).toBe(401)
    expect(await textOf(reader, 'a')).toBe('new')
  }, 30_000)
})
