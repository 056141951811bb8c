import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@nats-io/transport-node'
import { afterEach, describe, expect, it } from 'vitest'
import { namesOf } from '../../src/backends/nats/names.ts'
import { splitPlace } from '../../src/locations/target.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import type { Backend, BucketPorts } from '../../src/store/ports.ts'
import { put, textOf } from '../store/acts.ts'
import { entries, present, readAll, someChunk } from './conformance.ts'
import { backendDriver, contextOf } from './driver/open.ts'
import { lacksNats, startNats, type NatsServer } from './nats-server.ts'

const lacks = lacksNats()
const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function serve(...more: readonly string[]): Promise<NatsServer> {
  const server = await startNats(more.length === 0 ? undefined : more)
  ends.push(() => server.stop())
  return server
}

interface Opened {
  readonly backend: Backend
  readonly warnings: readonly string[]
}
async function open(url: string, env: Readonly<Record<string, string>> = {}): Promise<Opened> {
  const warnings: string[] = []
  const driver = await backendDriver('nats')
  const backend = await driver.open(splitPlace(url), contextOf({ env, warn: (message) => warnings.push(message) }))
  ends.push(() => backend.close())
  return { backend, warnings }
}

async function bucketAt(url: string, env?: Readonly<Record<string, string>>): Promise<BucketPorts & Opened> {
  const opened = await open(url, env)
  await opened.backend.create('one')
  return { ...opened, ...present(await opened.backend.open('one')) }
}

function configured(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'blobs-nats-conf-')), 'nats.conf')
  writeFileSync(path, text)
  return path
}

describe('the URL of a place on NATS', () => {
  it.each([
    ['nats://127.0.0.1:1?retries=3', /no option retries/],
    ['nats://127.0.0.1:1?replicas=6', /replicas is 6/],
    ['nats://127.0.0.1:1?replicas=many', /replicas is many/],
    ['nats://127.0.0.1:1?tls=maybe', /tls is maybe/],
    ['nats://127.0.0.1:1/a/b', /cannot be a place/],
    ['nats://127.0.0.1:1?domain=a.b', /cannot be a JetStream domain/],
    ['nats:///place', /names no server/],
  ])('%s is refused', async (url, message) => {
    await expect(open(url)).rejects.toMatchObject({ code: 'InvalidRequest', message: expect.stringMatching(message) })
  })
})

