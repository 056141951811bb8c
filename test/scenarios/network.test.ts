/** Servers and networks that answer wrongly, over real HTTP where that matters. */
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../src/platform/system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { retrying } from '../../src/store/retry.ts'
import { changed, openWorld, settle, type Folder, type World } from '../sync/world.ts'
import { until } from './between.ts'
import { interposed, type Interposer } from './interposer.ts'

let world: World
let a: Folder
let b: Folder
let between: Interposer
const wrap = (): BlobStore => between.store
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a', { wrap })
  b = await world.folder('b', { wrap })
  between = await interposed()
})
afterEach(async () => {
  await world.close()
  await between.close()
})

const isRead = (method = '', url = ''): boolean =>
  method === 'GET' ? /\/blobs\/./.test(url) : method === 'POST' && url.endsWith('/fetch')
const page = '<html><h1>Maintenance</h1></html>'
const bytes = (response: ServerResponse, status: number, type: string, body: string): void =>
  void response.writeHead(status, { 'content-type': type }).end(body)

test.each<[string, (response: ServerResponse) => void]>([
  ['200 and a page', (response) => bytes(response, 200, 'text/html', page)],
  ['502 and a page', (response) => bytes(response, 502, 'text/html', page)],
  ['200 and too few bytes', (response) => bytes(response, 200, 'application/octet-stream', 'x')],
  ['206 of something else', (response) => bytes(response, 206, 'application/octet-stream', page)],
])('S6 %s in the place of a file is never written into it', async (_, answer) => {
  a.write('small', 'old')
  a.write('large', 'x'.repeat(1_500_000))
  await settle(a, b)
  a.write('small', 'new')
  a.write('large', 'y'.repeat(1_500_000))
  await a.sync()
  between.answer = (request, response) => {
    if (!isRead(request.method, request.url)) return false
    request.resume()
    answer(response)
    return true
  }
  const before = b.tree()
  await b.sync().catch(() => undefined)
  expect(b.tree()).toEqual(before)
  between.answer = () => false
  await settle(a, b)
  expect(b.tree()).toEqual(a.tree())
})

test.each([
  ['whose connection is cut', false],
  ['that ends too soon', true],
])('S7 an upload %s half way is sent whole the next time', async (_, ends) => {
  const content = randomBytes(400_000)
  writeFileSync(join(a.root, 'doc'), content)
  let cuts = 0
  between.answer = (request, response) => {
    if (!request.url?.endsWith('/chunks') || cuts > 0) return false
    let taken = 0
    request.on('data', (piece: Buffer) => {
      taken += piece.length
      if (taken < 100_000 || cuts > 0) return
      cuts++
      if (ends) response.writeHead(503, { connection: 'close' }).end()
      else request.socket.destroy()
    })
    return true
  }
  await a.sync().catch(() => undefined)
  expect(cuts).toBe(1)
  await settle(a, b)
  expect(readFileSync(join(b.root, 'doc')).equals(content)).toBe(true)
  expect(await between.behind.head('doc')).toMatchObject({ version: 1, size: 400_000 })
})

test('S12 a listing that breaks off in its middle, is an error, or a bare [], deletes nothing', async () => {
  for (let n = 0; n < 30; n++) a.write(`file-${n}`, `${n}`)
  await settle(a, b)
  const answers: ((response: ServerResponse) => void)[] = [
    (response) => bytes(response, 200, 'application/json', '[]'),
    (response) => bytes(response, 200, 'application/json', '{}'),
    (response) => bytes(response, 500, 'application/problem+json', '{}'),
    (response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write('{"items":[{"key":"file-1",')
      setTimeout(() => response.destroy(), 20)
    },
  ]
  for (const answer of answers) {
    between.answer = (request, response) => {
      if (/\/changes/.test(request.url ?? '')) {
        bytes(response, 410, 'application/problem+json', JSON.stringify({ code: 'CursorExpired', detail: 'too old' }))
        return true
      }
      if (!/\/blobs(\?|$)/.test(request.url ?? '')) return false
      answer(response)
      return true
    }
    await expect(b.sync({ wrap, maxDelete: { percent: 100 } })).rejects.toThrow()
    expect(Object.keys(b.tree())).toHaveLength(30)
  }
  between.answer = () => false
  expect(changed(await b.sync())).toBe(0)
})

test('S16 chunks in another order, of the right size in all, never get the name', async () => {
  const [one, two] = [randomBytes(1_100_000), randomBytes(1_100_000)]
  writeFileSync(join(a.root, 'doc'), one)
  await settle(a, b)
  writeFileSync(join(a.root, 'doc'), two)
  await a.sync()
  const permuted = (store: BlobStore): BlobStore => ({
    ...store,
    get: async (key, options) => {
      const blob = await store.get(key, options)
      if (blob === null) return null
      const turned = async function* (): AsyncGenerator<Uint8Array, void> {
        const pieces: Uint8Array[] = []
        for await (const piece of blob.stream) pieces.push(piece)
        const all = Buffer.concat(pieces)
        yield all.subarray(500_000)
        yield all.subarray(0, 500_000)
      }
      return { ...blob, stream: turned() }
    },
  })
  const summary = await b.sync({ wrap: () => permuted(between.store) })
  expect(summary.failed).toMatchObject([{ path: 'doc', code: 'download-failed' }])
  expect(readFileSync(join(b.root, 'doc')).equals(one)).toBe(true)
  expect(changed(await a.sync())).toBe(0)
  await settle(a, b)
  expect(readFileSync(join(b.root, 'doc')).equals(two)).toBe(true)
})

test.each([429, 503])('D12 %i with Retry-After is waited out, and others go on meanwhile', async (status) => {
  let refused = 0
  between.answer = (request, response) => {
    if (!request.url?.endsWith('/commit') || refused > 0) return false
    refused++
    request.resume()
    response.writeHead(status, { 'retry-after': '2', 'content-type': 'application/problem+json' }).end('{}')
    return true
  }
  a.write('doc', 'doc')
  b.write('other', 'other')
  const patient = retrying(between.store, { clock: systemClock, chance: () => 0 })
  const first = a.sync({ wrap: () => patient })
  await until(() => refused > 0)
  expect(await b.sync()).toMatchObject({ uploaded: 1 })
  expect(await first).toMatchObject({ uploaded: 1 })
  const commits = between.requests.filter(({ line }) => line.endsWith('/commit')).map(({ at }) => at)
  expect((commits.at(-1) ?? 0) - (commits[0] ?? 0)).toBeGreaterThan(1_950)
})
