import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeList } from '../../src/content/body.ts'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import { bounds, limits } from '../../src/protocol/limits.ts'
import { framesBody } from '../protocol/frames-body.ts'
import { ask, type Asked, newId, type Reply, type Running, running } from '../server/running.ts'
import { sha } from './fortress.ts'

/** Every limit of one request: what is within it is taken, what is just above is refused. The others are in `server-raw.test.ts`. */

const B = '/v1/buckets/team'
let at: Running
let token: string
beforeAll(async () => {
  at = await running()
  await at.buckets.create('team')
  token = await at.token({})
  const chunks = [
    Buffer.from('x'),
    Buffer.alloc(0),
    Buffer.alloc(limits.chunkBytes),
    Buffer.alloc(limits.chunkBytes + 1),
  ]
  for (const bytes of chunks) await put(`size-${bytes.length}`, { body: bytes })
}, 60_000)
afterAll(() => at[Symbol.asyncDispose]())

const call = (method: string, path: string, asked: Asked = {}): Promise<Reply> =>
  ask(at.url, path, { method, token, ...asked })
const put = (key: string, asked: Asked = {}): Promise<Reply> =>
  call('PUT', `${B}/blobs/${key}`, { body: 'x', ...asked })
const post = (route: string, value: unknown): Promise<Reply> =>
  call('POST', `${B}/${route}`, { body: JSON.stringify(value) })
const frames = (count: number, length: number): Promise<Reply> => {
  const chunk = Buffer.alloc(length)
  const body = framesBody(Array.from({ length: count }, () => ({ label: sha(chunk), bytes: chunk })))
  return call('POST', `${B}/chunks`, { body, headers: { 'content-type': FRAMES_TYPE } })
}
const putting = (key: string, more: object = {}): unknown => ({
  type: 'put',
  key,
  expect: { version: 77 },
  hash: sha(''),
  size: 0,
  body: { depth: 0, refs: [] },
  contentType: 'a/b',
  meta: {},
  ...more,
})
const commit = (...entries: readonly (readonly unknown[])[]): Promise<Reply> =>
  post('commit', { entries: entries.map((changes) => ({ id: newId(), changes })) })
const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index))
const refs = (count: number): Promise<Reply> => {
  const bytes = 'x'.repeat(count)
  const body = { depth: 0, refs: many(count, () => ({ hash: sha('x'), size: 1 })) }
  return commit([putting('refs', { hash: sha(bytes), size: count, body, expect: 'any' })])
}
/** A list of one list of one list … of one chunk. */
const deep = async (depth: number): Promise<Reply> => {
  let bytes: Uint8Array = Buffer.from('x')
  for (let level = 0; level < depth; level++) {
    bytes = encodeList([{ hash: sha(bytes), size: 1 }])
    const body = framesBody([{ label: sha(bytes), bytes }])
    await call('POST', `${B}/chunks`, { body, headers: { 'content-type': FRAMES_TYPE } })
  }
  const body = { depth, refs: [{ hash: sha(bytes), size: 1 }] }
  return commit([putting('deep', { hash: sha('x'), size: 1, body, expect: 'any' })])
}
const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth))
const text = (length: number): string => 'x'.repeat(length)
/** A commit that is as long as that. */
const long = (bytes: number): Promise<Reply> => {
  const body = JSON.stringify({ entries: [{ id: newId(), changes: [putting('long')] }] })
  return call('POST', `${B}/commit`, { body: body.padEnd(bytes, ' ') })
}

interface Limit {
  readonly name: string
  readonly most: number
  readonly send: (count: number) => Promise<Reply>
  /** Status of what is within, and of what is above. */
  readonly taken?: number
  readonly refused?: number
}

