import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasher } from '../../src/content/hash.ts'
import { splitPlace } from '../../src/locations/target.ts'
import type { BlobsError } from '../../src/store/contract/errors.ts'
import type { Backend, BucketPorts, Position, RawEntry } from '../../src/store/ports.ts'
import { addressesAt } from './address-suite.ts'
import { entries, present, readAll, someChunk } from './conformance.ts'
import { backendDriver, contextOf, openPlaceOf } from './driver/open.ts'
import { lacksNats, leaderOf, startCluster, type NatsServer } from './nats-server.ts'

const lacks = lacksNats()
if (lacks !== null && process.env['CI'] !== undefined) throw new Error(`a cluster cannot be tested: ${lacks}`)

describe.skipIf(lacks !== null)(`three servers of NATS (${lacks ?? 'R3'})`, () => {
  let servers: readonly NatsServer[] = []
  const opened: Backend[] = []
  const open = async (): Promise<Backend> => {
    const url = `nats://${servers.map(({ address }) => address).join(',')}/cluster?replicas=3`
    const backend = await openPlaceOf(url, {})
    opened.push(backend)
    return backend
  }
  beforeAll(async () => {
    servers = await startCluster()
  })
  afterAll(async () => {
    for (const backend of opened) await backend.close()
    for (const server of servers) await server.stop()
  })

  it('of many that create the same bucket at once, one does', async () => {
    const backends = [await open(), await open()]
    const made = await Promise.all(Array.from({ length: 6 }, (_, i) => present(backends[i % 2]).create('same')))
    expect(made.filter(Boolean)).toHaveLength(1)
    expect(await present(backends[0]).names()).toEqual(['same'])
  }, 60_000)

  it('what was appended is read by another at once, and a batch of many comes in order', async () => {
    const [a, b] = [await open(), await open()]
    await a.create('calm')
    const [one, two] = [await portsOf(a, 'calm'), await portsOf(b, 'calm')]
    for (let n = 0; n < 30; n++) {
      const [position] = await one.log.append(entries(1))
      expect((await readAll(two.log, present(position) - 1)).map((found) => found.position)).toEqual([position])
    }
    const many = entries(1000)
    const [positions] = await Promise.all([one.log.append(many), two.log.append(entries(500))])
    expect([...positions].sort((x, y) => x - y)).toEqual(positions)
    const there = new Map((await readAll(two.log)).map(({ position, id }) => [position, id]))
    expect(positions.map((position) => there.get(position))).toEqual(many.map(({ id }) => id))
  }, 60_000)

  it('a leader that is killed takes nothing with it that was acknowledged, and writers and waiters go on', async () => {
    const [a, b] = [await open(), await open()]
    await a.create('storm')
    const ports = [await portsOf(a, 'storm'), await portsOf(b, 'storm')]
    const told = new Map<Position, string>()
    const stop = new AbortController()
    const writing = ports.map((port) => write(port, told, stop.signal))
    await sleep(500)
    const before = told.size
    const leader = await leaderOf(servers, (name) => name.includes('_storm_') && name.endsWith('_log'))
    await leader.kill()
    const killed = performance.now()
    while (told.size < before + 100 && performance.now() - killed < 25_000) await sleep(20)
    const gap = performance.now() - killed
    await leader.restart()
    const chunk = someChunk(300_000)
    await present(ports[0]).content.put([chunk])
    const waiting = present(ports[1]).log.wait({ after: Math.max(...told.keys()) + 50, signal: stop.signal })
    await waiting
    stop.abort()
    await Promise.all(writing)
    const found = await readAll(present(ports[1]).log)
    const ids = new Map(found.map(({ position, id }) => [position, id]))
    expect(new Set(found.map(({ position }) => position)).size).toBe(found.length)
    expect([...told].filter(([position, id]) => ids.get(position) !== id)).toEqual([])
    expect(told.size).toBeGreaterThan(before + 100)
    expect(new Set(found.map(({ id }) => id)).size).toBe(found.length)
    expect((await present(ports[1]).content.get([chunk.hash]))[0]?.length).toBe(300_000)
    expect(gap).toBeLessThan(25_000)
  }, 60_000)

  it('a server that is away is told of when the place is examined', async () => {
    const place = await open()
    await place.create('looked')
    const url = `nats://${servers.map(({ address }) => address).join(',')}/cluster?replicas=3`
    const driver = await backendDriver('nats')
    const found = async (): Promise<readonly string[]> => {
      const told: string[] = []
      for await (const { code, message } of present(driver.examine)(splitPlace(url), contextOf()))
        if (message.includes('bucket looked')) told.push(`${code}: ${message}`)
      return told
    }
    await expect
      .poll(found, { timeout: 20_000 })
      .toEqual([
        expect.stringMatching(/^replicas: .* is on 3 servers, led by n\d: .* MiB of log, .* MiB of chunks on each$/),
      ])
    const leader = await leaderOf(servers, (name) => name.includes('_looked_') && name.endsWith('_log'))
    const away = present(servers.find((server) => server !== leader))
    await away.kill()
    await expect
      .poll(async () => (await found()).join('\n'), { timeout: 30_000 })
      .toMatch(new RegExp(`lag: ${away.name}, which holds .*_looked_.*_log of bucket looked`))
    await away.restart()
  }, 60_000)

  it('with most servers gone the one that is left does not pass for all, and is heard again with the others', async () => {
    const place = await open()
    await place.create('alone')
    const { log } = await portsOf(place, 'alone')
    await log.append(entries(3))
    const leader = await leaderOf(servers, (name) => name.includes('_alone_') && name.endsWith('_log'))
    const gone = servers.filter((server) => server !== leader)
    await Promise.all(gone.map((server) => server.kill()))
    const told = (): Promise<unknown> =>
      readAll(log).then(
        ({ length }) => length,
        ({ code }: BlobsError) => code,
      )
    // For as long as nobody else can have been elected it is right.
    await expect.poll(told, { timeout: 12_000 }).toBe('Unavailable')
    await Promise.all(gone.map((server) => server.restart()))
    await expect.poll(told, { timeout: 30_000 }).toBe(3)
  }, 60_000)

  it('an object that is on its way when the leader is killed arrives whole, its pieces in order', async () => {
    const store = await addressesAt(`nats+obj://${servers.map(({ address }) => address).join(',')}/MEDIA?replicas=3`)
    const hash = hasher()
    let size = 0
    const source = async function* (): AsyncGenerator<Uint8Array> {
      const kill = 12
      for (let piece = 0; piece < 40; piece++) {
        const bytes = randomBytes(1_000_000)
        hash.update(bytes)
        size += bytes.length
        if (piece === kill) void (await leaderOf(servers, (name) => name === 'OBJ_MEDIA')).kill()
        yield bytes
      }
    }
    try {
      const put = await store.put(source())
      expect(put).toEqual({ hash: hash.digest('hex'), size })
      let read = 0
      // The last piece comes only when all were right.
      for await (const piece of present(await store.get(put.hash)).stream) read += piece.length
      expect(read).toBe(size)
    } finally {
      await store.close()
    }
  }, 60_000)
})

async function portsOf(backend: Backend, bucket: string): Promise<BucketPorts> {
  return present(await backend.open(bucket))
}

/** Appends several at once without end; remembers what was acknowledged, and throws where a position is given twice. */
async function write({ log }: BucketPorts, told: Map<Position, string>, signal: AbortSignal): Promise<void> {
  const appendOnce = async (some: readonly RawEntry[]): Promise<void> => {
    const positions = await log.append(some)
    for (const [index, position] of positions.entries()) {
      if (told.has(position)) throw new Error(`position ${position} was given twice`)
      told.set(position, some[index]?.id ?? '')
    }
  }
  while (!signal.aborted) await Promise.all([appendOnce(entries(5)), appendOnce(entries(1))])
}
