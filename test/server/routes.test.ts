import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeFrames } from '../../src/protocol/frames.ts'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import { ask, type Asked, newId, type Reply, type Running, running } from './running.ts'
import { framesBody } from '../protocol/frames-body.ts'

const sha = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

let at: Running
let token: string
let admin: string
beforeAll(async () => {
  at = await running()
  admin = await at.token({ bucket: '*', can: ['read', 'write', 'delete', 'admin'] })
  token = await at.token({ name: 'Zoë' })
  await at.buckets.create('team')
})
afterAll(() => at[Symbol.asyncDispose]())

const call = (method: string, path: string, asked: Asked = {}): Promise<Reply> =>
  ask(at.url, path, { method, token, ...asked })
const put = (key: string, body: string, headers: Record<string, string> = {}): Promise<Reply> =>
  call('PUT', `/v1/buckets/team/blobs/${key}`, { body, headers })
const post = (path: string, value: unknown, asked: Asked = {}): Promise<Reply> =>
  call('POST', `/v1/buckets/team/${path}`, { body: JSON.stringify(value), ...asked })
async function framesOf({ bytes }: Reply): Promise<{ label: string; text: string }[]> {
  const found = []
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield bytes
  }
  for await (const { label, bytes: held } of decodeFrames(whole(), 2 ** 20))
    found.push({ label, text: Buffer.from(held).toString() })
  return found
}

