import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Capability } from '../../src/access/grant.ts'
import { mintToken } from '../../src/access/tokens.ts'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import { stageStream } from '../../src/store/contract/upload.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import { ask, type Asked, newId, type Reply, type Running, running, SECRETS } from './running.ts'
import { framesBody } from '../protocol/frames-body.ts'

const sha = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

let at: Running
let root: string
const B = '/v1/buckets/team'
const call = (token: string | undefined, method: string, path: string, asked: Asked = {}): Promise<Reply> =>
  ask(at.url, path, { method, token, ...asked })

beforeAll(async () => {
  at = await running()
  root = await at.token({ bucket: '*', can: ['read', 'write', 'delete', 'admin'] })
  await at.buckets.create('team')
  for (const key of ['docs/a', 'docs/b/c', 'docs2/x', 'docs-x', 'other', 'docs']) {
    await call(root, 'PUT', `${B}/blobs/${key}`, { body: `bytes of ${key}` })
  }
})
afterAll(() => at[Symbol.asyncDispose]())

const put = (key: string): unknown => ({
  id: newId(),
  changes: [
    {
      type: 'put',
      key,
      expect: 'any',
      contentType: 'a/b',
      meta: {},
      hash: sha(''),
      size: 0,
      body: { depth: 0, refs: [] },
    },
  ],
})
const frames = {
  body: framesBody([{ label: sha('f'), bytes: Buffer.from('f') }]),
  headers: { 'content-type': FRAMES_TYPE },
}

/** Every request of the face, with what it needs. */
const requests: readonly (readonly [
  name: string,
  needs: Capability | 'any',
  method: string,
  path: string,
  asked?: Asked,
])[] = [
  ['the bucket', 'any', 'GET', B],
  ['a listing', 'read', 'GET', `${B}/blobs?prefix=docs/`],
  ['a blob', 'read', 'GET', `${B}/blobs/docs/a`],
  ['a head', 'read', 'HEAD', `${B}/blobs/docs/a`],
  ['changes', 'read', 'GET', `${B}/changes`],
  ['chunks of a blob', 'read', 'GET', `${B}/chunks-of/docs/a?version=1`],
  ['a fetch', 'read', 'POST', `${B}/fetch`, { body: '{"wants":[{"key":"docs/a","version":1}]}' }],
  ['a put', 'write', 'PUT', `${B}/blobs/docs/new`, { body: 'x' }],
  ['missing chunks', 'write', 'POST', `${B}/chunks/missing`, { body: '{"hashes":[]}' }],
  ['chunks', 'write', 'POST', `${B}/chunks`, frames],
  ['a commit', 'write', 'POST', `${B}/commit`, { body: JSON.stringify({ entries: [put('docs/new')] }) }],
  ['a delete', 'delete', 'DELETE', `${B}/blobs/docs/new`],
  ['options', 'admin', 'PATCH', B, { body: '{"options":{}}' }],
]

describe('without a good token every request of the face is 401, whether the thing exists or not', () => {
  const now = Date.now()
  const old = { now: now - 10_000_000, id: newId() }
  const bad: readonly (readonly [string, () => Promise<string | undefined>, RegExp])[] = [
    ['none', async () => undefined, /^Bearer realm="blobs"$/],
    ['nonsense', async () => 'Bearer nonsense', /error="invalid_token", error_description="the token is not one"/],
    ['another scheme', async () => 'Basic dGVzdDp0ZXN0', /invalid_token/],
    ['an empty one', async () => 'Bearer ', /invalid_token/],
    [
      'one of another server',
      async () => `Bearer ${await mintToken({ bucket: 'team' }, { current: 'x', previous: null }, old)}`,
      /not signed by this server/,
    ],
    [
      'an expired one',
      async () => `Bearer ${await mintToken({ bucket: 'team', expires: now - 1000 }, SECRETS, old)}`,
      /the token has expired/,
    ],
  ]
  const paths = [
    ...requests.map(([, , method, path]) => [method, path] as const),
    ['GET', '/v1/buckets'],
    ['GET', '/v1/nothing'],
    ['POST', '/v1/buckets/none/blobs/x'],
  ] as const

  it.each(bad)('%s', async (_name, make, challenge) => {
    const authorization = await make()
    for (const [method, path] of paths) {
      const reply = await call(
        undefined,
        method,
        path,
        authorization === undefined ? {} : { headers: { authorization } },
      )
      expect(reply, `${method} ${path}`).toMatchObject({ status: 401, headers: { 'x-blobs-code': 'Unauthenticated' } })
      expect(reply.headers['www-authenticate']).toMatch(challenge)
    }
  })
})

