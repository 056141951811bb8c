import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingMessage, request as open } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claimedBucket } from '../../src/access/claimed-bucket.ts'
import { openRecords, type Records } from '../../src/access/records.ts'
import { openSystem } from '../../src/access/system.ts'
import { mintToken } from '../../src/access/tokens.ts'
import { openLocal } from '../../src/backends/local/local.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import { connect } from './socket/client.ts'
import { ask, raw, type Running, running, SECRETS } from './running.ts'

/** Two processes' worth of the same data directory: one serves, the other revokes. */
let directory: string
let served: Buckets
let beside: Buckets
let system: BlobStore
let records: Records
let at: Running
const B = '/v1/buckets/team'

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'blobs-revoked-'))
  const place = async (): Promise<Buckets> =>
    openBuckets({ backend: await openLocal({ directory, clock }), clock, ids })
  served = await place()
  await served.create('team')
  at = await running({ buckets: served })
  beside = await place()
  system = await openSystem(beside)
  records = openRecords({ store: system, now: () => clock.now(), newId: () => ids.next() })
})
afterAll(async () => {
  await at[Symbol.asyncDispose]()
  await system.close()
  await beside.close()
  await rm(directory, { recursive: true })
})

async function token(bucket = 'team'): Promise<{ readonly id: string; readonly bearer: string }> {
  const id = ids.next()
  return { id, bearer: await mintToken({ bucket }, SECRETS, { now: clock.now(), id }) }
}

/** A request whose answer is not read further than it comes. */
function begin(path: string, bearer: string): Promise<IncomingMessage> {
  const { hostname, port } = new URL(at.url)
  return new Promise((resolve, reject) => {
    open({ hostname, port, path, agent: false, headers: { authorization: `Bearer ${bearer}` } }, resolve)
      .on('error', reject)
      .end()
  })
}

/** Milliseconds that it took; fails when it is longer than what is promised. */
async function withinASecond(act: () => Promise<unknown>): Promise<void> {
  const started = performance.now()
  await act()
  expect(performance.now() - started).toBeLessThan(1000)
}

describe('a token that another process revokes', () => {
  it('is refused within a second, though the server knows it', async () => {
    const { id, bearer } = await token()
    expect((await ask(at.url, B, { token: bearer })).status).toBe(200)
    await withinASecond(async () => {
      await records.revoke([id], '')
      await expect.poll(async () => (await ask(at.url, B, { token: bearer })).status, { interval: 20 }).toBe(401)
    })
    const refused = await ask(at.url, B, { token: bearer })
    expect(refused.json).toMatchObject({ code: 'Unauthenticated', detail: 'the token has been revoked' })
    expect(refused.headers['www-authenticate']).toContain('the token has been revoked')
  })

  it('ends its live feed with the reason', async () => {
    const { id, bearer } = await token()
    const feed = await begin(`${B}/changes?live`, bearer)
    let text = ''
    feed.on('data', (piece: Buffer) => (text += piece.toString()))
    await expect.poll(() => text).toContain('bookmark')
    await withinASecond(async () => {
      const ended = new Promise((resolve) => feed.once('close', resolve))
      await records.revoke([id], '')
      await ended
    })
    expect(JSON.parse(text.trim().split('\n').at(-1) ?? '')).toMatchObject({
      type: 'problem',
      code: 'Unauthenticated',
      detail: 'the token has been revoked',
    })
  })

  it('ends an upload that is under way, of which nothing is kept', async () => {
    const { id, bearer } = await token()
    const { socket, all } = await raw(at.url)
    const fields = ['host: h', `authorization: Bearer ${bearer}`, 'content-length: 1000000']
    socket.write(`PUT ${B}/blobs/slow HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n${'x'.repeat(1000)}`)
    const sending = setInterval(() => socket.write('y'), 20)
    await expect.poll(() => served.open('team').then(async (store) => (await store.info()).name)).toBe('team')
    await new Promise((resolve) => setTimeout(resolve, 200))
    const answered = new Promise((resolve) => socket.once('data', resolve))
    await withinASecond(async () => {
      await records.revoke([id], '')
      await answered
    })
    clearInterval(sending)
    socket.end()
    expect(await all).toMatch(/^HTTP\/1\.1 401 .*the token has been revoked/s)
    const other = await token()
    expect((await ask(at.url, `${B}/blobs/slow`, { token: other.bearer })).status).toBe(404)
  })

  it('cuts a download that is under way', async () => {
    const { id, bearer } = await token()
    const body = Buffer.alloc(32 * 2 ** 20, 'z')
    expect((await ask(at.url, `${B}/blobs/large`, { method: 'PUT', token: bearer, body })).status).toBe(201)
    const answer = await begin(`${B}/blobs/large`, bearer)
    answer.on('error', () => undefined)
    answer.once('data', () => answer.pause())
    await new Promise((resolve) => setTimeout(resolve, 100))
    await withinASecond(async () => {
      await records.revoke([id], '')
      await expect
        .poll(() => at.log.some((line) => line.includes('/blobs/large') && line.includes('"GET"')), { interval: 20 })
        .toBe(true)
    })
    answer.resume()
    await new Promise((resolve) => answer.once('close', resolve))
    expect(answer.complete).toBe(false)
  })
})

