import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { sha256 } from '../../src/content/hash.ts'
import { blobToHeaders } from '../../src/protocol/blob-headers.ts'
import { ABSENT, FAILED } from '../../src/protocol/frames.ts'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import type { ErrorCode } from '../../src/store/contract/errors.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import type { TransportOptions } from '../../src/store/http/transport.ts'
import { framesBody } from '../protocol/frames-body.ts'

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void
const endings: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

const id = 'a'.repeat(32)
const bucket = {
  name: 'team',
  epoch: id,
  head: `${id}:1:${id}`,
  created: '2030-01-01T00:00:00Z',
  blobs: 0,
  bytes: 0,
  options: {},
}

/** A real HTTP server that answers as it is told, but lets the bucket be opened. */
async function liar(
  handler: Handler,
  options: Partial<TransportOptions> = {},
): Promise<{ store: BlobStore; buckets: Buckets; asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    request.resume()
    if (request.url === '/v1/buckets/team' && asked.length === 0) {
      asked.push('open')
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(bucket))
      return
    }
    asked.push(`${request.method} ${request.url} ${request.headers.range ?? ''}`.trim())
    handler(request, response, asked.length - 1)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const buckets = await openHttpBuckets({ origin, token: 't', ...options })
  endings.push(async () => {
    await buckets.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { store: await buckets.open('team'), buckets, asked }
}

const bytes = Buffer.from('the bytes of a blob that is not very long')
const info = {
  bucket: 'team',
  key: 'k',
  version: 3,
  size: bytes.length,
  hash: sha256(bytes),
  contentType: 'text/plain',
  modified: '2030-01-01T00:00:00Z',
  deleted: false,
  meta: {},
  position: `${id}:1:${id}`,
  entry: id,
  author: '',
  device: '',
}
const good = { ...blobToHeaders(info), 'content-length': String(bytes.length) }
const problem = (
  response: ServerResponse,
  status: number,
  code: string,
  more: object = {},
  headers: Record<string, string> = {},
): void => {
  response.writeHead(status, { 'content-type': 'application/problem+json', 'x-blobs-code': code, ...headers })
  response.end(JSON.stringify({ type: 'x', title: 'x', status, code, detail: `it is ${code}`, ...more }))
}
const html: Handler = (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/html' }).end('<html>please log in</html>')
}

async function read(stream: AsyncIterable<Uint8Array> | undefined): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream ?? []) pieces.push(piece)
  return Buffer.concat(pieces)
}
const all: readonly (readonly [string, (store: BlobStore) => Promise<unknown>])[] = [
  ['info', (store) => store.info()],
  ['head', (store) => store.head('k')],
  ['get', async (store) => read((await store.get('k'))?.stream)],
  ['list', (store) => store.list()],
  ['commit', (store) => store.commit([{ id, changes: [{ type: 'delete', key: 'k', expect: 'any' }] }])],
  ['missing', (store) => store.missing([sha256(bytes)])],
  ['stage', (store) => store.stage([{ hash: sha256(bytes), bytes }])],
  ['fetch', (store) => first(store.fetch([{ key: 'k', version: 1 }]))],
  ['changes', (store) => first(store.changes({}))],
  ['chunksOf', async (store) => first((await store.chunksOf('k', 1)) ?? [])],
]
async function first(source: AsyncIterable<unknown> | Iterable<unknown>): Promise<unknown> {
  for await (const item of source) return item
  return undefined
}

