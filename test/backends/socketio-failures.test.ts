import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { io } from 'socket.io-client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { socketio, openSocketBackend } from '../../src/backends/socketio/driver.ts'
import { sha256 } from '../../src/content/hash.ts'
import { splitPlace } from '../../src/locations/target.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import type { Backend, BackendContext, BucketPorts } from '../../src/store/ports.ts'
import { whileUsual } from './usual-authorities.ts'
import { type BlobsServer, blobsServerToken, startBlobsServer } from '../doubles/blobs-server.ts'
import { bytesOf, commit, entry, putChange, textOf } from '../store/acts.ts'
import { makeCertificate } from '../server/certificate.ts'
import { entries, present, readAll, someChunk } from './conformance.ts'

/** Milliseconds. */
const ANSWER_LIMIT = 300
const REF = 'ab'.repeat(32)

let server: BlobsServer
let token: string
let opened: { close(): Promise<void> }[]
beforeEach(async () => {
  server = await startBlobsServer()
  token = await blobsServerToken('team')
  opened = []
})
afterEach(async () => {
  for (const one of opened) await one.close()
  await server.stop()
})

const newHome = (): string => mkdtempSync(join(tmpdir(), 'blobs-socketio-'))
function contextOf(home = newHome(), given: string | null = token): BackendContext {
  return {
    clock,
    ids,
    env: {},
    token: async () => given,
    proxyFor: () => null,
    cacheDirectory: join(home, 'cache'),
    stateDirectory: join(home, 'state'),
    singleWriter: false,
    warn: () => undefined,
  }
}
const address = () => splitPlace(server.url.replace('http', 'socketio+http'))
async function open(home?: string, given?: string | null): Promise<Backend> {
  const backend = await openSocketBackend(address(), contextOf(home, given), ANSWER_LIMIT)
  opened.push(backend)
  return backend
}
async function bucket(home?: string): Promise<BucketPorts> {
  const backend = await open(home)
  await backend.create('team')
  return present(await backend.open('team'))
}
async function singles(): Promise<BlobStore> {
  const store = await present(socketio.openSingles)(address(), contextOf(), 'team')
  opened.push(store)
  return store
}
const setting = async (store: BlobStore, text: string, expected: Parameters<typeof putChange>[3]) =>
  commit(store, entry(await putChange(store, `ref:${REF}`, text, expected)))

/** Calls as an app does. */
async function app(...calls: readonly [event: string, value: unknown][]): Promise<readonly unknown[]> {
  const socket = io(server.url, { transports: ['websocket'], auth: { token }, reconnection: false, forceNew: true })
  const answers: unknown[] = []
  try {
    for (const [event, value] of calls)
      answers.push(
        await socket
          .timeout(1000)
          .emitWithAck(event, value)
          .catch(() => 'nothing'),
      )
    return answers
  } finally {
    socket.close()
  }
}

describe('the double of the server', () => {
  it.each([
    ['ref', 'ab', '"value" length must be 64 characters long'],
    ['ref', 'x'.repeat(64), '"value" must only contain hexadecimal characters'],
    ['ref', 7, '"value" must be a string'],
    ['set', { data: '' }, '"value" is not allowed to be empty'],
    ['set', { data: 'aGk' }, '"value" must be a valid base64 string'],
    ['set', { data: 'aGk=', version: 0 }, '"value" must be greater than or equal to 1'],
    ['set', { data: 'aGk=', version: 1.5 }, '"value" must be an integer'],
    ['get', { known: 'one' }, '"value" must be a number'],
  ])('answers %s of %j as the original does', async (event, value, error) => {
    expect((await app(['ref', REF], [event, value])).at(-1)).toEqual({ error })
  })
  it('wants a reference first', async () => {
    expect(await app(['get', {}])).toEqual([{ error: 'Reference is not provided' }])
  })
  it('ends the connection without a word over a packet of a million bytes, and dies of a null', async () => {
    expect(await app(['ref', REF], ['set', { data: Buffer.alloc(749_982).toString('base64') }])).toEqual([
      undefined,
      { success: true, version: 1 },
    ])
    expect((await app(['ref', REF], ['set', { data: Buffer.alloc(750_100).toString('base64') }])).at(-1)).toBe(
      'nothing',
    )
    expect(await app(['ref', REF], ['get', null])).toEqual([undefined, 'nothing'])
    expect(server.crashed()).toMatch(/destructure/)
  })
})

