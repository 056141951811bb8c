import { get, type IncomingMessage } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { mintToken } from '../../src/access/tokens.ts'
import { ask, newId, type Overrides, type Running, running, SECRETS } from './running.ts'

let open: Running[] = []
afterEach(async () => {
  const all = open
  open = []
  for (const one of all) await one[Symbol.asyncDispose]()
})

async function start(
  overrides: Overrides = {},
): Promise<Running & { bearer: string; put: (key: string) => Promise<string> }> {
  const at = await running(overrides)
  open.push(at)
  await at.buckets.create('team')
  const bearer = await at.token({})
  const put = async (key: string) =>
    (await ask(at.url, `/v1/buckets/team/blobs/${key}`, { method: 'PUT', token: bearer, body: key })).json.position
  return { ...at, bearer, put }
}

/** A live feed that is read as it comes. */
async function follow(url: string, token: string, query: string, headers: Record<string, string> = {}) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = get(
      `${url}/v1/buckets/team/changes?${query}`,
      { agent: false, headers: { authorization: `Bearer ${token}`, ...headers } },
      resolve,
    )
    request.on('error', reject)
  })
  let text = ''
  let ended = false
  response.on('data', (piece: Buffer) => (text += piece.toString()))
  response.on('close', () => (ended = true))
  response.on('error', () => undefined)
  return {
    response,
    text: () => text,
    ended: () => ended,
    lines: () =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => (line === '' ? null : JSON.parse(line))),
    close: () => response.destroy(),
  }
}

const told = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('a change feed', () => {
  it('tells all in order with a bookmark, and goes on from any of its cursors', async () => {
    const at = await start()
    for (const key of ['a', 'b', 'c']) await at.put(key)
    const read = (since = '') => ask(at.url, `/v1/buckets/team/changes${since}`, { token: at.bearer })
    const all = await read()
    expect(all.headers['content-type']).toBe('application/x-ndjson')
    expect(told(all.text)).toMatchObject([
      { type: 'put', key: 'a', version: 1 },
      { type: 'put', key: 'b' },
      { type: 'put', key: 'c' },
      { type: 'bookmark' },
    ])
    const [a, , c, bookmark] = told(all.text) as { position: string; cursor: string }[]
    expect(c?.position).toBe(bookmark?.cursor)
    expect(told((await read(`?since=${a?.position}`)).text)).toMatchObject([{ key: 'b' }, { key: 'c' }, bookmark])
    expect(told((await read(`?since=${bookmark?.cursor}`)).text)).toEqual([bookmark])
  })

  it('refuses a cursor of another history, or none, before it says anything', async () => {
    const at = await start()
    const other = await start()
    const position = await at.put('a')
    await other.put('b')
    const forked = await ask(other.url, `/v1/buckets/team/changes?since=${position}&live=1`, { token: other.bearer })
    expect(forked).toMatchObject({ status: 409, json: { code: 'CursorForked' } })
    for (const query of ['since=nonsense', 'live=maybe', 'other=1', 'since=', 'since=a:b:c']) {
      const refused = await ask(at.url, `/v1/buckets/team/changes?${query}`, { token: at.bearer })
      expect(refused.status, query).toBeGreaterThanOrEqual(400)
      expect(refused.status, query).toBeLessThan(500)
    }
  })

  it('that is live tells what happens, at once, and pulses while nothing does', async () => {
    const at = await start({ bounds: { heartbeat: 60 } })
    await at.put('before')
    const feed = await follow(at.url, at.bearer, 'live=1')
    // On a busy machine it pulses before it is looked at.
    await expect.poll(() => feed.lines().slice(0, 2)).toMatchObject([{ key: 'before' }, { type: 'bookmark' }])
    await at.put('now')
    await expect.poll(() => feed.lines().filter((line) => line?.key === 'now')).toHaveLength(1)
    const before = feed.lines().length
    await expect.poll(() => feed.lines().length).toBeGreaterThan(before + 2)
    expect(feed.lines().at(-1)).toEqual({ type: 'bookmark', cursor: expect.any(String) })
    feed.close()
  })

  it('as server-sent events names bookmarks by id, and goes on after Last-Event-ID', async () => {
    const at = await start()
    await at.put('one')
    const feed = await follow(at.url, at.bearer, '', { accept: 'text/event-stream' })
    expect(feed.response.headers['content-type']).toBe('text/event-stream')
    await expect
      .poll(feed.text)
      .toMatch(/^event: put\ndata: \{.*"key":"one".*\}\n\nevent: bookmark\nid: (\S+)\ndata: \{.*"cursor":"\1"\}\n\n$/)
    const id = /id: (\S+)/.exec(feed.text())?.[1] ?? ''
    feed.close()
    await at.put('two')
    const next = await follow(at.url, at.bearer, '', { accept: 'text/event-stream', 'last-event-id': id })
    await expect.poll(next.text).toContain('"key":"two"')
    expect(next.text()).not.toContain('"key":"one"')
    next.close()
  })

  it('ends with its token, and says why', async () => {
    const at = await start()
    const now = Date.now()
    const token = await mintToken({ bucket: 'team', expires: now + 2000 }, SECRETS, { now, id: newId() })
    const feed = await follow(at.url, token, 'live=1')
    await expect.poll(feed.ended, { timeout: 5000 }).toBe(true)
    expect(feed.lines().at(-1)).toMatchObject({ type: 'problem', code: 'Unauthenticated', status: 401 })
    expect(Date.now()).toBeGreaterThanOrEqual(Math.floor((now + 2000) / 1000) * 1000)
  })

  it('ends when the server stops, and says so', async () => {
    const at = await start()
    const feed = await follow(at.url, at.bearer, 'live=1')
    await expect.poll(feed.lines).toHaveLength(1)
    await at.server.close()
    await expect.poll(feed.ended).toBe(true)
    expect(feed.lines().at(-1)).toMatchObject({ type: 'problem', code: 'Unavailable' })
  })

  it('to many readers at once, half of whom leave, misses nobody', async () => {
    const at = await start()
    const feeds = await Promise.all(Array.from({ length: 40 }, () => follow(at.url, at.bearer, 'live=1')))
    for (const feed of feeds.slice(20)) feed.close()
    for (let index = 0; index < 10; index++) await at.put(`k${index}`)
    for (const feed of feeds.slice(0, 20)) {
      await expect.poll(() => feed.lines().filter((line) => line?.type === 'put').length).toBe(10)
      feed.close()
    }
    await expect.poll(() => at.log.filter((line) => line.includes('/changes')).length).toBe(40)
  })
})