describe('every call of a client takes for what it is', () => {
  it.each<[string, Handler, ErrorCode, object]>([
    ['a page of a captive portal', html, 'Unavailable', {}],
    [
      'a page that something is not found',
      (_, response) => void response.writeHead(404, { 'content-type': 'text/html' }).end('<html>'),
      'Unavailable',
      {},
    ],
    ['an empty 404', (_, response) => void response.writeHead(404).end(), 'Unavailable', {}],
    ['an empty 204', (_, response) => void response.writeHead(204).end(), 'Unavailable', {}],
    [
      'a redirection',
      (_, response) => void response.writeHead(302, { location: 'http://elsewhere.invalid/' }).end(),
      'Unavailable',
      {},
    ],
    [
      'a bad gateway',
      (_, response) => void response.writeHead(502, { 'content-type': 'text/html' }).end('<html>'),
      'Unavailable',
      {},
    ],
    [
      'too many requests',
      (_, response) => void response.writeHead(429, { 'retry-after': '7' }).end(),
      'Unavailable',
      { retryAfter: 7000 },
    ],
    ['a 401 of a proxy', (_, response) => void response.writeHead(401).end(), 'Unauthenticated', {}],
    ['a 403 of a proxy', (_, response) => void response.writeHead(403).end(), 'Forbidden', {}],
    ['a connection that is cut', (request) => void request.socket.destroy(), 'Unavailable', {}],
    ['an answer that is no HTTP', (request) => void request.socket.end('hello\r\n\r\n'), 'Unavailable', {}],
  ])('%s', async (_name, handler, code, more) => {
    const { store } = await liar(handler)
    for (const [name, call] of all) await expect(call(store), name).rejects.toMatchObject({ code, ...more })
  })

  it.each<[number, ErrorCode, object]>([
    [503, 'Unavailable', { retryAfter: 1500 }],
    [500, 'Corrupt', { key: 'k' }],
    [401, 'Unauthenticated', {}],
    [403, 'Forbidden', { hint: 'ask for more' }],
    [404, 'NotFound', { bucket: 'team' }],
    [507, 'QuotaExceeded', {}],
    [501, 'NotSupported', {}],
    [410, 'CursorExpired', {}],
  ])('a problem with status %i: %s', async (status, code, more) => {
    const { store } = await liar((_request, response) => problem(response, status, code, more))
    for (const [name, call] of all) {
      if (name === 'head') continue
      await expect(call(store), name).rejects.toMatchObject({ code, message: `it is ${code}`, ...more })
    }
  })

  it('a server that fails without a name for it as one that may work again', async () => {
    const { store } = await liar((_request, response) => problem(response, 500, 'Internal'))
    await expect(store.info()).rejects.toMatchObject({ code: 'Unavailable', retryable: true })
  })

  it('silence, before an answer and within it', async () => {
    const waits = { answer: 150, silence: 150, feed: 150 }
    const mute = await liar(() => undefined, { waits })
    for (const [name, call] of all)
      await expect(call(mute.store), name).rejects.toMatchObject({
        code: 'Unavailable',
        message: expect.stringContaining('no answer'),
      })
    const stuck = await liar(
      (_, response) => void response.writeHead(200, { ...good, 'content-type': 'application/json' }).flushHeaders(),
      { waits },
    )
    await expect(stuck.store.info()).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining('nothing more'),
    })
  })

  it('nobody at the address, and a name that is none', async () => {
    const { buckets } = await liar(html)
    await buckets.close()
    const nowhere = await openHttpBuckets({ origin: 'http://127.0.0.1:1' })
    await expect(nowhere.open('team')).rejects.toMatchObject({
      code: 'Unavailable',
      hint: expect.stringContaining('blobs serve'),
    })
    const unknown = await openHttpBuckets({ origin: 'http://name.invalid' })
    await expect(unknown.open('team')).rejects.toMatchObject({ code: 'Unavailable' })
    await expect(openHttpBuckets({ origin: 'ftp://x' })).rejects.toMatchObject({ code: 'InvalidRequest' })
    await expect(openHttpBuckets({ origin: 'nonsense' })).rejects.toMatchObject({ code: 'InvalidRequest' })
  })
})

