import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Liar } from './liar.ts'
import { useScene } from './scene.ts'

const scene = useScene()

describe('an answer that never comes to an end', () => {
  const waits = { answer: 300, silence: 300, feed: 300, grace: 400 }
  /** Says something all the time, and nothing. */
  const drip = (response: ServerResponse | IncomingMessage['socket'], text: string): void => {
    const timer = setInterval(() => void response.write(text), 20)
    response.on('close', () => clearInterval(timer))
    response.on('error', () => undefined)
  }
  it.each<[string, Liar['lie']]>([
    [
      'one of drops',
      (_asked, response) => (
        response.writeHead(200, { 'content-type': 'application/json' }),
        drip(response, ' '),
        true
      ),
    ],
    ['one of headers', ({ socket }) => (socket.write('HTTP/1.1 200 OK\r\nx: '), drip(socket, 'x'), true)],
    ['one of announcements', ({ socket }) => (drip(socket, 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'), true)],
    [
      'a failure of drops',
      (_asked, response) => (
        response.writeHead(500, { 'content-type': 'application/problem+json' }),
        drip(response, ' '),
        true
      ),
    ],
    [
      'a redirection of drops',
      (_asked, response) => (response.writeHead(302, { location: '/' }), drip(response, ' '), true),
    ],
  ])('is given up: %s', async (_name, lie) => {
    const store = await scene.store({ waits })
    scene.liar.lie = lie
    const started = performance.now()
    await expect(store.list()).rejects.toMatchObject({ code: 'Unavailable' })
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it('is given up: one that is far too large, or takes long to read', async () => {
    const store = await scene.store()
    for (const text of [
      '['.repeat(40 * 2 ** 20),
      `{"items":[${'{},'.repeat(3 * 2 ** 20)}{}]}`,
      ' '.repeat(70 * 2 ** 20),
    ]) {
      scene.liar.lie = (_asked, response) => {
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(text)
        return true
      }
      const started = performance.now()
      await expect(store.list()).rejects.toMatchObject({ code: 'Unavailable' })
      expect(performance.now() - started).toBeLessThan(5000)
    }
  })

  it('is not unpacked', async () => {
    const store = await scene.store()
    const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20))
    const info = scene.liar.set('k', Buffer.alloc(64 * 2 ** 20))
    scene.liar.lie = ({ route }, response) => {
      if (route !== 'blobs' && route !== 'blob') return false
      const type = route === 'blobs' ? 'application/json' : 'text/plain'
      response.writeHead(200, {
        'content-type': type,
        'content-encoding': 'gzip',
        etag: `"1-${info.entry.slice(0, 16)}"`,
      })
      response.end(bomb)
      return true
    }
    await expect(store.list()).rejects.toMatchObject({ code: 'Unavailable' })
    await expect(store.get('k')).rejects.toMatchObject({ code: 'Unavailable' })
  })

  it('and a wait that it asks for has an end', async () => {
    const store = await scene.store()
    for (const [headers, body] of [
      [{ 'retry-after': '999999' }, {}],
      [{}, { retryAfter: 2 ** 50 }],
    ] as const) {
      scene.liar.lie = (_asked, response) => {
        response.writeHead(503, { 'content-type': 'application/problem+json', ...headers })
        response.end(JSON.stringify({ type: 'x', title: 'x', status: 503, code: 'Unavailable', detail: 'x', ...body }))
        return true
      }
      const error: unknown = await store.list().catch((caught: unknown) => caught)
      expect((error as { retryAfter: number }).retryAfter).toBeLessThanOrEqual(300_000)
    }
  })
})