describe('a bucket on a Socket.IO server', () => {
  it.each(['line ends before', 'line ends after', 'no answer'] as const)(
    'appends once where %s of a set',
    async (fault) => {
      const { log } = await bucket()
      await log.append(entries(1))
      const [added] = entries(1)
      server.failNextSet(fault)
      expect(await log.append([present(added)])).toEqual([2])
      expect((await readAll(log)).map(({ id }) => id).slice(1)).toEqual([added?.id])
    },
  )
  it('goes on after every connection was lost, and waits on for what others append', async () => {
    const [one, other] = [await bucket(), await bucket()]
    await one.log.append(entries(1))
    const waiting = one.log.wait({ after: 1, signal: AbortSignal.timeout(20_000) })
    await clock.sleep(100)
    server.dropAll()
    await clock.sleep(100)
    await other.log.append(entries(1))
    await waiting
    expect(await readAll(one.log)).toHaveLength(2)
  })
  it('learns by a push, and asks for nothing while nothing comes', async () => {
    const [one, other] = [await bucket(), await bucket()]
    const waiting = one.log.wait({ after: 0, signal: AbortSignal.timeout(20_000) })
    await clock.sleep(200)
    const asked = server.count('get')
    await clock.sleep(500)
    expect(server.count('get')).toBe(asked)
    await other.log.append(entries(1))
    await waiting
  })
  it('tells a loss of what this machine saw as damage, in the same process and in the next', async () => {
    const home = newHome()
    const ports = await bucket(home)
    await ports.log.append(entries(1))
    const before = new Set(server.files.keys())
    await ports.log.append(entries(1))
    const last = [...server.files.keys()].find((name) => !before.has(name))
    server.corrupt('team', present(last).slice(-69, -5))
    // What was just written is read from memory, once.
    await readAll(ports.log, 1)
    await expect(readAll(ports.log, 1)).rejects.toMatchObject({ code: 'Corrupt' })
    await ports.log.close()
    const again = await bucket(home)
    const error = await readAll(again.log).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'Corrupt', hint: expect.stringContaining(join(home, 'cache')) })
    // Who never saw it goes on where the log ends now.
    expect(await readAll((await bucket()).log)).toHaveLength(1)
  })
  it('tells a hole in the log, and a place that was written over, as damage', async () => {
    const { log } = await bucket()
    const places: string[] = []
    for (let n = 0; n < 3; n++) {
      const before = new Set(server.files.keys())
      await log.append(entries(1))
      places.push(present([...server.files.keys()].find((name) => !before.has(name))).slice(-69, -5))
    }
    const [first = '', second = ''] = places
    await app(['ref', second], ['set', { data: 'aGk=', version: 1 }])
    await expect(readAll((await bucket()).log)).rejects.toMatchObject({
      code: 'Corrupt',
      message: expect.stringContaining('overwritten'),
    })
    server.corrupt('team', first)
    await expect(readAll((await bucket()).log)).rejects.toMatchObject({
      code: 'Corrupt',
      message: expect.stringContaining('lost place 1'),
    })
  })
  it('tells a server that lost the bucket from one that never had it', async () => {
    const home = newHome()
    const ports = await bucket(home)
    await ports.log.append(entries(1))
    await ports.log.close()
    server.files.clear()
    const backend = await open(home)
    await expect(backend.open('team')).rejects.toMatchObject({ code: 'Corrupt' })
    await expect(backend.create('team')).rejects.toMatchObject({ code: 'Corrupt' })
    expect(await (await open()).names()).toEqual([])
  })
  it('keeps chunks of every size, and mends one whose reference holds other bytes', async () => {
    const { content } = await bucket()
    const [small, large] = [someChunk(1000), someChunk(2_000_000)]
    await app(['ref', small.hash], ['set', { data: 'aGk=' }])
    await content.put([small, large])
    const found = await content.get([small.hash, large.hash])
    expect(found.map((bytes) => bytes && sha256(bytes))).toEqual([small.hash, large.hash])
    // What is small enough stands there as it is.
    const file = JSON.parse(readFile(small.hash)) as { data: string }
    expect(Buffer.from(file.data, 'base64').equals(small.bytes)).toBe(true)
  })
  it('does not open without a good token, and says which bucket a token is for', async () => {
    await expect(open(undefined, null)).rejects.toMatchObject({ code: 'Unauthenticated' })
    await expect(open(undefined, 'abc')).rejects.toMatchObject({ code: 'Unauthenticated' })
    const bad = await open(undefined, await blobsServerToken('team', 'another secret'))
    await expect(bad.names()).rejects.toMatchObject({ code: 'Unauthenticated' })
    await expect((await open()).open('other')).rejects.toMatchObject({ code: 'Forbidden' })
    await server.stop()
    await expect((await open()).names()).rejects.toMatchObject({ code: 'Unavailable' })
  })
})

