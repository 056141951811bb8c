import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request as open } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { frameHead } from '../../src/protocol/frames.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import { startServer } from '../../src/server/serve.ts'
import type { ChangeInput } from '../../src/store/contract/types.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import { framesBody } from '../protocol/frames-body.ts'
import { noise } from '../store/noise.ts'
import { ask, newId, type Overrides, raw, type Running, running, SECRETS } from './running.ts'

const sha = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

let all: Running[] = []
afterEach(async () => {
  const ending = all
  all = []
  for (const one of ending) await one[Symbol.asyncDispose]()
})
async function start(overrides: Overrides = {}): Promise<Running & { bearer: string }> {
  const at = await running(overrides)
  all.push(at)
  await at.buckets.create('team')
  return { ...at, bearer: await at.token({}) }
}
const blob = '/v1/buckets/team/blobs/x'
const head = (at: { bearer: string }, more: string): string =>
  `PUT ${blob} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${at.bearer}\r\n${more}\r\n`
const gone = async (at: Running & { bearer: string }): Promise<void> => {
  expect(await ask(at.url, blob, { token: at.bearer })).toMatchObject({ status: 404, json: { key: 'x' } })
}

describe('an upload that is cut commits nothing:', () => {
  it.each([
    ['after half of its length', 'content-length: 100000\r\n', 'x'.repeat(50_000)],
    ['one byte before its end', 'content-length: 100000\r\n', 'x'.repeat(99_999)],
    ['before its first byte', 'content-length: 100000\r\n', ''],
    ['in the middle of a piece', 'transfer-encoding: chunked\r\n', `ff\r\n${'x'.repeat(100)}`],
    ['before its last piece', 'transfer-encoding: chunked\r\n', `5\r\nhello\r\n`],
    ['after several chunks', 'content-length: 9000000\r\n', 'y'.repeat(8_500_000)],
  ])('%s', async (_name, headers, body) => {
    const at = await start()
    const { socket, all: rest } = await raw(at.url)
    socket.write(head(at, headers) + body)
    await sleep(50)
    socket.destroy()
    await rest
    await expect.poll(() => at.log.some((line) => line.includes('"PUT"'))).toBe(true)
    await gone(at)
    expect(await ask(at.url, '/ready')).toMatchObject({ status: 200 })
  })

  it('with a broken piece length', async () => {
    const at = await start()
    const { socket, all: rest } = await raw(at.url)
    socket.write(`${head(at, 'transfer-encoding: chunked\r\n')}5\r\nhello\r\nzz\r\n`)
    await rest
    await gone(at)
  })

  it('with the SHA-256 of other bytes', async () => {
    const at = await start()
    const refused = await ask(at.url, blob, {
      method: 'PUT',
      token: at.bearer,
      body: 'hello',
      headers: { 'x-blobs-sha256': sha('hellO') },
    })
    expect(refused).toMatchObject({ status: 422, json: { code: 'Corrupt', key: 'x' } })
    await gone(at)
  })
})

