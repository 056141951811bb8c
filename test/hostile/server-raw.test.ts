import { randomBytes } from 'node:crypto'
import { Agent } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from 'vitest'
import { makeCertificate } from '../server/certificate.ts'
import { ask, type Overrides, raw, type Running, running } from '../server/running.ts'
import { plug } from './wire.ts'

/** Those who speak HTTP badly on purpose: many, slow, half gone, or deaf. */

const B = '/v1/buckets/team'
const MiB = 2 ** 20
const endings: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})

async function start(overrides: Overrides = {}): Promise<Running & { readonly bearer: string }> {
  const at = await running(overrides)
  endings.push(async () => at[Symbol.asyncDispose]())
  await at.buckets.create('team')
  return { ...at, bearer: await at.token({}) }
}

/** Connections that are closed at the end; `open` counts those that the other side left open. */
async function plugs(url: string, count: number): Promise<{ readonly all: readonly Socket[]; open(): number }> {
  const all: Socket[] = []
  // Not all at once: what waits to be accepted has a limit of its own.
  for (let at = 0; at < count; at += 50) {
    all.push(...(await Promise.all(Array.from({ length: Math.min(50, count - at) }, () => plug(url)))))
  }
  for (const socket of all) {
    socket.resume()
    socket.once('end', () => socket.destroy())
  }
  endings.push(async () => {
    for (const socket of all) socket.destroy()
    await sleep(20)
  })
  return { all, open: () => all.filter((socket) => !socket.closed && !socket.readableEnded).length }
}

const get = (bearer: string, path: string, more = ''): string =>
  `GET ${path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${bearer}\r\n${more}\r\n`