it('after too many bad tokens from an address, others there must wait; on this machine a good one goes on', async () => {
  await using own = await running({ bounds: { badTokens: 3 } })
  const good = await own.token({ bucket: '*' })
  const status = async (token?: string): Promise<number> => (await ask(own.url, '/v1/buckets', { token })).status
  for (let index = 0; index < 3; index++) expect(await status(`guess${index}`)).toBe(401)
  const reply = await ask(own.url, '/v1/buckets', { token: 'guess' })
  expect(reply).toMatchObject({
    status: 503,
    json: { code: 'Unavailable', detail: expect.stringContaining('bad tokens') },
  })
  expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0)
  expect(Number(reply.headers['retry-after'])).toBeLessThanOrEqual(60)
  expect(await status()).toBe(401)
  expect(await status(good)).toBe(200)
})

describe('a token', () => {
  it.each<[string, readonly Capability[]]>([
    ['reads', ['read']],
    ['writes', ['write']],
    ['deletes', ['delete']],
    ['administers', ['admin']],
    ['does nothing', []],
  ])('that only %s may do that and nothing else', async (_name, can) => {
    const token = await at.token({ can })
    for (const [name, needs, method, path, asked] of requests) {
      const { status } = await call(token, method, path, asked)
      const allowed = needs === 'any' || can.includes(needs)
      if (allowed) expect([200, 201, 204, 404], name).toContain(status)
      else expect(status, name).toBe(403)
    }
  })

  it('for another bucket, or a longer name, is 403 for what exists and what does not', async () => {
    for (const bucket of ['tea', 'team2', 'other']) {
      const token = await at.token({ bucket, can: ['read', 'write', 'delete', 'admin'] })
      for (const [name, , method, path, asked] of requests) {
        expect((await call(token, method, path, asked)).status, name).toBe(403)
        expect((await call(token, method, path.replace('/team', '/nowhere'), asked)).status, name).toBe(403)
      }
    }
  })

  it('tells in its refusal what it allows', async () => {
    const reply = await call(await at.token({ can: ['read'], prefixes: ['docs'] }), 'PUT', `${B}/blobs/docs/a`, {
      body: 'x',
    })
    expect(reply).toMatchObject({
      status: 403,
      headers: { 'www-authenticate': 'Bearer realm="blobs", error="insufficient_scope"' },
      json: { code: 'Forbidden', hint: 'it allows read in team, only at or below docs' },
    })
  })

  it('signed with the previous secret goes on while that is kept', async () => {
    await using both = await running({ secrets: { current: 'new', previous: SECRETS.current } })
    expect((await ask(both.url, '/v1/buckets', { token: root })).status).toBe(200)
    await using later = await running({ secrets: { current: 'new', previous: null } })
    expect((await ask(later.url, '/v1/buckets', { token: root })).status).toBe(401)
  })

  it('is refused from the moment it expires, though the server knows it', async () => {
    let now = Date.now()
    await using own = await running({ now: () => now })
    const token = await mintToken({ bucket: '*', expires: now + 60_000 }, SECRETS, { now, id: newId() })
    expect((await ask(own.url, '/v1/buckets', { token })).status).toBe(200)
    now += 60_000
    expect((await ask(own.url, '/v1/buckets', { token })).status).toBe(401)
  })
})