describe('all tokens that were issued before a time', () => {
  it('of one bucket are refused, one made right after is not, nor is one for another bucket', async () => {
    const [old, other, all] = [await token(), await token('another'), await token('*')]
    await new Promise((resolve) => setTimeout(resolve, 2))
    await records.revokeBefore('team', clock.now(), '')
    const fresh = await token()
    const status = async (bearer: string): Promise<number> =>
      (await ask(at.url, '/v1/buckets', { token: bearer })).status
    await expect.poll(() => status(old.bearer)).toBe(401)
    for (const one of [fresh, other, all]) expect(await status(one.bearer)).toBe(200)
  })

  it('of one bucket end also where a live client claims it by a name that only stands for it', async () => {
    const { bearer } = await token('My App')
    using client = await connect(at.url, bearer)
    await client.ask('ref', 'a'.repeat(64))
    await records.revokeBefore(claimedBucket('My App'), clock.now() + 1, '')
    await client.ended
    await expect(connect(at.url, bearer)).rejects.toThrow('Access denied')
  })

  it('of the whole server are refused, and an earlier time does not bring them back', async () => {
    const old = await token('*')
    const status = async (): Promise<number> => (await ask(at.url, '/v1/buckets', { token: old.bearer })).status
    await new Promise((resolve) => setTimeout(resolve, 2))
    await records.revokeBefore('*', clock.now(), '')
    await records.revokeBefore('*', 1000, '')
    await expect.poll(status).toBe(401)
    await using again = await running({ buckets: { ...served, close: () => Promise.resolve() } })
    expect((await ask(again.url, '/v1/buckets', { token: old.bearer })).status).toBe(401)
  })

  it('include those that do not say when they were made', async () => {
    const { createHmac } = await import('node:crypto')
    const text = [{ alg: 'HS256', typ: 'JWT' }, { bucket: 'team' }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const bearer = `${text}.${createHmac('sha256', SECRETS.current).update(text).digest('base64url')}`
    expect((await ask(at.url, '/v1/buckets', { token: bearer })).status).toBe(401)
  })
})

describe('the reserved bucket', () => {
  it('is out of reach through /v1, whatever a token says', async () => {
    const root = (await mintToken({ bucket: '*', can: ['read', 'write', 'delete', 'admin'] }, SECRETS, {
      now: clock.now(),
      id: ids.next(),
    })) as string
    const path = '/v1/buckets/_system'
    for (const [method, below] of [
      ['GET', ''],
      ['PUT', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['GET', '/blobs'],
      ['GET', '/blobs/revoked/x'],
      ['PUT', '/blobs/revoked/x'],
      ['DELETE', '/blobs/revoked/x'],
      ['POST', '/commit'],
      ['POST', '/chunks'],
      ['GET', '/changes'],
    ] as const) {
      expect((await ask(at.url, `${path}${below}`, { method, token: root })).status, `${method} ${below}`).toBe(400)
    }
    const own = await mintToken({ bucket: '_system' }, SECRETS, { now: clock.now(), id: ids.next() })
    expect((await ask(at.url, `${path}/blobs`, { token: own })).status).toBe(401)
    expect((await ask(at.url, '/v1/buckets', { token: root })).json.buckets).toMatchObject([{ name: 'team' }])
    expect((await ask(at.url, '/v1/buckets/_systen', { token: root })).text).not.toContain('_system')
  })
})
