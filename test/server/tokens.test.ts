import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openSecretSource, type SecretSource } from '../../src/access/secrets.ts'
import { mintToken, type TokenRequest } from '../../src/access/tokens.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openHttpTokens } from '../../src/store/http/tokens.ts'
import { ask, type Reply, type Running, running } from './running.ts'

let directory: string
let source: SecretSource
let at: Running
let root: string
let rootId: string
const ALL = ['read', 'write', 'delete', 'admin'] as const
const call = (token: string, method: string, path: string, body?: unknown): Promise<Reply> =>
  ask(at.url, `/v1/tokens${path}`, { method, token, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
const mint = async (request: TokenRequest, id: string = ids.next()): Promise<string> =>
  mintToken(request, await source.load(), { now: clock.now(), id })

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'blobs-tokens-'))
  source = openSecretSource({}, directory, () => clock.now())
  at = await running({ secrets: await source.load(), secretSource: source })
  await at.buckets.create('team')
  rootId = ids.next()
  root = await mint({ bucket: '*', can: ALL }, rootId)
})
afterAll(async () => {
  await at[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

describe('who administers a bucket', () => {
  it('makes a token that works at once, and finds its record, in which the token is not', async () => {
    const asked = { bucket: 'team', can: ['read'], prefixes: ['docs/'], name: 'Zoë\n', expires: '2100-01-01T00:00:00Z' }
    const made = await call(root, 'POST', '', asked)
    expect(made.status).toBe(201)
    const { token, ...record } = made.json
    expect(record).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
      name: 'Zoë\n',
      bucket: 'team',
      prefixes: ['docs'],
      can: ['read'],
      issued: expect.any(String),
      expires: '2100-01-01T00:00:00.000Z',
      by: rootId,
      revoked: null,
    })
    expect((await ask(at.url, '/v1/buckets/team/blobs?prefix=docs/', { token })).status).toBe(200)
    expect((await ask(at.url, '/v1/buckets/team/blobs/docs/x', { method: 'PUT', body: '', token })).status).toBe(403)
    const found = await call(root, 'GET', `/${record.id}`)
    expect(found.json).toEqual(record)
    const listed = await call(root, 'GET', '?limit=1000')
    expect(listed.json).toMatchObject({ complete: true, tokens: expect.arrayContaining([record]) })
    expect(found.text + listed.text + at.log.join('')).not.toContain(token)
  })

  it('sees and ends only the tokens for it', async () => {
    const admin = await mint({ bucket: 'team', can: ALL })
    const other = (await call(root, 'POST', '', { bucket: 'other' })).json
    const every = (await call(root, 'POST', '', { bucket: '*' })).json
    const own = (await call(admin, 'POST', '', { bucket: 'team' })).json
    const ids = (await call(admin, 'GET', '')).json.tokens.map(({ id }: { id: string }) => id)
    expect(ids).toContain(own.id)
    for (const { id } of [other, every]) {
      expect(ids).not.toContain(id)
      expect((await call(admin, 'GET', `/${id}`)).status).toBe(404)
      expect((await call(admin, 'POST', '/revoke', { ids: [id] })).status).toBe(404)
    }
    for (const bucket of ['other', '*']) {
      expect((await call(admin, 'POST', '', { bucket })).status).toBe(403)
      expect((await call(admin, 'POST', '/revoke', { issuedBefore: new Date().toISOString(), bucket })).status).toBe(
        403,
      )
    }
    expect((await call(admin, 'POST', '/rotate', { keep: 0 })).status).toBe(403)
    expect((await call(admin, 'POST', '/revoke', { ids: [own.id] })).json).toEqual({ revoked: [own.id] })
    await expect.poll(async () => (await call(own.token, 'GET', '/self')).status).toBe(401)
    expect((await call(root, 'GET', `/${own.id}`)).json.revoked).toEqual(expect.any(String))
  })

  it('for a while, makes nothing that lasts longer', async () => {
    const soon = Math.floor(Date.now() / 1000) * 1000 + 3_600_000
    const brief = await mint({ bucket: 'team', can: ALL, expires: soon })
    expect((await call(brief, 'POST', '', { bucket: 'team' })).json.expires).toBe(new Date(soon).toISOString())
    const later = { bucket: 'team', expires: new Date(soon + 1000).toISOString() }
    expect((await call(brief, 'POST', '', later)).status).toBe(403)
  })

  it('ends with a token all that were made with it, and with those', async () => {
    const make = async (token: string): Promise<{ id: string; token: string }> =>
      (await call(token, 'POST', '', { bucket: 'team', can: ALL })).json
    const first = await make(root)
    const second = await make(first.token)
    const third = await make(second.token)
    const revoked = (await call(root, 'POST', '/revoke', { ids: [first.id], made: true })).json.revoked
    expect(revoked.sort()).toEqual([first.id, second.id, third.id].sort())
    await expect.poll(async () => (await call(third.token, 'GET', '/self')).status).toBe(401)
  })
})

describe('a token that administers nothing', () => {
  it('sees itself, and no record', async () => {
    const id = ids.next()
    const token = await mint({ bucket: 'team', name: 'ada', prefixes: ['a'] }, id)
    expect((await call(token, 'GET', '/self')).json).toEqual({
      id,
      name: 'ada',
      bucket: 'team',
      prefixes: ['a'],
      can: ['read', 'write', 'delete'],
      issued: expect.any(String),
      expires: null,
    })
    for (const [method, path, body] of [
      ['GET', ''],
      ['GET', `/${id}`],
      ['POST', '', { bucket: 'team' }],
      ['POST', '/revoke', { ids: [rootId] }],
      ['POST', '/revoke', { issuedBefore: '2020-01-01T00:00:00Z' }],
      ['POST', '/rotate', { keep: 0 }],
    ] as const) {
      expect((await call(token, method, path, body)).status, `${method} ${path}`).toBe(403)
    }
    const confined = await mint({ bucket: 'team', can: ALL, prefixes: ['a'] })
    expect((await call(confined, 'POST', '', { bucket: 'team' })).status).toBe(403)
  })

  it('may end itself', async () => {
    const id = ids.next()
    const token = await mint({ bucket: 'team' }, id)
    expect((await call(token, 'POST', '/revoke', { ids: [id] })).status).toBe(200)
    await expect.poll(async () => (await call(token, 'GET', '/self')).status).toBe(401)
  })
})

it.each<[string, string, unknown, number]>([
  ['no bucket', '', {}, 400],
  ['the reserved bucket', '', { bucket: '_system' }, 400],
  ['a bucket that is none', '', { bucket: 'a/b' }, 400],
  ['an unknown capability', '', { bucket: 'team', can: ['fly'] }, 400],
  ['no capability', '', { bucket: 'team', can: [] }, 400],
  ['a folder that is no key', '', { bucket: 'team', prefixes: ['a//b'] }, 400],
  ['no folder', '', { bucket: 'team', prefixes: [] }, 400],
  ['a past expiry', '', { bucket: 'team', expires: '2001-01-01T00:00:00Z' }, 400],
  ['a property that is not known', '', { bucket: 'team', bukket: 'x' }, 400],
  ['nothing to revoke', '/revoke', {}, 400],
  ['a bucket without a time', '/revoke', { ids: ['x'], bucket: 'team' }, 400],
  ['a time to come', '/revoke', { issuedBefore: '2100-01-01T00:00:00Z' }, 400],
  ['a negative span', '/rotate', { keep: -1 }, 400],
])('what cannot be meant is refused: %s', async (_name, path, body, status) => {
  expect(await call(root, 'POST', path, body)).toMatchObject({ status, headers: { 'content-type': /problem/ } })
})

describe('a new secret', () => {
  it('is used at once, the one before goes on until its time, and then ends what goes on with it', async () => {
    const http = await openHttpTokens({ origin: at.url, token: root })
    await http.rotate(1500)
    const status = async (token: string): Promise<number> => (await call(token, 'GET', '/self')).status
    const { token: fresh } = await http.create({ bucket: '*', can: [...ALL] })
    http.close()
    expect((await source.load()).previous).not.toBeNull()
    await expect.poll(() => status(fresh)).toBe(200)
    expect(await status(root)).toBe(200)
    const again = await call(root, 'POST', '/rotate', { keep: 1000 })
    expect(again).toMatchObject({ status: 409, json: { code: 'Refused', hint: expect.stringContaining('--keep 0s') } })
    const feed = ask(at.url, '/v1/buckets/team/changes?live', { token: root })
    await expect.poll(() => status(root), { timeout: 5000 }).toBe(401)
    expect((await feed).text).toContain('"code":"Unauthenticated"')
    expect(await status(fresh)).toBe(200)
    root = fresh
  })

  it('ends everything at once when nothing is to be kept', async () => {
    await expect
      .poll(async () => (await call(root, 'POST', '/rotate', { keep: 0 })).status, { timeout: 5000 })
      .toBe(204)
    await expect.poll(async () => (await call(root, 'GET', '/self')).status).toBe(401)
    expect((await call(await mint({ bucket: '*' }), 'GET', '/self')).status).toBe(200)
  })

  it('is not made where it comes from the environment', async () => {
    const fixed = openSecretSource({ TOKEN_SECRET: 'given' }, directory, () => clock.now())
    await using own = await running({ secrets: await fixed.load(), secretSource: fixed })
    const token = await mintToken({ bucket: '*', can: ALL }, await fixed.load(), { now: clock.now(), id: ids.next() })
    const reply = await ask(own.url, '/v1/tokens/rotate', { method: 'POST', token, body: '{"keep":0}' })
    expect(reply).toMatchObject({
      status: 409,
      json: { code: 'Refused', hint: expect.stringContaining('TOKEN_SECRET_PREVIOUS') },
    })
  })
})
