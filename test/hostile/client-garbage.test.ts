import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/content/hash.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import { collect } from '../content/collect.ts'
import { newId } from '../server/running.ts'
import { useScene } from './scene.ts'

/** What listens where a server should be, and does not speak as one. Every call of a client comes to an end, with an error that it knows. */

const scene = useScene()
const WAITS = { connect: 300, answer: 300, silence: 300, feed: 300, grace: 300 }

/** Answers each request but the first, with which a client looks for its bucket, byte by byte as the test says. */
async function listening(answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  let first = true
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', () => {
      if (!first) return answer(socket)
      first = false
      socket.write(json('{}'))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  scene.after(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const bytes = Buffer.from('bytes')
const hash = sha256(bytes)
function must<T>(value: T | null): T {
  if (value === null) throw new Error('it took it for nothing')
  return value
}
const calls: readonly (readonly [string, (store: BlobStore) => Promise<unknown>])[] = [
  ['info', (store) => store.info()],
  ['list', (store) => store.list()],
  ['head', (store) => store.head('k')],
  ['get', async (store) => collect(must(await store.get('k')).stream)],
  ['commit', (store) => store.commit([{ id: newId(), changes: [{ type: 'delete', key: 'k', expect: 'any' }] }])],
  ['changes', (store) => collect(store.changes({}))],
  ['live changes', (store) => collect(store.changes({ live: true }))],
  ['missing', (store) => store.missing([hash])],
  ['stage', (store) => store.stage([{ hash, bytes }])],
  ['fetch', (store) => collect(store.fetch([{ key: 'k', version: 1 }]))],
  ['chunks of', async (store) => collect(must(await store.chunksOf('k', 1)))],
]

/** Each call fails as it does when there is no server, and soon. */
async function checkCalls(origin: string): Promise<void> {
  const store = await scene.store({ origin, waits: WAITS })
  await Promise.all(
    calls.map(async ([name, call]) => {
      const started = performance.now()
      const error: unknown = await call(store).then(
        (value) => new Error(`${name} took it for ${JSON.stringify(value)}`),
        (failure: unknown) => failure,
      )
      expect(isBlobsError(error, 'Unavailable'), `${name}: ${String((error as Error).stack)}`).toBe(true)
      expect(performance.now() - started, name).toBeLessThan(8000)
    }),
  )
}

const json = (text: string, more = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${more}content-length: ${text.length}\r\n\r\n${text}`

describe('what is no answer is taken for a server that cannot be reached', () => {
  it.each<[string, (socket: Socket) => void]>([
    ['nothing, and the end', (socket) => socket.end()],
    ['a reset', (socket) => socket.resetAndDestroy()],
    ['noise', (socket) => socket.write(Buffer.from(Array.from({ length: 4096 }, (_, at) => (at * 197) % 256)))],
    ['another protocol', (socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n')],
    ['bytes without a head', (socket) => socket.end('{"items":[],"complete":true}')],
    ['half a head, and the end', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-type: appl')],
    ['half a head, and silence', (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-type: appl')],
    ['a head, and silence', (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n')],
    ['a status that is none', (socket) => socket.write('HTTP/1.1 999999 OK\r\ncontent-length: 0\r\n\r\n')],
    ['an upgrade', (socket) => socket.write('HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n')],
    ['no content', (socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n')],
    ['partial content of nothing', (socket) => socket.write('HTTP/1.1 206 OK\r\ncontent-length: 0\r\n\r\n')],
    ['another length', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{}')],
    ['two lengths', (socket) => socket.write(json('{}', 'content-length: 7\r\n'))],
    ['a length and chunks', (socket) => socket.write(json('{}', 'transfer-encoding: chunked\r\n'))],
    [
      'chunks that are none',
      (socket) => socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nxx\r\n'),
    ],
    [
      'a chunk without end',
      (socket) => socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nxx'),
    ],
    ['a head without end', (socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(1_000_000)}`)],
    ['ten thousand headers', (socket) => socket.write(json('{}', 'x: y\r\n'.repeat(50_000)))],
    ['a header of half signs', (socket) => socket.write(json('{}', 'x\0y: \x80\xff\r\n'))],
    ['two answers', (socket) => socket.write(json('{}') + json('{}'))],
    ['JSON of another kind', (socket) => socket.write(json('[1,null,"x"]'))],
    ['JSON that is cut', (socket) => socket.write(json('{"items":['))],
    ['a number', (socket) => socket.write(json('1e999'))],
    [
      'a prototype',
      (socket) => socket.write(json('{"__proto__":{"items":[],"prefixes":[],"complete":true,"cursor":"c"}}')),
    ],
  ])('%s', async (_name, answer) => {
    await checkCalls(await listening(answer))
    expect(({} as { items?: unknown }).items).toBeUndefined()
  })

  it('and so is one who takes connections and says nothing', async () => {
    await checkCalls(await listening(() => undefined))
  })
})