const rows: readonly Limit[] = [
  { name: 'jsonBytes', most: limits.jsonBytes, send: long, refused: 413 },
  { name: 'framesBytes', most: 16, send: (count) => frames(count, 2 ** 20 - 100), refused: 413 },
  { name: 'chunkBytes', most: limits.chunkBytes, send: (count) => frames(1, count), refused: 413 },
  { name: 'chunks', most: limits.chunks, send: (count) => frames(count, 1), refused: 413 },
  {
    name: 'hashes',
    most: limits.hashes,
    send: (count) => post('chunks/missing', { hashes: many(count, () => sha('')) }),
  },
  {
    name: 'wants',
    most: limits.wants,
    send: (count) => post('fetch', { wants: many(count, () => ({ key: 'k', version: 1 })) }),
  },
  { name: 'entries', most: limits.entries, send: (count) => commit(...many(count, (index) => [putting(`k${index}`)])) },
  { name: 'changes', most: limits.changes, send: (count) => commit(many(count, (index) => putting(`k${index}`))) },
  { name: 'refs', most: limits.refs, send: refs },
  { name: 'depth', most: limits.depth, send: deep },
  { name: 'page', most: limits.page, send: (count) => call('GET', `${B}/blobs?limit=${count}`) },
  {
    name: 'metaNames',
    most: limits.metaNames,
    send: (count) => commit([putting('k', { meta: Object.fromEntries(many(count, (index) => [`n${index}`, 'v'])) })]),
  },
  {
    name: 'metaBytes',
    most: limits.metaBytes,
    send: (count) => commit([putting('k', { meta: { n: text(count - 1) } })]),
  },
  {
    name: 'metaBytes in headers',
    most: limits.metaBytes,
    send: (count) => put('meta', { headers: { 'x-blobs-meta-n': text(count - 1) } }),
    taken: 201,
  },
  {
    name: 'contentType',
    most: limits.contentType,
    send: (count) => put('type', { headers: { 'content-type': `a/${text(count - 2)}` } }),
    taken: 201,
  },
  {
    name: 'label',
    most: limits.label,
    send: (count) => put('label', { headers: { 'x-blobs-device': text(count) } }),
    taken: 201,
  },
]

describe('a request as large as its limit is taken, one above is refused:', () => {
  it.each(rows)('$name, $most', async ({ most, send, taken = 200, refused = 400 }) => {
    const within = await send(most)
    expect(within.status, within.text.slice(0, 300)).toBe(taken)
    const above = await send(most + 1)
    expect(above.status, above.text.slice(0, 300)).toBe(refused)
    expect(above.json.code).toBe(refused === 413 ? 'TooLarge' : 'InvalidRequest')
  })

  it('folders of a token, and ids that are revoked at once', async () => {
    const admin = await at.token({ bucket: '*', can: ['admin'] })
    const asked = async (path: string, body: object): Promise<number> =>
      (await ask(at.url, `/v1/tokens${path}`, { method: 'POST', token: admin, body: JSON.stringify(body) })).status
    const prefixes = (length: number): string[] => many(length, (index) => `f${index}`)
    expect(await asked('', { bucket: 'team', prefixes: prefixes(limits.tokenPrefixes) })).toBe(201)
    expect(await asked('', { bucket: 'team', prefixes: prefixes(limits.tokenPrefixes + 1) })).toBe(400)
    expect(await asked('/revoke', { ids: prefixes(limits.tokenIds) })).toBe(200)
    expect(await asked('/revoke', { ids: prefixes(limits.tokenIds + 1) })).toBe(400)
  })

  it('headerBytes', async () => {
    expect((await call('GET', '/live', { headers: { x: text(limits.headerBytes - 1000) } })).status).toBe(200)
    const above = await call('GET', '/live', { headers: { x: text(limits.headerBytes) } })
    expect(above).toMatchObject({ status: 431, json: { code: 'TooLarge' } })
  })

  it('jsonDepth, jsonNames, jsonItems and jsonValues, where a text is long enough to do harm', async () => {
    const filler = text(100_000)
    const detail = async (value: unknown): Promise<string> => (await post('commit', [filler, value])).json.detail
    expect(await detail(nested(limits.jsonDepth - 1))).toBe('not an object')
    expect(await detail(nested(limits.jsonDepth))).toBe('nested too deeply')
    const names = (count: number): object => Object.fromEntries(many(count, (index) => [`n${index}`, 1]))
    expect(await detail(names(limits.jsonNames))).toBe('not an object')
    expect(await detail(names(limits.jsonNames + 1))).toContain('names')
    expect(await detail(many(limits.jsonItems, () => 1))).toBe('not an object')
    expect(await detail(many(limits.jsonItems + 1, () => 1))).toContain('items')
    const lists = (count: number): unknown => many(count / 10_000, () => many(10_000, () => 1))
    expect(await detail(lists(limits.jsonValues - 10_000))).toBe('not an object')
    expect(await detail(lists(limits.jsonValues + 10_000))).toContain('values')
  })

  it('the bytes of a blob that is fetched with others', async () => {
    const fetch = async (size: number): Promise<string> =>
      (await post('fetch', { wants: [{ key: `size-${size}`, version: 1 }] })).text
    expect(await fetch(limits.chunkBytes)).not.toContain('InvalidRequest')
    expect(await fetch(limits.chunkBytes + 1)).toContain('"code":"InvalidRequest"')
  })

  it('names with digests, and the bytes of a page', async () => {
    const own = await running()
    await own.buckets.create('team')
    const store = await own.buckets.open('team')
    const note = text(8100)
    for (let part = 0; part < 3; part++) {
      const entries = many(1000, (index) => ({
        id: newId(),
        changes: [
          {
            type: 'put' as const,
            key: `${part}/${index}`,
            expect: 'any' as const,
            hash: sha(''),
            size: 0,
            body: { depth: 0, refs: [] },
            contentType: 'a/b',
            meta: { note },
          },
        ],
      }))
      await store.commit(entries)
    }
    const bearer = await own.token({})
    const list = async (query: string): Promise<Reply> => ask(own.url, `${B}/blobs?${query}`, { token: bearer })
    expect((await list('limit=10000&digests')).json).toMatchObject({
      complete: false,
      items: { length: limits.digestsPage },
    })
    const page = await list('limit=10000')
    expect(page.bytes.length).toBeGreaterThan(limits.pageBytes)
    expect(page.bytes.length).toBeLessThan(limits.pageBytes + 9 * 2 ** 20)
    const rest = await list(`limit=10000&after=${page.json.next}`)
    expect(page.json.complete).toBe(false)
    expect(rest.json.complete).toBe(true)
    expect(page.json.items.length + rest.json.items.length).toBe(3000)
    await store.close()
    await own[Symbol.asyncDispose]()
  })
})