describe('a slow client is given up:', () => {
  it('one that does not finish its head', async () => {
    const at = await start({ bounds: { headers: 300 } })
    const { socket, all: rest } = await raw(at.url)
    socket.write('GET /live HTTP/1.1\r\nhost: h\r\nx-slow: ')
    const drip = setInterval(() => socket.write('x'), 50)
    expect(await rest).toMatch(/^HTTP\/1\.1 408 .*"code":"Unavailable"/s)
    clearInterval(drip)
  })

  it('one whose body falls silent', async () => {
    const at = await start({ bounds: { bodyIdle: 200 } })
    const { socket, all: rest } = await raw(at.url)
    socket.write(head(at, 'content-length: 100\r\n') + 'abc')
    await expect.poll(() => at.log.join('')).toContain('"status":408')
    socket.destroy()
    await rest
    await gone(at)
  })

  it('one whose body drips', async () => {
    const at = await start({ bounds: { bodyGrace: 300, slowest: 1000 } })
    const { socket, all: rest } = await raw(at.url)
    socket.write(head(at, 'content-length: 100000\r\n'))
    const drip = setInterval(() => socket.write('x'), 20)
    await expect.poll(() => at.log.join('')).toContain('"status":408')
    clearInterval(drip)
    socket.destroy()
    await rest
    await gone(at)
  })

  it('one whose JSON drips', async () => {
    const at = await start({ bounds: { bodyTotal: 300 } })
    const { socket, all: rest } = await raw(at.url)
    socket.write(
      head(at, 'content-length: 1000\r\n').replace('PUT /v1/buckets/team/blobs/x', 'POST /v1/buckets/team/commit'),
    )
    const drip = setInterval(() => socket.write(' '), 20)
    await expect.poll(() => at.log.join('')).toContain('"status":408')
    clearInterval(drip)
    socket.destroy()
    await rest
  })

  it('but not one that is slow because the server is', async () => {
    const at = await start({ bounds: { bodyIdle: 1000, bodyGrace: 200, slowest: 1 } })
    const { socket, all: rest } = await raw(at.url)
    socket.write(head(at, 'content-length: 6\r\nconnection: close\r\n'))
    for (const piece of ['ab', 'cd', 'ef']) {
      await sleep(150)
      socket.write(piece)
    }
    expect(await rest).toContain('201 Created')
  })
})

describe('what is no request of ours is answered and closed:', () => {
  it.each([
    ['no HTTP', 'hello\r\n\r\n', 400, 'InvalidRequest'],
    ['a head of 40 KiB', `GET /live HTTP/1.1\r\nhost: h\r\nx: ${'x'.repeat(40_000)}\r\n\r\n`, 431, 'TooLarge'],
    [
      'two lengths',
      `PUT ${blob} HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd`,
      400,
      'InvalidRequest',
    ],
    [
      'a length and pieces',
      `PUT ${blob} HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc`,
      400,
      'InvalidRequest',
    ],
  ])('%s', async (_name, text, status, code) => {
    const at = await start()
    const { socket, all: rest } = await raw(at.url)
    socket.write(text)
    const answer = await rest
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toContain(`"code":"${code}"`)
  })

  it('too many uploads at once wait for others', async () => {
    const at = await start({ bounds: { bodies: 3 * 1024 * 1024 } })
    const { socket } = await raw(at.url)
    socket.write(`${head(at, 'transfer-encoding: chunked\r\n')}5\r\nhello\r\n`)
    await sleep(50)
    const upload = () =>
      ask(at.url, '/v1/buckets/team/blobs/y', { method: 'PUT', token: at.bearer, body: 'x'.repeat(6 * 1024 * 1024) })
    expect(await upload()).toMatchObject({
      status: 503,
      json: { code: 'Unavailable' },
      headers: { 'retry-after': '1' },
    })
    socket.destroy()
    await expect.poll(async () => (await upload()).status).toBe(201)
  })

  it('uploads wait for the memory of others, and take no more than there is', async () => {
    const at = await start({ bounds: { staging: 2 * 1024 * 1024 } })
    const uploads = Array.from({ length: 6 }, (_, index) =>
      ask(at.url, `/v1/buckets/team/blobs/n${index}`, {
        method: 'PUT',
        token: at.bearer,
        body: noise(6 * 1024 * 1024, index + 1),
      }),
    )
    expect((await Promise.all(uploads)).map(({ status }) => status)).toEqual(Array(6).fill(201))
  })

  it('an upload that stands still keeps its memory from others, who are told to come again', async () => {
    const at = await start({ bounds: { staging: 1024 * 1024, stagingWait: 100 } })
    await ask(at.url, blob, { method: 'PUT', token: at.bearer, body: 'hello' })
    const { socket } = await raw(at.url)
    const path = '/v1/buckets/team/chunks'
    const type = 'content-type: application/vnd.blobs.frames\r\n'
    socket.write(`POST ${path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${at.bearer}\r\n${type}`)
    socket.write('transfer-encoding: chunked\r\n\r\n24\r\n')
    socket.write(Buffer.concat([frameHead('ab'.repeat(32), 1000), Buffer.from('\r\n')]))
    const bytes = Buffer.from('one chunk')
    const upload = () =>
      ask(at.url, path, {
        method: 'POST',
        token: at.bearer,
        headers: { 'content-type': 'application/vnd.blobs.frames' },
        body: framesBody([{ label: sha(bytes), bytes }]),
      })
    await expect
      .poll(upload)
      .toMatchObject({ status: 503, json: { code: 'Unavailable' }, headers: { 'retry-after': '1' } })
    socket.destroy()
    await expect.poll(async () => (await upload()).status).toBe(200)
  })

  it('an answer to a body that is not read arrives before the connection ends', async () => {
    const at = await start()
    const body = Buffer.alloc(64 * 1024 * 1024)
    const refused = await ask(at.url, '/v1/buckets/team/commit', { method: 'POST', token: at.bearer, body })
    expect(refused).toMatchObject({ status: 413, json: { code: 'TooLarge' } })
  })
})