describe('a bucket', () => {
  it('is made, told of, changed and removed', async () => {
    const as = { token: admin }
    const made = await call('PUT', '/v1/buckets/extra', { ...as, body: '{"options":{"maxBlobSize":4}}' })
    expect(made).toMatchObject({ status: 201, json: { name: 'extra', blobs: 0, options: { maxBlobSize: 4 } } })
    expect(await call('PUT', '/v1/buckets/extra', as)).toMatchObject({ status: 409, json: { code: 'AlreadyExists' } })
    expect(await call('GET', '/v1/buckets/extra', as)).toMatchObject({ status: 200, json: made.json })
    const large = await call('PUT', '/v1/buckets/extra/blobs/x', { ...as, body: '12345' })
    expect(large).toMatchObject({ status: 413, json: { code: 'TooLarge' } })
    expect(await call('PATCH', '/v1/buckets/extra', { ...as, body: '{"options":{}}' })).toMatchObject({
      json: { options: {} },
    })
    expect(await call('PUT', '/v1/buckets/extra/blobs/x', { ...as, body: '12345' })).toMatchObject({ status: 201 })
    expect(await call('DELETE', '/v1/buckets/extra', as)).toMatchObject({ status: 204, text: '' })
    expect(await call('DELETE', '/v1/buckets/extra', as)).toMatchObject({
      status: 404,
      json: { code: 'NotFound', bucket: 'extra' },
    })
    expect(await call('GET', '/v1/buckets/extra/blobs/x', as)).toMatchObject({ status: 404, json: { bucket: 'extra' } })
  })

  it('that was removed and made again is empty', async () => {
    const as = { token: admin }
    for (const round of ['one', 'two']) {
      const made = await call('PUT', '/v1/buckets/phoenix', as)
      expect(made, round).toMatchObject({ status: 201, json: { blobs: 0 } })
      expect(await call('GET', '/v1/buckets/phoenix/blobs', as)).toMatchObject({ json: { items: [], complete: true } })
      await call('PUT', '/v1/buckets/phoenix/blobs/x', { ...as, body: round })
      expect(await call('DELETE', '/v1/buckets/phoenix', as)).toMatchObject({ status: 204 })
    }
  })

  it('is listed with the others, a page at a time', async () => {
    const as = { token: admin }
    for (const name of ['list-a', 'list-b', 'list-c']) await call('PUT', `/v1/buckets/${name}`, as)
    const page = await call('GET', '/v1/buckets?after=list-a&limit=1', as)
    expect(page.json).toMatchObject({ buckets: [{ name: 'list-b' }], complete: false, next: 'list-b' })
    const rest = await call('GET', '/v1/buckets?after=list-b', as)
    expect(rest.json.buckets.map((one: { name: string }) => one.name)).toEqual(['list-c', 'team'])
    expect(rest.json.complete).toBe(true)
    const own = await call('GET', '/v1/buckets')
    expect(own.json.buckets.map((one: { name: string }) => one.name)).toEqual(['team'])
  })

  it.each<[string, string, Asked, number, string]>([
    ['PUT', 'A', {}, 400, 'InvalidRequest'],
    ['PUT', 'a', {}, 400, 'InvalidRequest'],
    ['PUT', '_system', {}, 400, 'InvalidRequest'],
    ['PUT', 'x'.repeat(64), {}, 400, 'InvalidRequest'],
    ['PUT', 'made', { body: '{' }, 400, 'InvalidRequest'],
    ['PUT', 'made', { body: '[]' }, 400, 'InvalidRequest'],
    ['PUT', 'made', { body: '{"quota":1}' }, 400, 'InvalidRequest'],
    ['PUT', 'made', { body: '{"options":{"maxBlobSize":0}}' }, 400, 'InvalidRequest'],
    ['PUT', 'made', { body: Buffer.from([0x7b, 0xff, 0x7d]) }, 400, 'InvalidRequest'],
    ['PUT', 'made?x=1', {}, 400, 'InvalidRequest'],
    ['PATCH', 'team', { body: '{}' }, 400, 'InvalidRequest'],
    ['PATCH', 'nowhere', { body: '{"options":{}}' }, 404, 'NotFound'],
    ['POST', 'team', {}, 405, 'NotSupported'],
    ['GET', 'nowhere', {}, 404, 'NotFound'],
    ['GET', 'nowhere/blobs', {}, 404, 'NotFound'],
    ['GET', 'nowhere/blobs/x', {}, 404, 'NotFound'],
    ['GET', 'nowhere/changes', {}, 404, 'NotFound'],
    ['PUT', 'nowhere/blobs/x', { body: 'x' }, 404, 'NotFound'],
    ['GET', 'team/other', {}, 404, 'NotFound'],
    ['PUT', 'team/blobs', {}, 405, 'NotSupported'],
    ['GET', 'team/commit', {}, 405, 'NotSupported'],
    ['DELETE', 'team/chunks/missing', {}, 405, 'NotSupported'],
  ])('%s of %s is answered as it deserves', async (method, path, asked, status, code) => {
    const reply = await call(method, `/v1/buckets/${path}`, { token: admin, ...asked })
    expect(reply).toMatchObject({ status, headers: { 'x-blobs-code': code }, json: { code, status } })
    expect(reply.headers['content-type']).toMatch(/^application\/problem\+json/)
    if (status === 405) expect(reply.headers.allow).toMatch(/[A-Z]/)
  })

  it('that is missing is named with its like only to one who may see all', async () => {
    expect((await call('GET', '/v1/buckets/teem', { token: admin })).json.hint).toContain('team')
    const confined = await at.token({ bucket: 'teem', can: ['read'] })
    expect((await call('GET', '/v1/buckets/teem', { token: confined })).text).not.toContain('team')
  })

  it('comes into being with the first write by a token made for exactly it', async () => {
    const own = await at.token({ bucket: 'newborn' })
    expect(await call('GET', '/v1/buckets/newborn', { token: own })).toMatchObject({
      status: 404,
      json: { creatable: true },
    })
    expect(await call('GET', '/v1/buckets/newborn/blobs', { token: own })).toMatchObject({ status: 404 })
    expect(await call('PUT', '/v1/buckets/newborn/blobs/x', { token: own, body: 'x' })).toMatchObject({ status: 201 })
    const reader = await at.token({ bucket: 'unborn', can: ['read'] })
    expect((await call('GET', '/v1/buckets/unborn', { token: reader })).json).not.toHaveProperty('creatable')
    const staging = await at.token({ bucket: 'staged' })
    const missing = await call('POST', '/v1/buckets/staged/chunks/missing', { token: staging, body: '{"hashes":[]}' })
    expect(missing.status).toBe(200)
    const direct = await at.token({ bucket: 'direct' })
    expect(await call('PUT', '/v1/buckets/direct', { token: direct })).toMatchObject({ status: 201 })
  })
})

describe('a listing', () => {
  beforeAll(async () => {
    for (const key of ['l/a', 'l/b/1', 'l/b/2', 'l/c']) await put(key, key)
    await call('DELETE', '/v1/buckets/team/blobs/l/c')
  })
  const list = async (query: string): Promise<Reply> => call('GET', `/v1/buckets/team/blobs?${query}`)
  const keys = ({ json }: Reply): string[] => json.items.map((one: { key: string }) => one.key)

  it('says what there is, and whether that is all', async () => {
    expect(keys(await list('prefix=l/'))).toEqual(['l/a', 'l/b/1', 'l/b/2'])
    const level = await list('prefix=l/&delimiter=/')
    expect([keys(level), level.json.prefixes, level.json.complete]).toEqual([['l/a'], ['l/b/'], true])
    const first = await list('prefix=l/&limit=2')
    expect(first.json).toMatchObject({ complete: false, next: 'l/b/1' })
    expect(keys(await list(`prefix=l/&after=${encodeURIComponent(first.json.next)}`))).toEqual(['l/b/2'])
    expect(keys(await list('prefix=l/&deleted'))).toEqual(['l/a', 'l/b/1', 'l/b/2', 'l/c'])
    expect(keys(await list('prefix=l/c&versions=1&deleted=true'))).toEqual(['l/c', 'l/c'])
    expect((await list('prefix=l/a&digests=1')).json.items[0].history).toEqual([])
    expect(keys(await list('at=2001-01-01T00:00:00Z'))).toEqual([])
  })

  it.each([
    'limit=0',
    'limit=10001',
    'limit=x',
    'delimiter=-',
    'at=yesterday',
    'at=2001-13-01T00:00:00Z',
    'deleted=maybe',
    'other=1',
    'limit=1&limit=2',
  ])('by %s is refused', async (query) => {
    expect(await list(query)).toMatchObject({ status: 400, json: { code: 'InvalidRequest' } })
  })
})