it('trusts a server with TLS by an authority that is named, and sends nothing to another', async () => {
  const tls = await makeCertificate()
  const secure = await startBlobsServer(tls)
  try {
    const at = splitPlace(secure.url.replace('https', 'socketio+https'))
    const careful = await openSocketBackend(at, contextOf(), ANSWER_LIMIT)
    await expect(careful.names()).rejects.toMatchObject({ code: 'Refused', hint: expect.stringContaining('--ca-cert') })
    await careful.close()
    const trusting = await openSocketBackend(at, { ...contextOf(), ca: tls.cert }, ANSWER_LIMIT)
    expect(await trusting.create('team')).toBe(true)
    await trusting.close()
    const other = await makeCertificate()
    const usual = await whileUsual(tls.cert, async () => {
      const backend = await openSocketBackend(at, { ...contextOf(), ca: other.cert }, ANSWER_LIMIT)
      return backend.names().finally(() => backend.close())
    })
    expect(usual).toEqual(['team'])
  } finally {
    await secure.stop()
  }
})

describe('a value of an app at a reference', () => {
  const key = `ref:${REF}`
  it('is read as it is, and replaced only over the version that is expected', async () => {
    const store = await singles()
    expect(await store.head(key)).toBeNull()
    expect(await setting(store, 'one', { expect: { version: 3 } })).toMatchObject({
      ok: false,
      conflicts: [{ current: null }],
    })
    expect(await setting(store, 'one', { expect: 'absent' })).toMatchObject({
      ok: true,
      blobs: [{ version: 1, size: 3 }],
    })
    expect(await setting(store, 'two', { expect: 'absent' })).toMatchObject({
      ok: false,
      conflicts: [{ current: { version: 1 } }],
    })
    expect(await setting(store, 'two', { expect: { version: 1 } })).toMatchObject({ ok: true, blobs: [{ version: 2 }] })
    expect(await setting(store, 'three', { expect: 'any' })).toMatchObject({ ok: true, blobs: [{ version: 3 }] })
    expect(await textOf(store, key)).toBe('three')
    expect(await app(['ref', REF], ['get', {}])).toEqual([
      undefined,
      { data: Buffer.from('three').toString('base64'), version: 3 },
    ])
    expect(await bytesOf(store, key, { version: 2 })).toBeNull()
  })
  it('is not taken for missing by who asks first after a crash', async () => {
    const store = await singles()
    await setting(store, 'one', { expect: 'any' })
    server.crashWhileWriting('team', REF)
    expect((await app(['ref', REF], ['get', {}])).at(-1)).toBeNull()
    server.crashWhileWriting('team', REF)
    server.files.set(
      `team/ab/${REF}.json.backup`,
      JSON.stringify({ data: 'aGk=', version: 7, created: 1, ip: 'unknown' }),
    )
    expect(await setting(store, 'two', { expect: 'any' })).toMatchObject({ ok: true, blobs: [{ version: 8 }] })
  })
  it('is set once where the answer is lost', async () => {
    const store = await singles()
    await setting(store, 'one', { expect: 'any' })
    server.failNextSet('line ends after')
    expect(await setting(store, 'two', { expect: { version: 1 } })).toMatchObject({ ok: true, blobs: [{ version: 2 }] })
  })
  it('has its limits, which are told', async () => {
    const store = await singles()
    await expect(setting(store, 'x'.repeat(760_000), { expect: 'any' })).rejects.toMatchObject({ code: 'TooLarge' })
    await expect(setting(store, '', { expect: 'any' })).rejects.toMatchObject({ code: 'InvalidRequest' })
    await expect(store.list()).rejects.toMatchObject({ code: 'NotSupported' })
    await expect(store.head(`ref:${REF.toUpperCase()}`)).rejects.toMatchObject({ code: 'InvalidKey' })
    await expect(commit(store, entry({ type: 'delete', key, expect: 'any' }))).rejects.toMatchObject({
      code: 'NotSupported',
    })
  })
})

function readFile(ref: string): string {
  return present(server.files.get(`team/${ref.slice(0, 2)}/${ref}.json`))
}