describe.skipIf(lacks !== null)(`a server of NATS (${lacks ?? 'as it is'})`, () => {
  it('that is not there is Unavailable at once', async () => {
    await expect(open('nats://127.0.0.1:9')).rejects.toMatchObject({ code: 'Unavailable' })
  })

  it('without JetStream is NotSupported at once, with what to do', async () => {
    const { address } = await serve('--name=plain')
    await expect(open(`nats://${address}`)).rejects.toMatchObject({
      code: 'NotSupported',
      hint: expect.stringContaining('-js'),
    })
  })

  it('is not asked for more replicas than it has servers for', async () => {
    const { address } = await serve()
    const { backend } = await open(`nats://${address}?replicas=3`)
    await expect(backend.create('one')).rejects.toMatchObject({ code: 'InvalidRequest' })
    expect(await backend.names()).toEqual([])
  })

  it('that has room for one stream more keeps none of a bucket that needs two', async () => {
    const config = 'accounts { small { jetstream { max_streams: 1 }, users [ { user: a, password: b } ] } }'
    const { address } = await serve('-js', '-c', configured(config))
    const env = { NATS_USER: 'a', NATS_PASSWORD: 'b' }
    const { backend } = await open(`nats://${address}`, env)
    await expect(backend.create('one')).rejects.toMatchObject({ code: 'QuotaExceeded' })
    const connection = await connect({ servers: address, user: 'a', pass: 'b' })
    const account = (await connection.request('$JS.API.INFO')).json<{ streams: number }>()
    expect(account.streams).toBe(0)
    await connection.close()
  })

  it('that stands alone is told of once, when the first bucket is made', async () => {
    const { address } = await serve()
    const { backend, warnings } = await open(`nats://${address}`)
    expect(backend.promises.durability).toBe('service')
    await backend.create('one')
    await backend.create('two')
    expect(warnings).toEqual([expect.stringContaining('one server')])
  })

  it('that is killed and started again is used again by itself, with all that was there', async () => {
    const server = await serve()
    const { log, content } = await bucketAt(`nats://${server.address}`)
    const some = entries(3)
    await log.append(some)
    const chunk = someChunk(1000)
    await content.put([chunk])
    const waiting = log.wait({ after: 3, signal: new AbortController().signal })
    await server.kill()
    const appending = log.append(entries(2))
    await server.restart()
    expect(await appending).toEqual([4, 5])
    await waiting
    expect((await readAll(log)).slice(0, 3).map(({ id }) => id)).toEqual(some.map(({ id }) => id))
    expect(await content.missing([chunk.hash])).toEqual([])
  })

  it('shows who may use it: user and password, a token, or nobody', async () => {
    const { address } = await serve('-js', '--user', 'ann', '--pass', 'secret-of-ann')
    const env = { NATS_USER: 'ann', NATS_PASSWORD: 'secret-of-ann' }
    expect(await (await open(`nats://${address}`, env)).backend.names()).toEqual([])
    const wrong = await open(`nats://${address}`, { ...env, NATS_PASSWORD: 'secret-of-bob' }).catch((e: unknown) => e)
    expect(isBlobsError(wrong, 'Unauthenticated')).toBe(true)
    expect(String(wrong)).not.toContain('secret')
    const other = await serve('-js', '--auth', 'a-token')
    expect(await (await open(`nats://${other.address}`, { NATS_TOKEN: 'a-token' })).backend.names()).toEqual([])
    await expect(open(`nats://${other.address}`)).rejects.toMatchObject({ code: 'Unauthenticated' })
  })

  it('tells at once who may read and not write', async () => {
    const path = configured(`authorization { users = [
      { user: root, password: root },
      { user: eve, password: eve, permissions: { publish: ["$JS.API.INFO", "$JS.API.STREAM.*.>", "$JS.API.DIRECT.>"] } }
    ] }`)
    const { address } = await serve('-js', '-c', path)
    await bucketAt(`nats://${address}`, { NATS_USER: 'root', NATS_PASSWORD: 'root' })
    const { backend } = await open(`nats://${address}`, { NATS_USER: 'eve', NATS_PASSWORD: 'eve' })
    const { log } = present(await backend.open('one'))
    expect(await readAll(log)).toEqual([])
    await expect(log.append(entries(1))).rejects.toMatchObject({ code: 'Forbidden' })
  })

  it('that takes small messages only has chunks of any size in parts, which go with them', async () => {
    const path = configured('max_payload: 65536')
    const { address } = await serve('-js', '-c', path)
    const { backend, content, log } = await bucketAt(`nats://${address}`)
    expect(backend.promises.maxEntryBytes).toBeLessThan(65_536)
    const chunks = [someChunk(400_000), someChunk(2_500_000), someChunk(10)]
    await content.put(chunks)
    const hashes = chunks.map(({ hash }) => hash)
    const found = await content.get(hashes)
    expect(found.map((bytes) => Buffer.compare(present(bytes), present(chunks[found.indexOf(bytes)]).bytes))).toEqual([
      0, 0, 0,
    ])
    const listed = await all(present(content.sweeping).chunks())
    expect(new Map(listed.map(({ hash, size }) => [hash, size]))).toEqual(
      new Map(chunks.map(({ hash, bytes }) => [hash, bytes.length])),
    )
    const sweeping = present(content.sweeping)
    const aside = present(sweeping.aside)
    await sweeping.remove(listed.filter(({ hash }) => hash !== hashes[2]))
    expect(await content.missing(hashes)).toEqual(hashes.slice(0, 2))
    expect((await content.get(hashes)).map((bytes) => present(bytes).length)).toEqual([400_000, 2_500_000, 10])
    // One is put again meanwhile: its parts are not those that go.
    await content.put(chunks.slice(0, 1))
    expect((await aside.remove(await all(aside.chunks()))).chunks).toBe(1)
    expect((await content.get(hashes)).map((bytes) => bytes?.length ?? null)).toEqual([400_000, null, 10])
    expect(await all(aside.chunks())).toEqual([])
    await log.append([{ id: 'whole', data: Buffer.alloc(backend.promises.maxEntryBytes) }])
  })

  it('lists chunks with the time they were put last, and sets none aside that was put since', async () => {
    const { address } = await serve()
    const { content } = await bucketAt(`nats://${address}`)
    const [a, b] = [someChunk(100), someChunk(70_000)]
    await content.put([a, b])
    const before = await all(present(content.sweeping).chunks())
    expect(before.map(({ hash, size }) => [hash, size]).sort()).toEqual(
      [
        [a.hash, 100],
        [b.hash, 70_000],
      ].sort(),
    )
    await content.put([a])
    const after = new Map((await all(present(content.sweeping).chunks())).map(({ hash, modified }) => [hash, modified]))
    const old = new Map(before.map(({ hash, modified }) => [hash, modified]))
    expect(present(after.get(a.hash))).toBeGreaterThan(present(old.get(a.hash)))
    expect(after.get(b.hash)).toBe(old.get(b.hash))
    // As it was listed first, it is not there any more.
    expect(await present(content.sweeping).remove(before)).toEqual({ chunks: 1, bytes: 70_000 })
    expect(await content.missing([a.hash, b.hash])).toEqual([b.hash])
  })

  it('of one who puts a chunk back, and one who removes it for good, one only does it', async () => {
    const { address } = await serve()
    const { content } = await bucketAt(`nats://${address}`)
    const sweeping = present(content.sweeping)
    const aside = present(sweeping.aside)
    const chunk = someChunk(100)
    await content.put([chunk])
    for (const first of ['restore', 'remove'] as const) {
      await sweeping.remove(await all(sweeping.chunks()))
      const there = await all(aside.chunks())
      await aside[first](there)
      await aside[first === 'restore' ? 'remove' : 'restore'](there)
      expect(await content.missing([chunk.hash])).toEqual(first === 'restore' ? [] : [chunk.hash])
      expect((await content.get([chunk.hash]))[0]?.length ?? null).toBe(first === 'restore' ? 100 : null)
    }
  })

  it('forgets the beginning of a log: who is behind its floor is told so, and the newest checkpoint stays', async () => {
    const { address } = await serve()
    const { log } = await bucketAt(`nats://${address}`)
    const trimming = present(log.trimming)
    await log.append(entries(10))
    expect(await trimming.floor()).toBe(0)
    expect(await trimming.checkpoint()).toBeNull()
    const checkpoint = { position: 6, root: someChunk(5).hash }
    await trimming.saveCheckpoint(checkpoint)
    await trimming.saveCheckpoint({ position: 5, root: someChunk(5).hash })
    await trimming.trim({ through: 6 })
    expect([await trimming.floor(), await trimming.checkpoint()]).toEqual([6, checkpoint])
    await expect(readAll(log)).rejects.toMatchObject({ code: 'CursorExpired' })
    expect((await readAll(log, 6)).map(({ position }) => position)).toEqual([7, 8, 9, 10])
    await trimming.trim({ through: 10 })
    expect(await trimming.floor()).toBe(10)
    expect(await readAll(log, 10)).toEqual([])
    expect(await log.append(entries(1))).toEqual([11])
  })

  it('keeps a bucket whose log has forgotten its beginning: another machine opens it from the checkpoint, with all versions', async () => {
    const { address } = await serve()
    const { backend } = await bucketAt(`nats://${address}`)
    const openStore = async (from: Backend): ReturnType<typeof openLogStore> => {
      const ports = present(await from.open('one'))
      const { promises } = from
      return openLogStore({ name: 'one', ports, viewDirectory: null, promises, clock, ids })
    }
    const store = await openStore(backend)
    for (let n = 0; n < 30; n++) await put(store, `k${n % 10}`, `text ${n}`)
    const floor = await store.trim({ positions: 5, time: 0 })
    expect(floor).toBeGreaterThan(20)
    await put(store, 'k0', 'after')
    const other = await openStore((await open(`nats://${address}`)).backend)
    expect(await textOf(other, 'k0')).toBe('after')
    expect(await textOf(other, 'k7', { version: 1 })).toBe('text 7')
    expect((await other.head('k0'))?.version).toBe(4)
    for (const one of [store, other]) await one.close()
  })

  it('takes an entry as often as it is given', async () => {
    const { address } = await serve()
    const { log } = await bucketAt(`nats://${address}`)
    const [entry] = entries(1)
    expect(await log.append([present(entry), present(entry)])).toEqual([1, 2])
    expect(await log.append([present(entry)])).toEqual([3])
  })

  it('is examined: on how many servers buckets are, and which streams a crash left', async () => {
    const { address } = await serve()
    const url = `nats://${address}`
    await bucketAt(url)
    const left = namesOf('main').of({ bucket: 'two', id: 'f'.repeat(32), replicas: 1 })
    const connection = await connect({ servers: address })
    await connection.request(`$JS.API.STREAM.CREATE.${left.log}`, JSON.stringify(left.logConfig))
    await connection.close()
    const driver = await backendDriver('nats')
    const found = async (ahead: number): Promise<readonly string[]> => {
      const codes: string[] = []
      const later = { ...clock, now: () => clock.now() + ahead }
      for await (const { code, severity } of present(driver.examine)(splitPlace(url), contextOf({ clock: later })))
        codes.push(`${severity} ${code}`)
      return codes
    }
    const usual = ['fact server', 'fact jetstream', 'warning replicas', 'fact disk', 'fact power']
    expect(await found(0)).toEqual(usual)
    expect(await found(7_200_000)).toEqual([...usual.slice(0, 3), 'warning leftover', ...usual.slice(3)])
  })

  it('outlives many that make the first bucket of a place at the same moment', async () => {
    const { address } = await serve()
    for (let place = 0; place < 40; place++) {
      const opened = [await open(`nats://${address}/p${place}`), await open(`nats://${address}/p${place}`)]
      const made = await Promise.all(
        Array.from({ length: 16 }, (_, index) => present(opened[index % 2]).backend.create('same')),
      )
      expect(made.filter(Boolean)).toHaveLength(1)
    }
  })

  it('has places that know nothing of each other', async () => {
    const { address } = await serve()
    await bucketAt(`nats://${address}/a`)
    const { backend } = await open(`nats://${address}/b`)
    expect(await backend.names()).toEqual([])
    expect(await backend.create('one')).toBe(true)
  })
})

async function all<T>(batches: AsyncIterable<readonly T[]>): Promise<readonly T[]> {
  const items: T[] = []
  for await (const batch of batches) items.push(...batch)
  return items
}