describe('an answer with JSON', () => {
  const page = { items: [], prefixes: [], complete: true, cursor: 'c' }
  it.each<[string, string]>([
    ['cut in the middle', '{"items":['],
    ['of another form', '[]'],
    ['without complete', JSON.stringify({ ...page, complete: undefined })],
    ['with complete as a text', JSON.stringify({ ...page, complete: 'yes' })],
    ['with an item that lacks its version', JSON.stringify({ ...page, items: [{ ...info, version: undefined }] })],
    ['with a hash that is none', JSON.stringify({ ...page, items: [{ ...info, hash: 'x' }] })],
    ['that is empty', ''],
  ])('%s is no listing', async (_name, body) => {
    const { store } = await liar(
      (_request, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(body),
    )
    await expect(store.list()).rejects.toMatchObject({ code: 'Unavailable' })
  })

  it('that has more than we know is taken without it', async () => {
    const { store } = await liar(
      (_request, response) =>
        void response
          .writeHead(200, { 'content-type': 'application/json; charset=utf-8' })
          .end(JSON.stringify({ ...page, news: 1, items: [{ ...info, more: 2 }] })),
    )
    expect(await store.list()).toEqual({ ...page, items: [info] })
  })

  it('to a commit that leaves an entry out is an unknown outcome', async () => {
    const { store } = await liar(
      (_request, response) =>
        void response.writeHead(200, { 'content-type': 'application/json' }).end('{"outcomes":[]}'),
    )
    await expect(store.commit([{ id, changes: [{ type: 'delete', key: 'k', expect: 'any' }] }])).rejects.toMatchObject({
      code: 'Unavailable',
    })
  })
})

describe('a blob is not handed out', () => {
  const send =
    (headers: Record<string, string>, body: Uint8Array = bytes, status = 200): Handler =>
    (_, response) =>
      void response.writeHead(status, headers).end(body)
  const { 'content-length': _length, ...open } = good

  it.each<[string, Handler, ErrorCode, (readonly [number, number])?]>([
    [
      'as bytes that its hash is not of',
      send(good, Buffer.from(bytes.map((byte, at) => (at === 20 ? byte ^ 1 : byte)))),
      'Corrupt',
    ],
    ['with the ETag of another version', send({ ...good, etag: `"2-${id.slice(0, 16)}"` }), 'Unavailable'],
    ['for another key', send({ ...good, 'x-blobs-key': 'other' }), 'Unavailable'],
    ['for another bucket', send({ ...good, 'x-blobs-bucket': 'other' }), 'Unavailable'],
    ['of another length than its size', send({ ...good, 'content-length': '3' }, Buffer.from('the')), 'Unavailable'],
    ['shorter than its size, without a length', send(open, bytes.subarray(0, 10)), 'Unavailable'],
    ['longer than its size, without a length', send(open, Buffer.concat([bytes, bytes])), 'Unavailable'],
    [
      'as a part when the whole was asked for',
      send({ ...good, 'content-range': `bytes 0-3/${bytes.length}`, 'content-length': '4' }, bytes.subarray(0, 4), 206),
      'Unavailable',
    ],
    ['whole when a part was asked for', send(good), 'Unavailable', [2, 5]],
    [
      'as another part',
      send({ ...good, 'content-range': `bytes 1-4/${bytes.length}`, 'content-length': '4' }, bytes.subarray(1, 5), 206),
      'Unavailable',
      [2, 5],
    ],
    [
      'as a part of another size',
      send({ ...good, 'content-range': 'bytes 2-5/999', 'content-length': '4' }, bytes.subarray(2, 6), 206),
      'Unavailable',
      [2, 5],
    ],
    [
      'as a part without its place',
      send({ ...good, 'content-length': '4' }, bytes.subarray(2, 6), 206),
      'Unavailable',
      [2, 5],
    ],
    [
      'without what is known of it',
      send({ 'content-type': 'text/plain', etag: blobToHeaders(info)['etag'] ?? '' }),
      'Unavailable',
    ],
  ])('S6 %s', async (_name, handler, code, range) => {
    const { store } = await liar(handler)
    const handed: Uint8Array[] = []
    const attempt = async (): Promise<void> => {
      const blob = await store.get('k', range === undefined ? {} : { range })
      for await (const piece of blob?.stream ?? []) handed.push(piece)
    }
    await expect(attempt()).rejects.toMatchObject({ code })
    expect(Buffer.concat(handed).equals(bytes)).toBe(false)
  })

  it('and a cut download goes on where it was, of the same version', async () => {
    const { store, asked } = await liar((request, response) => {
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? 'bytes=0-')?.[1])
      const rest = bytes.subarray(start)
      const headers = {
        ...good,
        'content-length': String(rest.length),
        ...(start === 0 ? {} : { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
      }
      response.writeHead(start === 0 ? 200 : 206, headers)
      if (rest.length <= 11) response.end(rest)
      else response.write(rest.subarray(0, 10), () => setTimeout(() => response.destroy(), 20))
    })
    const blob = await store.get('k')
    expect((await read(blob?.stream)).equals(bytes)).toBe(true)
    expect(asked.slice(1)).toEqual([
      'GET /v1/buckets/team/blobs/k',
      ...[10, 20, 30].map((at) => `GET /v1/buckets/team/blobs/k?version=3 bytes=${at}-40`),
    ])
  })

  it('but one that the server cannot go on with tells why', async () => {
    const { store } = await liar((request, response) => {
      if (request.headers.range !== undefined) return problem(response, 500, 'Corrupt', { key: 'k' })
      response.writeHead(200, good).write(bytes.subarray(0, 10), () => setTimeout(() => response.destroy(), 20))
    })
    const blob = await store.get('k')
    await expect(read(blob?.stream)).rejects.toMatchObject({ code: 'Corrupt', key: 'k' })
  })

  it('and one that brings nothing new is given up', async () => {
    const { store, asked } = await liar((request, response) => {
      const start = request.headers.range === undefined ? 0 : 10
      response.writeHead(start === 0 ? 200 : 206, {
        ...good,
        'content-length': String(bytes.length - start),
        ...(start === 0 ? {} : { 'content-range': `bytes 10-40/41` }),
      })
      response.flushHeaders()
      if (start === 0) response.write(bytes.subarray(0, 10))
      setTimeout(() => response.destroy(), 20)
    })
    const blob = await store.get('k')
    await expect(read(blob?.stream)).rejects.toMatchObject({ code: 'Unavailable' })
    expect(asked).toHaveLength(3)
  })
})

describe('fetched blobs', () => {
  const wants = [
    { key: 'k', version: 1 },
    { key: 'l', version: 1 },
  ]
  const one = { label: sha256(bytes), bytes }
  const none = { label: ABSENT, bytes: new Uint8Array() }
  const failed = {
    label: FAILED,
    bytes: Buffer.from(
      JSON.stringify({ type: 'x', title: 'x', status: 500, code: 'Corrupt', detail: 'l is damaged', key: 'l' }),
    ),
  }
  it.each<[string, Uint8Array, ErrorCode, number]>([
    ['cut in the middle', framesBody([one, one]).subarray(0, 100), 'Unavailable', 1],
    ['without their end', framesBody([one, one]).subarray(0, -36), 'Unavailable', 2],
    ['fewer than asked for', framesBody([one]), 'Unavailable', 1],
    ['more than asked for', framesBody([one, one, one]), 'Unavailable', 2],
    ['with other bytes', framesBody([none, { ...one, bytes: Buffer.from('x') }]), 'Corrupt', 0],
    ['with a problem in the middle', framesBody([one, failed]), 'Corrupt', 1],
  ])('%s are not taken for all', async (_name, body, code, before) => {
    const { store } = await liar(
      (_request, response) => void response.writeHead(200, { 'content-type': FRAMES_TYPE }).end(body),
    )
    const got: string[] = []
    const attempt = async (): Promise<void> => {
      for await (const { key } of store.fetch(wants)) got.push(key)
    }
    await expect(attempt()).rejects.toMatchObject({ code })
    expect(got).toHaveLength(before)
  })
})

describe('a feed', () => {
  const put = JSON.stringify({ type: 'put', ...info })
  const bookmark = JSON.stringify({ type: 'bookmark', cursor: 'c' })
  const lines =
    (text: string, end = true): Handler =>
    (_, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' }).write(text)
      if (end) response.end()
    }
  const follow = async (store: BlobStore, live: boolean): Promise<string[]> => {
    const types: string[] = []
    try {
      for await (const { type } of store.changes({ live })) types.push(type)
    } catch (error) {
      types.push((error as { code: string }).code)
    }
    return types
  }

  it.each<[string, string, boolean, string[]]>([
    ['ends with its bookmark', `${put}\n\n${bookmark}\n${put}\n`, false, ['put', 'bookmark']],
    ['that ends without one is cut', `${put}\n`, false, ['put', 'Unavailable']],
    ['that ends in a line is cut', `${put}\n${bookmark.slice(0, 9)}`, false, ['put', 'Unavailable']],
    ['that is no feed is refused', '{"a":1}\n', false, ['Unavailable']],
    [
      'with a problem is that',
      `${put}\n{"type":"problem","title":"x","status":401,"code":"Unauthenticated","detail":"x"}\n`,
      true,
      ['put', 'Unauthenticated'],
    ],
    ['that is live and ends is cut', `${put}\n${bookmark}\n`, true, ['put', 'bookmark', 'Unavailable']],
  ])('%s', async (_name, text, live, expected) => {
    const { store } = await liar(lines(text))
    expect(await follow(store, live)).toEqual(expected)
  })

  it('that was read to its bookmark leaves its connection to others, also when the end comes a little later', async () => {
    const sockets = new Set<unknown>()
    const { store } = await liar((request, response) => {
      sockets.add(request.socket)
      response.writeHead(200, { 'content-type': 'application/x-ndjson' }).write(`${bookmark}\n`)
      setTimeout(() => response.end(), 20)
    })
    for (let round = 0; round < 5; round++) {
      expect(await follow(store, false)).toEqual(['bookmark'])
      await sleep(60)
    }
    expect(sockets.size).toBe(1)
  })

  it('that goes on behind its bookmark is given up, and nobody waits for that', async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>()
    const { store } = await liar((request, response) => {
      request.socket.once('close', resolve)
      response.writeHead(200, { 'content-type': 'application/x-ndjson' }).write(`${bookmark}\n`)
      const talk = setInterval(() => response.write('\n'), 10)
      response.once('close', () => clearInterval(talk))
    })
    const started = performance.now()
    expect(await follow(store, false)).toEqual(['bookmark'])
    expect(performance.now() - started).toBeLessThan(900)
    await gone
  })

  it('that is live and silent is dead; a sign of life now and then is enough', async () => {
    const waits = { feed: 200 }
    const dead = await liar(lines(`${bookmark}\n`, false), { waits })
    expect(await follow(dead.store, true)).toEqual(['bookmark', 'Unavailable'])
    let beats = 0
    const alive = await liar(
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/x-ndjson' })
        const beat = setInterval(() => {
          if (++beats < 8) response.write('\n')
          else {
            clearInterval(beat)
            response.end(`${put}\n`)
          }
        }, 60)
      },
      { waits },
    )
    expect(await follow(alive.store, true)).toEqual(['put', 'Unavailable'])
    expect(beats).toBe(8)
  })

  it('is ended by its signal, without an error', async () => {
    const { store } = await liar(lines(`${bookmark}\n`, false))
    const ending = new AbortController()
    const types: string[] = []
    for await (const { type } of store.changes({ live: true, signal: ending.signal })) {
      types.push(type)
      setTimeout(() => ending.abort(), 20)
    }
    expect(types).toEqual(['bookmark'])
  })
})

describe('connections', () => {
  it('are kept, and one that the server closed meanwhile is replaced without notice', async () => {
    const sockets = new Set<unknown>()
    const { store } = await liar((request, response, count) => {
      sockets.add(request.socket)
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(bucket))
      // The client learns of this only with its next request, or just before.
      if (count === 5) request.socket.destroySoon()
    })
    for (let round = 0; round < 10; round++) expect(await store.info()).toEqual(bucket)
    expect(sockets.size).toBeLessThanOrEqual(3)
  })

  it('are not used for what must not be sent twice', async () => {
    let made = 0
    const { buckets } = await liar((request) => {
      made++
      request.socket.destroy()
    })
    await expect(buckets.create('other')).rejects.toMatchObject({ code: 'Unavailable' })
    expect(made).toBe(1)
  })

  it('carry the token to their server and nowhere else', async () => {
    const seen: (string | undefined)[] = []
    const other = await liar((request, response) => {
      seen.push(request.headers.authorization)
      response.end()
    })
    const { store } = await liar((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(307, { location: `http://127.0.0.1:1${request.url}` }).end()
    })
    await expect(store.info()).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining('another address'),
    })
    expect(seen).toEqual(['Bearer t'])
    expect(other.asked).toEqual(['open'])
  })
})