const rss = (): number => process.memoryUsage.rss()

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
/** Bytes that are in use, and not only not collected yet. */
function inUse(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

describe('connections', () => {
  it('by the thousand that say nothing: at most so many from one address, and each not for long', async () => {
    const at = await start({ bounds: { headers: 5000, connectionsPerAddress: 1200 } })
    const before = rss()
    const idle = await plugs(at.url, 1600)
    await expect.poll(idle.open, { timeout: 4500 }).toBe(1200)
    expect(at.log.filter((line) => line.includes('"full"')).length).toBeLessThan(10)
    expect(at.log.some((line) => line.includes('"event":"full"') && line.includes('127.0.0.1'))).toBe(true)
    expect(rss() - before).toBeLessThan(200 * MiB)
    await expect.poll(idle.open, { timeout: 10_000 }).toBe(0)
    expect((await ask(at.url, '/live')).status).toBe(200)
  })

  it('in all: no more than the limit, and one that ends makes room', async () => {
    const at = await start({ bounds: { connections: 20 } })
    const idle = await plugs(at.url, 30)
    await expect.poll(idle.open).toBe(20)
    await expect(ask(at.url, '/live')).rejects.toThrow()
    for (const socket of idle.all) socket.destroy()
    await expect.poll(async () => (await ask(at.url, '/live').catch(() => null))?.status).toBe(200)
  })

  it('that begin no TLS are closed', async () => {
    const at = await start({ tls: await makeCertificate(), bounds: { headers: 400 } })
    const mute = await plugs(at.url, 20)
    mute.all[0]?.write('\x16\x03\x01')
    expect(mute.open()).toBe(20)
    await expect.poll(mute.open, { timeout: 5000 }).toBe(0)
  })

  it('that say nothing do not keep a server from stopping', async () => {
    for (const tls of [undefined, await makeCertificate()]) {
      const at = await start({ bounds: { headers: 60_000, stop: 200 }, ...(tls ? { tls } : {}) })
      await plugs(at.url, 10)
      const started = performance.now()
      await at.server.close()
      expect(performance.now() - started).toBeLessThan(3000)
    }
  })

  it('between two requests are closed after a while', async () => {
    const at = await start({ bounds: { keepAlive: 300 } })
    const { socket, all } = await raw(at.url)
    socket.write('GET /live HTTP/1.1\r\nhost: h\r\n\r\n')
    expect(await all).toContain('keep-alive')
  })

  it('without traffic are closed, though something is under way', async () => {
    const at = await start({ bounds: { silence: 300, bodyIdle: 60_000 } })
    const { socket, all } = await raw(at.url)
    socket.write(
      `PUT ${B}/blobs/x HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${at.bearer}\r\ncontent-length: 9\r\n\r\nabc`,
    )
    await all
  })
})

describe('requests', () => {
  it('that come by the hundred at once on one connection are answered in order', async () => {
    const at = await start()
    const { socket, all } = await raw(at.url)
    const count = 300
    for (let index = 0; index < count; index++) socket.write(get(at.bearer, `${B}/blobs/k${index}`))
    socket.write(get(at.bearer, '/live', 'connection: close\r\n'))
    const keys = [...(await all).matchAll(/x-blobs-key: k(\d+)/g)].map((found) => Number(found[1]))
    expect(keys).toEqual(Array.from({ length: count }, (_, index) => index))
  })

  it('whose sender ended his side are given up, and nothing of half a body is kept', async () => {
    const at = await start()
    const { socket, all } = await raw(at.url)
    socket.end(
      `PUT ${B}/blobs/half HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${at.bearer}\r\ncontent-length: 9\r\n\r\nabc`,
    )
    await all
    expect((await ask(at.url, `${B}/blobs/half`, { token: at.bearer })).status).toBe(404)
    const feed = await raw(at.url)
    feed.socket.write(get(at.bearer, `${B}/changes?live`))
    await new Promise((resolve) => feed.socket.once('data', resolve))
    feed.socket.end()
    await feed.all
    await at.server.close()
  })

  it('of one token do not keep others away', async () => {
    const at = await start({ bounds: { requestsPerToken: 10 } })
    const feeds = await plugs(at.url, 10)
    for (const socket of feeds.all) socket.write(get(at.bearer, `${B}/changes?live`))
    await expect.poll(async () => (await ask(at.url, B, { token: at.bearer })).status, { timeout: 5000 }).toBe(503)
    const refused = await ask(at.url, B, { token: at.bearer })
    expect(refused).toMatchObject({ json: { code: 'Unavailable' }, headers: { 'retry-after': '1' } })
    expect((await ask(at.url, B, { token: await at.token({}) })).status).toBe(200)
    for (const socket of feeds.all) socket.destroy()
    await expect.poll(async () => (await ask(at.url, B, { token: at.bearer })).status).toBe(200)
  })

  it('of one token that come too fast are told to wait, and others are not', async () => {
    const at = await start({ bounds: { requestsPerSecond: 50, requestBurst: 20 } })
    const asked = async (count: number, token: string): Promise<number[]> => {
      const replies = await Promise.all(Array.from({ length: count }, () => ask(at.url, B, { token })))
      return replies.map(({ status }) => status)
    }
    const statuses = await asked(500, at.bearer)
    const taken = statuses.filter((status) => status === 200).length
    expect(taken).toBeGreaterThanOrEqual(20)
    expect(statuses.filter((status) => status === 503)).toHaveLength(500 - taken)
    expect(taken).toBeLessThan(500)
    expect(await asked(10, await at.token({}))).toEqual(Array.from({ length: 10 }, () => 200))
    await expect.poll(() => asked(1, at.bearer), { interval: 200, timeout: 10_000 }).toEqual([200])
  })

  it('that upload slowly do not keep others from it', async () => {
    const at = await start({
      bounds: {
        staging: 8 * MiB,
        stagingPerToken: 4 * MiB,
        stagingWait: 300,
        bodies: 40 * MiB,
        bodiesPerToken: 20 * MiB,
      },
    })
    const slow = await plugs(at.url, 30)
    const head = `HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${at.bearer}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n`
    for (const [index, socket] of slow.all.entries()) socket.write(`PUT ${B}/blobs/slow${index} ${head}`)
    const upload = async (token: string): Promise<number> =>
      (await ask(at.url, `${B}/blobs/fast`, { method: 'PUT', token, body: Buffer.alloc(6 * MiB) })).status
    await expect.poll(() => upload(at.bearer), { timeout: 10_000 }).toBe(503)
    expect([200, 201]).toContain(await upload(await at.token({})))
    for (const socket of slow.all) socket.destroy()
    await expect.poll(() => upload(at.bearer), { timeout: 10_000 }).toBe(200)
  })
})

describe('answers that nobody reads', () => {
  it('are kept back, and then dropped: live feeds', async () => {
    const at = await start({ bounds: { unread: 1000, heartbeat: 100 } })
    const deaf = await Promise.all(Array.from({ length: 40 }, () => plug(at.url)))
    for (const socket of deaf) {
      socket.pause()
      socket.write(get(at.bearer, `${B}/changes?live`))
    }
    const note = randomBytes(6000).toString('base64')
    const agent = new Agent({ keepAlive: true, maxSockets: 4 })
    const before = inUse()
    // 40 feeds of 1000 changes of 8 KiB: 320 MiB, were they kept.
    const commit = async (): Promise<void> => {
      const entries = Array.from({ length: 200 }, () => ({
        id: randomBytes(16).toString('hex'),
        changes: [
          {
            type: 'put',
            key: randomBytes(8).toString('hex'),
            expect: 'any',
            hash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
            size: 0,
            body: { depth: 0, refs: [] },
            contentType: 'a/b',
            meta: { note },
          },
        ],
      }))
      const reply = await ask(at.url, `${B}/commit`, {
        method: 'POST',
        token: at.bearer,
        body: JSON.stringify({ entries }),
        agent,
      })
      expect(reply.status).toBe(200)
    }
    for (let index = 0; index < 5; index++) await commit()
    agent.destroy()
    expect(inUse() - before).toBeLessThan(100 * MiB)
    const dropped = (): number =>
      at.log.filter((line) => line.includes('/changes') && line.includes('nothing of the answer was taken')).length
    await expect.poll(dropped, { timeout: 60_000 }).toBe(40)
    for (const socket of deaf) socket.destroy()
  }, 120_000)

  it('are kept back, and then dropped: large blobs', async () => {
    const at = await start({ on: 'disk', bounds: { unread: 1000 } })
    const body = randomBytes(32 * MiB)
    expect((await ask(at.url, `${B}/blobs/large`, { method: 'PUT', token: at.bearer, body })).status).toBe(201)
    const before = inUse()
    const deaf = await Promise.all(Array.from({ length: 20 }, () => plug(at.url)))
    for (const socket of deaf) {
      socket.pause()
      socket.write(get(at.bearer, `${B}/blobs/large`))
    }
    await sleep(700)
    // 640 MiB, were they kept.
    expect(inUse() - before).toBeLessThan(200 * MiB)
    const dropped = (): number => at.log.filter((line) => line.includes('nothing of the answer was taken')).length
    await expect.poll(dropped, { timeout: 10_000 }).toBe(20)
    for (const socket of deaf) socket.destroy()
  })

  it('are not dropped while they are read slowly', async () => {
    const at = await start({ bounds: { unread: 400 } })
    const body = randomBytes(3 * MiB)
    await ask(at.url, `${B}/blobs/large`, { method: 'PUT', token: at.bearer, body })
    const socket = await plug(at.url)
    let bytes = 0
    socket.on('data', (piece: Buffer) => {
      bytes += piece.length
      socket.pause()
      setTimeout(() => socket.resume(), 20)
    })
    socket.write(get(at.bearer, `${B}/blobs/large`, 'connection: close\r\n'))
    await new Promise((resolve) => socket.once('end', resolve))
    socket.destroy()
    expect(bytes).toBeGreaterThan(body.length)
  })
})
