import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openInvitations } from '../../src/access/invitations.ts'
import { encodeList } from '../../src/content/body.ts'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import { SYSTEM_BUCKET } from '../../src/store/contract/keys.ts'
import { framesBody } from '../protocol/frames-body.ts'
import { ask, type Asked, newId, raw, type Reply, type Running, running } from '../server/running.ts'

/** What hostile requests did to a server once; each case as small as it could be made. */

const sha = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const B = '/v1/buckets/team'
let at: Running
let root: string
let docs: string
const call = (token: string, method: string, path: string, asked: Asked = {}): Promise<Reply> =>
  ask(at.url, path, { method, token, ...asked })
const stage = (token: string, ...chunks: readonly Uint8Array[]): Promise<Reply> =>
  call(token, 'POST', `${B}/chunks`, {
    body: framesBody(chunks.map((bytes) => ({ label: sha(bytes), bytes }))),
    headers: { 'content-type': FRAMES_TYPE },
  })
const putting = (key: string, put: object, id = newId()): string =>
  JSON.stringify({
    entries: [{ id, changes: [{ type: 'put', key, expect: 'any', contentType: 'a/b', meta: {}, ...put }] }],
  })
const empty = { hash: sha(''), size: 0, body: { depth: 0, refs: [] } }

beforeAll(async () => {
  at = await running({ on: 'disk' })
  await at.buckets.create('team')
  root = await at.token({ bucket: '*', can: ['read', 'write', 'delete', 'admin'] })
  docs = await at.token({ prefixes: ['docs'] })
})
afterAll(() => at[Symbol.asyncDispose]())

describe('the id of another entry, which every bookmark tells,', () => {
  it.each<[string, (id: string) => Promise<Reply>]>([
    ['a commit', (id) => call(docs, 'POST', `${B}/commit`, { body: putting('docs/x', empty, id) })],
    ['a put', (id) => call(docs, 'PUT', `${B}/blobs/docs/x`, { body: 'x', headers: { 'x-blobs-entry': id } })],
    ['a delete', (id) => call(docs, 'DELETE', `${B}/blobs/docs/x`, { headers: { 'x-blobs-entry': id } })],
  ])('tells a confined token nothing of that entry in %s', async (_name, use) => {
    await call(root, 'PUT', `${B}/blobs/private/canary`, { body: newId() })
    const { head } = (await call(docs, 'GET', B)).json
    const reply = await use(head.split(':')[2])
    expect(reply).toMatchObject({ status: 400, json: { code: 'InvalidRequest' } })
    expect(JSON.stringify(reply)).not.toContain('canary')
  })

  it('nor of one that was refused', async () => {
    const id = newId()
    const body = JSON.stringify({
      entries: [{ id, changes: [{ type: 'delete', key: 'private/canary', expect: { version: 77 } }] }],
    })
    await call(root, 'POST', `${B}/commit`, { body })
    const reply = await call(docs, 'POST', `${B}/commit`, { body: putting('docs/x', empty, id) })
    expect(reply.text).not.toContain('canary')
  })

  it('but a repeat of its own gives its first outcome', async () => {
    const body = putting('docs/own', empty)
    const first = await call(docs, 'POST', `${B}/commit`, { body })
    expect(first).toMatchObject({ status: 200, json: { outcomes: [{ ok: true, blobs: [{ version: 1 }] }] } })
    expect((await call(docs, 'POST', `${B}/commit`, { body })).json).toEqual(first.json)
  })
})