describe('docs/protocol.md', () => {
  const count = (value: number): string => (value >= 10_000 ? value.toLocaleString('en') : String(value))
  const bytes = (value: number): string =>
    value >= 2 ** 20 ? `${value / 2 ** 20} MiB` : value >= 1024 ? `${value / 1024} KiB` : `${value} bytes`
  const seconds = (value: number): string => `${value / 1000} s`
  const both = (...values: readonly string[]): string => values.join(' · ')
  const told: readonly (readonly [string, string])[] = [
    ['request line and headers', bytes(limits.headerBytes)],
    ['JSON body', bytes(limits.jsonBytes)],
    [
      'values in it',
      both(count(limits.jsonValues), count(limits.jsonItems), count(limits.jsonNames), count(limits.jsonDepth)),
    ],
    ['body of frames', both(bytes(limits.framesBytes), bytes(limits.chunkBytes), count(limits.chunks))],
    ['hashes in one', both(count(limits.hashes), count(limits.wants), bytes(limits.chunkBytes))],
    ['entries in one', both(count(limits.entries), count(limits.changes))],
    ['refs in a body', both(count(limits.refs), count(limits.depth))],
    ['names in a page', both(count(limits.page), count(limits.digestsPage))],
    ['a page ends early', bytes(limits.pageBytes)],
    ['metadata of a blob', both(count(limits.metaNames), bytes(limits.metaBytes))],
    ['content type', both(count(limits.contentType), count(limits.label))],
    ['folders of a token', both(count(limits.tokenPrefixes), count(limits.tokenIds))],
    ['head of a request', both(seconds(bounds.headers), seconds(bounds.headers))],
    ['silence in a body', both(seconds(bounds.bodyIdle), seconds(bounds.bodyTotal))],
    ['slowest body', `${bytes(bounds.slowest)}/s`],
    ['an answer in pieces', seconds(bounds.unread)],
    ['reading and checking', seconds(bounds.verify)],
    ['a connection with no traffic', both(seconds(bounds.silence), seconds(bounds.keepAlive))],
    ['a live feed', seconds(bounds.heartbeat)],
    ['bytes of request bodies', both(bytes(bounds.bodies), bytes(bounds.bodiesPerToken))],
    [
      'bytes of chunks that wait',
      both(bytes(bounds.staging), bytes(bounds.stagingPerToken), seconds(bounds.stagingWait)),
    ],
    ['requests of one token', String(bounds.requestsPerToken)],
    ['more of one token', both(count(bounds.requestsPerSecond), count(bounds.requestBurst))],
    ['tokens from one address', String(bounds.badTokens)],
    ['connections', both(String(bounds.connections), String(bounds.connectionsPerAddress))],
  ]
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'protocol.md'), 'utf8')
  const lines = page.slice(page.indexOf('## Limits'), page.indexOf('## What may change')).split('\n')

  it.each(told)('tells the limit: %s, %s', (name, value) => {
    expect(lines.find((line) => line.startsWith(`| ${name}`))).toMatch(
      new RegExp(`\\| ${value.replaceAll('/', '\\/')} \\|$`),
    )
  })

  it('tells no others', () => {
    expect(lines.filter((line) => /^\| [a-zA-Z]/.test(line))).toHaveLength(told.length)
    expect(bounds.bodyGrace).toBe(60_000)
  })
})