describe('a stop', () => {
  it('under load loses nothing that was acknowledged, and cuts nothing short', async () => {
    const at = await start({ on: 'disk' })
    const acknowledged: string[] = []
    const load = { stopped: false }
    const agent = new Agent({ keepAlive: true, maxSockets: 16 })
    const writer = async (name: number): Promise<void> => {
      for (let index = 0; !load.stopped; index++) {
        const key = `w${name}/${index}`
        const body = `${key} `.repeat(2000)
        const reply = await ask(at.url, `/v1/buckets/team/blobs/${key}`, {
          method: 'PUT',
          token: at.bearer,
          body,
          agent,
        }).catch(() => null)
        if (reply?.status === 201) acknowledged.push(key)
        else if (reply !== null) expect(reply).toMatchObject({ status: 503, json: { code: 'Unavailable' } })
        else await sleep(5)
      }
    }
    const writers = Promise.all(Array.from({ length: 16 }, (_, name) => writer(name)))
    await sleep(400)
    const started = performance.now()
    await at.server.close()
    expect(performance.now() - started).toBeLessThan(3000)
    load.stopped = true
    await writers
    agent.destroy()
    expect(acknowledged.length).toBeGreaterThan(5)
    const store = await at.buckets.open('team')
    const kept = new Set<string>()
    for await (const item of store.changes({})) if (item.type === 'put') kept.add(item.key)
    expect(acknowledged.filter((key) => !kept.has(key))).toEqual([])
    await store.close()
  })

  it('lets a download end that is under way, and refuses what is new', async () => {
    const at = await start()
    const size = 32 * 1024 * 1024
    await ask(at.url, blob, { method: 'PUT', token: at.bearer, body: Buffer.alloc(size, 7) })
    const { hostname, port } = new URL(at.url)
    const bytes = new Promise<number>((resolve, reject) => {
      const request = open(
        { hostname, port, path: blob, agent: false, headers: { authorization: `Bearer ${at.bearer}` } },
        (response) => {
          let count = 0
          response.once('readable', () => {
            void at.server.close()
            setTimeout(() => response.on('data', (piece: Buffer) => (count += piece.length)), 200)
          })
          response.on('end', () => resolve(count)).on('error', reject)
        },
      )
      request.on('error', reject).end()
    })
    expect(await bytes).toBe(size)
    await at.server.close()
    await expect(ask(at.url, '/live')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('cuts no answer that is made and not taken yet', async () => {
    const at = await start()
    const store = await at.buckets.open('team')
    const changes = Array.from({ length: 1000 }, (_, n): ChangeInput => ({
      type: 'put',
      key: `${n}`,
      expect: 'any',
      hash: sha(''),
      size: 0,
      body: { depth: 0, refs: [] },
      contentType: 'text/plain',
      meta: { note: 'x'.repeat(7000) },
    }))
    await store.commit([{ id: newId(), changes }])
    await store.close()
    const { socket, all: answers } = await raw(at.url)
    socket.write(`GET /v1/buckets/team/blobs HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${at.bearer}\r\n\r\n`)
    await once(socket, 'data')
    socket.pause()
    const closed = at.server.close()
    await sleep(200)
    socket.resume()
    const [, body = ''] = (await answers).split('\r\n\r\n')
    await closed
    expect((JSON.parse(body) as { items: unknown[] }).items.length).toBe(changes.length)
  })

  it('waits no longer than it was told for one that never ends', async () => {
    const at = await start({ bounds: { stop: 300 } })
    const { socket, all: rest } = await raw(at.url)
    socket.write(head(at, 'content-length: 100\r\n') + 'abc')
    await sleep(50)
    const started = performance.now()
    await at.server.close()
    expect(performance.now() - started).toBeGreaterThan(250)
    expect(performance.now() - started).toBeLessThan(2000)
    await rest
    const store = await at.buckets.open('team')
    expect(await store.head('x')).toBeNull()
  })

  it('is not ready from its beginning on', async () => {
    const at = await start()
    const { socket, all: rest } = await raw(at.url)
    socket.write(head(at, 'content-length: 3\r\n') + 'a')
    const agent = new Agent({ keepAlive: true })
    expect((await ask(at.url, '/ready', { agent })).status).toBe(200)
    const { socket: waiting, all: answer } = await raw(at.url)
    waiting.write('GET /ready HTTP/1.1\r\nhost: h\r\n')
    await sleep(30)
    const closing = at.server.close()
    waiting.write('\r\n')
    expect(await answer).toMatch(/^HTTP\/1\.1 503 .*the server is stopping/s)
    socket.write('bc')
    await closing
    expect(await rest).toContain('201 Created')
    agent.destroy()
  })
})

describe('a server', () => {
  it('that cannot write is not ready, and is again when it can', async () => {
    const healthy = await running()
    all.push(healthy)
    await healthy.buckets.create('team')
    let full = false
    const buckets = {
      ...healthy.buckets,
      open: async (name: string) => {
        const store = await healthy.buckets.open(name)
        const fail = () =>
          Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }))
        return { ...store, stage: (chunks: Parameters<typeof store.stage>[0]) => (full ? fail() : store.stage(chunks)) }
      },
    }
    let now = Date.now()
    const at = await running({ buckets, now: () => now })
    const put = async () => ask(at.url, blob, { method: 'PUT', token: await at.token({}), body: newId() })
    expect((await put()).status).toBe(201)
    full = true
    expect(await put()).toMatchObject({
      status: 507,
      json: { code: 'QuotaExceeded', detail: 'the disk of the server is full' },
    })
    expect(await ask(at.url, '/ready')).toMatchObject({
      status: 503,
      json: { detail: expect.stringContaining('disk') },
    })
    full = false
    now += 11_000
    expect((await ask(at.url, '/ready')).status).toBe(200)
    expect((await put()).status).toBe(200)
    await at.server.close()
  })

  it('beyond this machine needs TLS', async () => {
    const at = await start()
    const options = { buckets: at.buckets, secrets: SECRETS, now: Date.now, newId, port: 0 }
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.org']) {
      const error: unknown = await startServer({ ...options, host }).catch((caught: unknown) => caught)
      expect(isBlobsError(error, 'Refused'), host).toBe(true)
    }
    const taken = await startServer({ ...options, port: at.server.port }).catch((caught: unknown) => caught)
    expect(taken).toMatchObject({ code: 'Unavailable', message: `port ${at.server.port} on 127.0.0.1 is in use` })
  })

  it('with a certificate speaks TLS to those who trust it, and to nobody else', async () => {
    const { makeCertificate } = await import('./certificate.ts')
    const tls = await makeCertificate()
    const at = await start({ tls })
    expect(at.url).toMatch(/^https:/)
    const origin = at.url.replace('127.0.0.1', 'localhost')
    const trusting = await openHttpBuckets({ origin, token: at.bearer, ca: tls.cert })
    const store = await trusting.open('team')
    expect(await store.list()).toMatchObject({ items: [], complete: true })
    const wary = await openHttpBuckets({ origin, token: at.bearer })
    await expect(wary.open('team')).rejects.toMatchObject({
      code: 'Refused',
      hint: expect.stringContaining('--ca-cert'),
    })
    const plain = await openHttpBuckets({ origin: at.url.replace('https', 'http'), token: at.bearer })
    await expect(plain.open('team')).rejects.toMatchObject({ code: 'Unavailable' })
    for (const client of [trusting, wary, plain]) await client.close()
  })
})