describe('a token confined to docs', () => {
  let token: string
  beforeAll(async () => {
    token = await at.token({ prefixes: ['docs'] })
  })
  const keys = (reply: Reply): string[] => reply.json.items.map((one: { key: string }) => one.key)

  it.each([
    ['docs', 200],
    ['docs/a', 200],
    ['docs/b/c', 200],
    ['docs2/x', 403],
    ['docs-x', 403],
    ['other', 403],
    ['never', 403],
    ['docs/never', 404],
  ])('reads %s with %i', async (key, status) => {
    expect((await call(token, 'GET', `${B}/blobs/${key}`)).status).toBe(status)
    expect((await call(token, 'HEAD', `${B}/blobs/${key}`)).status).toBe(status)
    expect((await call(token, 'GET', `${B}/chunks-of/${key}?version=1`)).status).toBe(status)
    const fetched = await call(token, 'POST', `${B}/fetch`, { body: JSON.stringify({ wants: [{ key, version: 1 }] }) })
    expect(fetched.status).toBe(status === 403 ? 403 : 200)
  })

  it('lists only what is its own, and is refused elsewhere rather than shown nothing', async () => {
    const own = ['docs', 'docs/a', 'docs/b/c']
    expect(keys(await call(token, 'GET', `${B}/blobs`)).filter((key) => !key.endsWith('/new'))).toEqual(own)
    expect((await call(token, 'GET', `${B}/blobs?delimiter=/`)).json).toMatchObject({
      items: [{ key: 'docs' }],
      prefixes: ['docs/'],
    })
    expect((await call(token, 'GET', `${B}/blobs?prefix=docs2/`)).status).toBe(403)
    expect((await call(token, 'GET', B)).json).toMatchObject({ blobs: 0, bytes: 0 })
    expect((await call(token, 'GET', '/v1/buckets')).json.buckets).toMatchObject([{ name: 'team', blobs: 0, bytes: 0 }])
  })

  it('is told only of its own changes, up to the same bookmark', async () => {
    const told = (await call(token, 'GET', `${B}/changes`)).text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    for (const { type, key } of told) if (type !== 'bookmark') expect(key).toMatch(/^docs($|\/)/)
    const all = (await call(root, 'GET', `${B}/changes`)).text.trim().split('\n')
    expect(told.at(-1)).toEqual(JSON.parse(all.at(-1) ?? ''))
    expect(told.length).toBeLessThan(all.length)
  })

  it('may not commit outside, nor copy from there, and nothing of the call happens', async () => {
    const copy = {
      id: newId(),
      changes: [
        {
          type: 'put',
          key: 'docs/stolen',
          expect: 'any',
          contentType: 'a/b',
          meta: {},
          hash: sha('bytes of other'),
          size: 14,
          body: { copy: { key: 'other', version: 1 } },
        },
      ],
    }
    for (const entry of [
      put('docs2/y'),
      { id: newId(), changes: [{ type: 'delete', key: 'other', expect: 'any' }] },
      copy,
    ]) {
      const reply = await call(token, 'POST', `${B}/commit`, {
        body: JSON.stringify({ entries: [put('docs/fine'), entry] }),
      })
      expect(reply).toMatchObject({ status: 403, json: { code: 'Forbidden' } })
    }
    expect((await call(root, 'GET', `${B}/blobs/docs/fine`)).status).toBe(404)
  })

  it('may not administer even when it says so', async () => {
    const claimed = await at.token({ prefixes: ['docs'], can: ['read', 'admin'] })
    expect((await call(claimed, 'PATCH', B, { body: '{"options":{}}' })).status).toBe(403)
    expect((await call(claimed, 'DELETE', B)).status).toBe(403)
  })
})