describe('chunks and commits', () => {
  const one = (text: string) => ({
    hash: sha(text),
    size: text.length,
    body: { depth: 0, refs: [{ hash: sha(text), size: text.length }] },
  })
  const change = (key: string, text: string, expect: unknown = 'any') => ({
    type: 'put',
    key,
    expect,
    contentType: 'text/plain',
    meta: {},
    ...one(text),
  })
  const stage = (body: Uint8Array, type = FRAMES_TYPE): Promise<Reply> =>
    call('POST', '/v1/buckets/team/chunks', { body, headers: { 'content-type': type } })
  const frames = (...texts: string[]): Uint8Array =>
    framesBody(texts.map((text) => ({ label: sha(text), bytes: Buffer.from(text) })))

  it('travel in frames, are missed before and not after, and become blobs by a commit', async () => {
    const hashes = [sha('chunk one'), sha('chunk two')]
    expect((await post('chunks/missing', { hashes })).json).toEqual({ missing: hashes })
    expect(await stage(frames('chunk one', 'chunk two'))).toMatchObject({ status: 200, json: { staged: 2 } })
    expect((await post('chunks/missing', { hashes })).json).toEqual({ missing: [] })
    const entries = [
      {
        id: newId(),
        changes: [change('c/1', 'chunk one', 'absent'), change('c/2', 'chunk two')],
        device: 'phone',
        operation: 'o1',
      },
      { id: newId(), changes: [change('c/1', 'chunk two', 'absent')] },
      {
        id: newId(),
        changes: [
          {
            type: 'put',
            key: 'c/3',
            expect: 'any',
            contentType: 'text/plain',
            meta: {},
            hash: sha('chunk one'),
            size: 9,
            body: { copy: { key: 'c/1', version: 1 } },
          },
        ],
      },
    ]
    const committed = await post('commit', { entries })
    expect(committed.status).toBe(200)
    expect(committed.json.outcomes).toMatchObject([
      {
        id: entries[0]?.id,
        ok: true,
        blobs: [{ key: 'c/1', version: 1, author: 'Zoë', device: 'phone' }, { key: 'c/2' }],
      },
      { id: entries[1]?.id, ok: false, conflicts: [{ key: 'c/1', expected: 'absent', current: { version: 1 } }] },
      { id: entries[2]?.id, ok: true, blobs: [{ key: 'c/3', hash: sha('chunk one') }] },
    ])
    expect((await post('commit', { entries })).json).toEqual(committed.json)
  })

  it('come back many at once, in the order they were asked for', async () => {
    await put('f/1', 'first')
    await put('f/2', '')
    const wants = [
      { key: 'f/2', version: 1 },
      { key: 'f/none', version: 1 },
      { key: 'f/1', version: 1 },
      { key: 'f/1', version: 9 },
      { key: 'f/1', version: 1 },
    ]
    const reply = await post('fetch', { wants })
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': FRAMES_TYPE } })
    expect(await framesOf(reply)).toEqual([
      { label: sha(''), text: '' },
      { label: 'ff'.repeat(32), text: '' },
      { label: sha('first'), text: 'first' },
      { label: 'ff'.repeat(32), text: '' },
      { label: sha('first'), text: 'first' },
    ])
  })

  it('of one version are told in order', async () => {
    await put('big', 'x'.repeat(300_000))
    const { status, text } = await call('GET', '/v1/buckets/team/chunks-of/big?version=1')
    expect(status).toBe(200)
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { refs?: { size: number }[]; complete?: boolean })
    expect(lines.at(-1)).toEqual({ complete: true })
    expect(lines.flatMap((line) => line.refs ?? []).reduce((sum, ref) => sum + ref.size, 0)).toBe(300_000)
    expect(await call('GET', '/v1/buckets/team/chunks-of/big')).toMatchObject({
      status: 400,
      json: { code: 'InvalidRequest' },
    })
    expect(await call('GET', '/v1/buckets/team/chunks-of/big?version=2')).toMatchObject({
      status: 404,
      json: { key: 'big' },
    })
  })

  it.each<[string, () => Promise<Reply>, number, string]>([
    ['frames without their end', () => stage(frames('abc').subarray(0, -1)), 400, 'InvalidRequest'],
    ['no frames at all', () => stage(Buffer.from('')), 400, 'InvalidRequest'],
    ['frames of another type', () => stage(frames('abc'), 'application/octet-stream'), 400, 'InvalidRequest'],
    [
      'a chunk with a wrong hash',
      () => stage(framesBody([{ label: sha('abc'), bytes: Buffer.from('abd') }])),
      422,
      'Corrupt',
    ],
    ['a chunk above the limit', () => stage(frames('x'.repeat(2 ** 20 + 1))), 413, 'TooLarge'],
    ['a body above the limit', () => stage(Buffer.alloc(16 * 2 ** 20 + 1)), 413, 'TooLarge'],
    [
      '4097 chunks',
      () => stage(frames(...Array.from({ length: 4097 }, (_, index) => `chunk ${index}`))),
      413,
      'TooLarge',
    ],
    [
      'a commit of what was not staged',
      () => post('commit', { entries: [{ id: newId(), changes: [change('k', 'never sent')] }] }),
      400,
      'InvalidRequest',
    ],
    [
      'a commit of a broken key',
      () => post('commit', { entries: [{ id: newId(), changes: [change('a//b', 'x')] }] }),
      400,
      'InvalidKey',
    ],
    ['a commit without entries', () => post('commit', {}), 400, 'InvalidRequest'],
    [
      '1001 entries',
      () =>
        post('commit', {
          entries: Array.from({ length: 1001 }, () => ({
            id: newId(),
            changes: [{ type: 'delete', key: 'k', expect: 'any' }],
          })),
        }),
      400,
      'InvalidRequest',
    ],
    ['a missing of texts', () => post('chunks/missing', { hashes: ['x'] }), 400, 'InvalidRequest'],
    ['a fetch of no version', () => post('fetch', { wants: [{ key: 'a' }] }), 400, 'InvalidRequest'],
    ['a fetch of a broken key', () => post('fetch', { wants: [{ key: '', version: 1 }] }), 400, 'InvalidKey'],
    [
      'a JSON body of 33 MiB',
      () => call('POST', '/v1/buckets/team/commit', { body: Buffer.alloc(33 * 2 ** 20) }),
      413,
      'TooLarge',
    ],
    [
      'JSON nested a million deep',
      () => call('POST', '/v1/buckets/team/commit', { body: '['.repeat(1e6) }),
      400,
      'InvalidRequest',
    ],
  ])('are refused: %s', async (_name, send, status, code) => {
    expect(await send()).toMatchObject({ status, json: { code } })
  })

  it('S16 refuse a body whose chunks are not the bytes of its hash', async () => {
    const text = 'y'.repeat(600_000)
    await put('whole', text)
    const { text: lines } = await call('GET', '/v1/buckets/team/chunks-of/whole?version=1')
    const refs = JSON.parse(lines.split('\n')[0] ?? '').refs
    const entries = [
      {
        id: newId(),
        changes: [{ ...change('forged', 'x'), hash: sha('another'), size: 600_000, body: { depth: 0, refs } }],
      },
    ]
    expect(await post('commit', { entries })).toMatchObject({ status: 422, json: { code: 'Corrupt', key: 'forged' } })
    expect(await call('GET', '/v1/buckets/team/blobs/forged')).toMatchObject({ status: 404 })
  })
})

describe('an operator', () => {
  it('sees without a token whether it lives and is ready', async () => {
    expect(await ask(at.url, '/live')).toMatchObject({ status: 200, json: { live: true } })
    expect(await ask(at.url, '/ready')).toMatchObject({ status: 200, json: { ready: true } })
    expect(await ask(at.url, '/')).toMatchObject({ status: 404, json: { code: 'NotFound' } })
  })

  it('reads a log of one object a request, without tokens and queries', async () => {
    await call('GET', '/v1/buckets/team/blobs?prefix=l/&limit=1')
    await expect.poll(() => at.log.at(-1)).toContain('/v1/buckets/team/blobs"')
    expect(JSON.parse(at.log.at(-1) ?? '')).toMatchObject({
      event: 'request',
      method: 'GET',
      status: 200,
      bucket: 'team',
      path: '/v1/buckets/team/blobs',
    })
    const all = at.log.join('')
    for (const secret of [token, admin, token.split('.')[2] ?? '', 'a secret for tests', 'Bearer', 'prefix='])
      expect(all).not.toContain(secret)
    for (const line of at.log) expect(line.endsWith('\n') && JSON.parse(line)).toBeTruthy()
  })
})