describe('a body of lists of lists that all name the same chunk', () => {
  const one = Buffer.from('z')
  const list = (bytes: Uint8Array, size: number): Uint8Array =>
    encodeList(Array.from({ length: 4096 }, () => ({ hash: sha(bytes), size })))
  const [l1, l2] = [list(one, 1), list(list(one, 1), 4096)]
  const l3 = list(l2, 4096 ** 2)
  const huge = { hash: sha('?'), size: 4096 ** 3, body: { depth: 3, refs: [{ hash: sha(l3), size: 4096 ** 3 }] } }

  it.each<[string, readonly string[] | null, string]>([
    ['a confined token', ['docs'], 'docs/huge'],
    ['any token', null, 'huge'],
  ])(
    'keeps the server from nothing, and is given up with its connection: sent with %s',
    async (_name, prefixes, key) => {
      const own = await running({ on: 'disk', bounds: { stop: 100 } })
      try {
        await own.buckets.create('team')
        const token = await own.token(prefixes === null ? {} : { prefixes })
        const frames = framesBody([one, l1, l2, l3].map((bytes) => ({ label: sha(bytes), bytes })))
        const staging = { method: 'POST', token, body: frames, headers: { 'content-type': FRAMES_TYPE } }
        expect((await ask(own.url, `${B}/chunks`, staging)).status).toBe(200)
        const { socket, all } = await raw(own.url)
        const body = putting(key, huge)
        socket.write(
          `POST ${B}/commit HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${token}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        )
        for (let turn = 0; turn < 10; turn++) {
          const started = performance.now()
          expect((await ask(own.url, '/live')).status).toBe(200)
          expect(performance.now() - started).toBeLessThan(2000)
        }
        socket.destroy()
        await all
        // A stop waits for all that has the bucket in use.
        const started = performance.now()
        await own.server.close()
        expect(performance.now() - started).toBeLessThan(3000)
      } finally {
        await own[Symbol.asyncDispose]()
      }
    },
  )

  it('is refused when it took too long to check', async () => {
    await using short = await running({ bounds: { verify: 300 } })
    await short.buckets.create('team')
    const token = await short.token({})
    const asked = { method: 'POST', token }
    const frames = [one, l1, l2, l3].map((bytes) => ({ label: sha(bytes), bytes }))
    const headers = { 'content-type': FRAMES_TYPE }
    await ask(short.url, `${B}/chunks`, { ...asked, headers, body: framesBody(frames) })
    const reply = await ask(short.url, `${B}/commit`, { ...asked, body: putting('huge', huge) })
    expect(reply).toMatchObject({ status: 413, json: { code: 'TooLarge' } })
  })

  it('nor does a list of chunks without bytes', async () => {
    const nothing = encodeList(Array.from({ length: 4096 }, () => ({ hash: sha(''), size: 0 })))
    const last = encodeList([
      { hash: sha(nothing), size: 0 },
      { hash: sha(one), size: 1 },
    ])
    await stage(root, one, new Uint8Array(), nothing, last)
    const body = { hash: sha(one), size: 1, body: { depth: 2, refs: [{ hash: sha(last), size: 1 }] } }
    const reply = await call(root, 'POST', `${B}/commit`, { body: putting('empty-chunks', body) })
    expect(reply).toMatchObject({ status: 422, json: { code: 'Corrupt' } })
  })
})

it('a blob of one chunk that says another size is refused, and not kept to fail all its readers', async () => {
  const chunk = Buffer.from('0123456789')
  await stage(root, chunk)
  for (const size of [5, 11, 2 ** 40]) {
    const body = { depth: 0, refs: [{ hash: sha(chunk), size }] }
    const reply = await call(root, 'POST', `${B}/commit`, { body: putting('wrong', { hash: sha(chunk), size, body }) })
    expect(reply).toMatchObject({ status: 422, json: { code: 'Corrupt', key: 'wrong' } })
  }
  expect((await call(root, 'GET', `${B}/blobs/wrong`)).status).toBe(404)
})

describe('JSON that takes long to read is refused at once:', () => {
  const MiB = 2 ** 20
  it.each<[string, () => string]>([
    ['brackets', () => '['.repeat(31 * MiB)],
    ['nested objects', () => '{"a":'.repeat(6 * MiB)],
    ['millions of lists', () => `{"hashes":[${'[],'.repeat(10 * MiB)}[]]}`],
    ['millions of numbers', () => `{"hashes":[${'1,'.repeat(15 * MiB)}1]}`],
    ['many names', () => `{${Array.from({ length: 200_000 }, (_, index) => `"${index}":1`).join(',')}}`],
    ['a text without an end', () => `{"hashes":["${'\\'.repeat(31 * MiB)}`],
  ])('%s', async (_name, make) => {
    const body = make()
    const started = performance.now()
    const reply = await call(root, 'POST', `${B}/chunks/missing`, { body })
    expect(reply).toMatchObject({ status: 400, json: { code: 'InvalidRequest' } })
    expect(performance.now() - started).toBeLessThan(3000)
  })

  it('and what is as large as the limits say is taken', async () => {
    const hashes = Array.from({ length: 10_000 }, (_, index) => sha(String(index)))
    expect((await call(root, 'POST', `${B}/chunks/missing`, { body: JSON.stringify({ hashes }) })).status).toBe(200)
    const refs = Array.from({ length: 16 }, () => ({ hash: sha('z'), size: 1 }))
    const meta = { mtime: '1', mode: '644', 'a"\\': '{[,"\\' }
    const changes = Array.from({ length: 12_000 }, (_, index) => ({
      type: 'put',
      key: `k${index}`,
      expect: { version: 1, hash: sha('') },
      hash: sha(''),
      size: 16,
      body: { depth: 0, refs },
      contentType: 'a/b',
      meta,
    }))
    const body = JSON.stringify({ entries: [{ id: newId(), changes }] })
    expect((await call(root, 'POST', `${B}/commit`, { body })).json).toMatchObject({ outcomes: [{ ok: false }] })
  })
})

describe('a write whose head asks for what is not done is refused, not done otherwise:', () => {
  it.each<[string, Record<string, string>]>([
    ['a part of a blob', { 'content-range': 'bytes 5-7/100' }],
    ['packed bytes', { 'content-encoding': 'gzip' }],
    ['a condition by time', { 'if-unmodified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }],
    ['an unknown expectation', { expect: '200-maybe' }],
  ])('%s', async (_name, headers) => {
    const reply = await call(root, 'PUT', `${B}/blobs/strict`, { body: 'abc', headers })
    expect(reply).toMatchObject({ status: 400, json: { code: 'InvalidRequest' } })
  })

  it.each([
    ['a packed transfer', 'transfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'],
    ['a meaning given twice', 'x-blobs-meta-a: 1\r\nx-blobs-meta-a: 2\r\ncontent-length: 3\r\n\r\nabc'],
    ['two tokens', 'authorization: Bearer x\r\ncontent-length: 3\r\n\r\nabc'],
    ['two types', 'content-type: a/b\r\ncontent-type: c/d\r\ncontent-length: 3\r\n\r\nabc'],
  ])('%s', async (_name, rest) => {
    const { socket, all } = await raw(at.url)
    socket.write(
      `PUT ${B}/blobs/strict HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer ${root}\r\n${rest}`,
    )
    expect(await all).toMatch(/^HTTP\/1\.1 400 .*"code":"InvalidRequest"/s)
    expect((await call(root, 'GET', `${B}/blobs/strict`)).status).toBe(404)
  })

  it('a thousand names are seen, and the condition behind them', async () => {
    const names = Array.from({ length: 1000 }, (_, index) => `x-blobs-meta-n${index}: v\r\n`).join('')
    const write = async (more: string): Promise<string> => {
      const { socket, all } = await raw(at.url)
      socket.write(
        `PUT ${B}/blobs/many HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer ${root}\r\ncontent-length: 3\r\n${names}${more}\r\nabc`,
      )
      return all
    }
    expect(await write('')).toMatch(/^HTTP\/1\.1 201 /)
    expect(await write('if-match: "9"\r\n')).toMatch(/^HTTP\/1\.1 412 /)
    const { socket, all } = await raw(at.url)
    socket.write(
      `HEAD ${B}/blobs/many HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer ${root}\r\n\r\n`,
    )
    expect((await all).match(/x-blobs-meta-n\d+: v/g)).toHaveLength(1000)
  })
})

it('a query that cannot be read is refused, not read as another one', async () => {
  for (const query of ['after=%ff', 'prefix=%c0%af', 'after=%zz', 'prefix=%ed%a0%80', '%ff=1']) {
    expect(await call(root, 'GET', `${B}/blobs?${query}`), query).toMatchObject({
      status: 400,
      json: { code: 'InvalidRequest' },
    })
  }
})

it('a request without a host, and one with a strange expectation, are told so as any other', async () => {
  for (const head of ['GET /live HTTP/1.1\r\n\r\n', 'GET /live HTTP/1.1\r\nhost: h\r\nexpect: x\r\n\r\n']) {
    const { socket, all } = await raw(at.url)
    socket.end(head)
    expect(await all).toMatch(/^HTTP\/1\.1 400 .*application\/problem\+json.*"code":"InvalidRequest"/s)
  }
})

describe('what goes wrong in the server', () => {
  const broken = async (wrap: (store: BlobStore) => Partial<BlobStore>): Promise<Running> => {
    const buckets = {
      ...at.buckets,
      close: () => Promise.resolve(),
      open: async (name: string): Promise<BlobStore> => {
        const store = await at.buckets.open(name)
        if (name === SYSTEM_BUCKET) return store
        // What is reached for is read past the wrapper.
        const { reach: _, ...plain } = store
        return { ...plain, ...wrap(store) }
      },
    }
    return running({ buckets })
  }

  it('after an answer has begun is in the log', async () => {
    await call(root, 'PUT', `${B}/blobs/whole`, { body: 'bytes' })
    const fail = (): AsyncIterable<never> => ({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('the cause is a loose cable')) }),
    })
    await using own = await broken((store) => ({
      fetch: fail,
      changes: async function* (options) {
        yield* store.changes(options)
        yield* fail()
      },
      get: async (key, options) => {
        const blob = await store.get(key, options)
        const stream = async function* (): AsyncGenerator<Uint8Array> {
          yield Buffer.from('by')
          yield* fail()
        }
        return blob && { ...blob, stream: stream() }
      },
    }))
    const wants = { method: 'POST', token: root, body: '{"wants":[{"key":"whole","version":1}]}' }
    expect((await ask(own.url, `${B}/fetch`, wants)).text).toContain('"code":"Internal"')
    expect((await ask(own.url, `${B}/changes`, { token: root })).text).toContain('"code":"Internal"')
    await expect(ask(own.url, `${B}/blobs/whole`, { token: root })).rejects.toThrow()
    for (const path of ['/fetch', '/changes', '/blobs/whole']) {
      await expect
        .poll(() => own.log.find((line) => line.includes(path)), { message: path })
        .toContain('the cause is a loose cable')
    }
  })

  it('tells nothing of its disk', async () => {
    await using own = await broken(() => ({
      list: () =>
        Promise.reject(
          new BlobsError('Unavailable', 'the disk under /srv/secret-place fails', {
            cause: new Error('EIO'),
            hint: 'look under /srv/secret-place',
          }),
        ),
      stage: () =>
        Promise.reject(new BlobsError('QuotaExceeded', 'no space is left for the store in /srv/secret-place')),
    }))
    const listed = await ask(own.url, `${B}/blobs`, { token: root })
    expect(listed, own.log.join('')).toMatchObject({
      status: 503,
      json: { code: 'Unavailable', detail: 'Not possible at the moment' },
    })
    const written = await ask(own.url, `${B}/blobs/full`, { method: 'PUT', token: root, body: newId() })
    expect(written).toMatchObject({ status: 507, json: { code: 'QuotaExceeded' } })
    const ready = await ask(own.url, '/ready')
    expect(ready).toMatchObject({ status: 503 })
    for (const { text } of [listed, written, ready]) expect(text).not.toContain('secret-place')
    expect(own.log.join('')).toContain('secret-place')
  })
})

it('who tries too many codes is told to wait for whole milliseconds, as the protocol has it', async () => {
  const from = performance.now()
  // Time as it is: with fractions.
  const invitations = openInvitations({ now: () => Date.now(), elapsed: () => performance.now() - from })
  await using own = await running({ join: { invitations } })
  const body = JSON.stringify({ code: 'A'.repeat(22), name: 'laptop' })
  const replies: Reply[] = []
  for (let tries = 0; tries < 6; tries++) replies.push(await ask(own.url, '/v1/join', { method: 'POST', body }))
  const last = replies.at(-1)
  expect(last).toMatchObject({ status: 503, json: { code: 'Unavailable' } })
  expect(Number.isSafeInteger(last?.json.retryAfter)).toBe(true)
})