describe('chunks of others', () => {
  const secret = 'bytes that only the owner of other/ has, and all know the hash of'
  const large = Buffer.from(Array.from({ length: 40_000 }, (_, index) => `line ${index} of a large secret\n`).join(''))
  beforeAll(async () => {
    await call(root, 'PUT', `${B}/blobs/other/secret`, { body: secret })
    await call(root, 'PUT', `${B}/blobs/other/large`, { body: large })
  })
  const naming = (key: string, hash: string, size: number, body: unknown): string =>
    JSON.stringify({
      entries: [
        { id: newId(), changes: [{ type: 'put', key, expect: 'any', contentType: 'a/b', meta: {}, hash, size, body }] },
      ],
    })

  it.each<[string, () => Promise<string>]>([
    ['a confined token', () => at.token({ prefixes: ['docs'] })],
    ['a token that only writes', () => at.token({ can: ['write'] })],
  ])('cannot be probed or named by %s, though it knows their hash', async (_name, make) => {
    const token = await make()
    const hashes = [sha(secret)]
    expect((await call(token, 'POST', `${B}/chunks/missing`, { body: JSON.stringify({ hashes }) })).json).toEqual({
      missing: hashes,
    })
    const body = { depth: 0, refs: [{ hash: sha(secret), size: secret.length }] }
    const commit = naming('docs/mine', sha(secret), secret.length, body)
    expect(await call(token, 'POST', `${B}/commit`, { body: commit })).toMatchObject({
      status: 400,
      json: { code: 'InvalidRequest', key: 'docs/mine' },
    })
    const sent = {
      body: framesBody([{ label: sha(secret), bytes: Buffer.from(secret) }]),
      headers: { 'content-type': FRAMES_TYPE },
    }
    expect((await call(token, 'POST', `${B}/chunks`, sent)).status).toBe(200)
    expect((await call(token, 'POST', `${B}/chunks/missing`, { body: JSON.stringify({ hashes }) })).json).toEqual({
      missing: [],
    })
    expect((await call(token, 'POST', `${B}/commit`, { body: commit })).status).toBe(200)
    const stranger = await at.token({ prefixes: ['docs'] })
    expect(
      (await call(stranger, 'POST', `${B}/commit`, { body: naming('docs/theirs', sha(secret), secret.length, body) }))
        .status,
    ).toBe(400)
  })

  it('cannot be reached through a list object of ones own', async () => {
    const token = await at.token({ prefixes: ['docs'] })
    const { text } = await call(root, 'GET', `${B}/chunks-of/other/large?version=1`)
    const refs: { hash: string; size: number }[] = JSON.parse(text.split('\n')[0] ?? '').refs
    const list = Buffer.concat(
      refs.map(({ hash, size }) => {
        const ref = Buffer.alloc(40)
        ref.write(hash, 'hex')
        ref.writeBigUInt64BE(BigInt(size), 32)
        return ref
      }),
    )
    const sent = { body: framesBody([{ label: sha(list), bytes: list }]), headers: { 'content-type': FRAMES_TYPE } }
    expect((await call(token, 'POST', `${B}/chunks`, sent)).status).toBe(200)
    const body = { depth: 1, refs: [{ hash: sha(list), size: large.length }] }
    const commit = naming('docs/large', sha(large), large.length, body)
    expect(await call(token, 'POST', `${B}/commit`, { body: commit })).toMatchObject({
      status: 400,
      json: { code: 'InvalidRequest' },
    })
    expect((await call(root, 'POST', `${B}/chunks`, sent)).status).toBe(200)
    expect((await call(root, 'POST', `${B}/commit`, { body: commit })).json.outcomes[0].ok).toBe(true)
  })

  it('a confined writer brings a large file of its own by chunks and lists', async () => {
    const buckets = await openHttpBuckets({ origin: at.url, token: await at.token({ prefixes: ['docs'] }) })
    const store = await buckets.open('team')
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 64; index++) yield Buffer.alloc(256 * 1024, index)
    }
    const staged = await stageStream(store, source())
    expect(staged.body.depth).toBeGreaterThan(0)
    const change = {
      type: 'put' as const,
      key: 'docs/own',
      expect: 'any' as const,
      contentType: 'a/b',
      meta: {},
      ...staged,
    }
    expect(await store.commit([{ id: newId(), changes: [change] }])).toMatchObject([{ ok: true }])
    expect(await store.head('docs/own')).toMatchObject({ size: 16 * 2 ** 20 })
    await buckets.close()
  })
})
