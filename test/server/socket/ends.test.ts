import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { openRecords } from '../../../src/access/records.ts'
import { openSystem } from '../../../src/access/system.ts'
import { openMemory } from '../../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../../src/platform/system.ts'
import { openBuckets } from '../../../src/store/buckets.ts'
import type { BlobStore } from '../../../src/store/contract/blob-store.ts'
import { ask, type Overrides, raw, type Running, running } from '../running.ts'
import { type Client, connect, dial, open, openRaw } from './client.ts'

const newRef = (): string => randomBytes(32).toString('hex')
const POLL = '/socket.io/?EIO=4&transport=polling'

async function atRef(at: Running, token?: string): Promise<Client & { readonly ref: string }> {
  const client = await connect(at.url, token ?? (await at.token({})))
  const ref = newRef()
  await client.ask('ref', ref)
  return Object.assign(client, { ref })
}
/** A server that commits nothing until `goOn`. */
async function stalled() {
  const place = openBuckets({ backend: openMemory(), clock, ids })
  const [begun, going] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const open = async (name: string): Promise<BlobStore> => {
    const store = await place.open(name)
    if (name !== 'team') return store
    const commit: BlobStore['commit'] = async (...what) => {
      begun.resolve()
      await going.promise
      return store.commit(...what)
    }
    return { ...store, commit }
  }
  const at = await running({ buckets: { ...place, open } })
  return { at, place, begun: begun.promise, goOn: going.resolve }
}
const withBounds = (bounds: Overrides['bounds']): Promise<Running> => running(bounds === undefined ? {} : { bounds })

describe('a connection ends', () => {
  it('with its token, so that the client comes again and is told why', async () => {
    await using at = await running()
    // A token ends at a whole second.
    const expires = Math.ceil(Date.now() / 1000) * 1000 + 1000
    using client = open(at.url, await at.token({ expires }), { reconnection: true })
    await new Promise((resolve) => client.socket.once('connect', () => resolve(undefined)))
    await client.ask('ref', newRef())
    const denied = new Promise<Error>((resolve) => client.socket.once('connect_error', resolve))
    expect(await client.ended).toBe('transport close')
    expect(Date.now()).toBeGreaterThanOrEqual(expires - 50)
    expect(Date.now()).toBeLessThan(expires + 1000)
    expect((await denied).message).toBe('Access denied')
  })

  it.each(['websocket', 'polling'] as const)(
    'over %s within a second after its token was revoked, and is told of nothing any more',
    async (transport) => {
      await using at = await running()
      const token = await at.token({})
      const { jti } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string }
      using writer = await atRef(at)
      using client = await connect(at.url, token, { transports: [transport] })
      await client.ask('ref', writer.ref)
      await writer.ask('set', { data: 'aGk=' })
      await client.changed(1)
      const system = await openSystem(at.buckets)
      const started = performance.now()
      await openRecords({ store: system, now: () => clock.now(), newId: () => ids.next() }).revoke([jti], '')
      expect(await client.ended).toBe('transport close')
      expect(performance.now() - started).toBeLessThan(1000)
      await writer.ask('set', { data: 'aGk=', version: 1 })
      expect(client.changes()).toBe(1)
      await expect(connect(at.url, token)).rejects.toThrow('Access denied')
      await system.close()
    },
  )

  it('when the server stops: what is under way is answered and kept, and the client comes again', async () => {
    const { at, place, begun, goOn } = await stalled()
    using client = await atRef(at)
    using poller = await connect(at.url, await at.token({}), { transports: ['polling'] })
    const answer = client.ask('set', { data: 'A'.repeat(900_000) })
    const later = client.ask('set', { data: 'aGk=', version: 1 }).catch((error: Error) => error.message)
    await begun
    const closed = at.server.close()
    // What has nothing under way ends at once.
    await poller.ended.finally(() => goOn())
    expect(await answer).toEqual([{ success: true, version: 1 }])
    expect(await later).toBe('disconnected: transport close')
    await closed
    const store = await place.open('team')
    expect(await store.head(client.ref)).toMatchObject({ size: 675_000, version: 1 })
    await store.close()
    expect(at.log.at(-1)).toContain('"stopped"')
    await at[Symbol.asyncDispose]()
  })

  it('when it does not say who it is', async () => {
    await using at = await withBounds({ headers: 300 })
    using silent = await openRaw(at.url)
    const started = performance.now()
    await silent.ended
    expect(performance.now() - started).toBeLessThan(2000)
  })

  it('when it says so twice', async () => {
    await using at = await running()
    const token = await at.token({})
    using twice = await openRaw(at.url)
    twice.send(`40${JSON.stringify({ token })}`)
    twice.send(`40${JSON.stringify({ token })}`)
    await twice.ended
  })
})

describe('there are at most so many', () => {
  it('connections of one token', async () => {
    await using at = await withBounds({ requestsPerToken: 2 })
    const token = await at.token({})
    using one = await connect(at.url, token)
    using two = await connect(at.url, token)
    using three = open(at.url, token)
    await new Promise((resolve) => three.socket.io.once('close', () => resolve(undefined)))
    expect(three.socket.connected).toBe(false)
    using other = await connect(at.url, await at.token({}))
    for (const client of [one, two, other]) await client.ask('now')
    one.socket.close()
    await expect.poll(() => connect(at.url, token).then((client) => client.socket.close().disconnected)).toBe(true)
  })

  it('bad tokens of one address, with those that it sends to /v1', async () => {
    await using at = await withBounds({ badTokens: 3 })
    for (let index = 0; index < 2; index++) await expect(connect(at.url, 'bad')).rejects.toThrow('Access denied')
    expect((await ask(at.url, '/v1/buckets', { token: 'bad' })).status).toBe(401)
    using late = open(at.url, 'bad')
    const told: string[] = []
    late.socket.on('connect_error', ({ message }) => told.push(message))
    await new Promise((resolve) => late.socket.io.once('close', () => resolve(undefined)))
    expect(told).toEqual([])
    using good = await connect(at.url, await at.token({}))
    await good.ask('now')
  })

  it('connections of one address, also of those who poll and hold no connection of their own', async () => {
    await using at = await withBounds({ connectionsPerAddress: 3 })
    for (let index = 0; index < 3; index++) expect((await ask(at.url, POLL)).status).toBe(200)
    expect(await ask(at.url, POLL)).toMatchObject({ status: 403, json: { message: 'too many connections' } })
    await expect(openRaw(at.url)).rejects.toThrow('no WebSocket')
    expect((await ask(at.url, '/live')).status).toBe(200)
    expect(at.log.some((line) => line.includes('"event":"full"'))).toBe(true)
  })

  it('events that wait for their answer', async () => {
    const { at, goOn } = await stalled()
    using client = await atRef(at)
    client.socket.emit('set', { data: 'aGk=' }, () => undefined)
    for (let index = 0; index < 256; index++) client.socket.emit('get', {}, () => undefined)
    expect(await client.ended).toBe('transport close')
    goOn()
    using polite = await atRef(at)
    const answers = await Promise.all(Array.from({ length: 200 }, () => polite.ask('get', {})))
    expect(answers).toEqual(Array.from({ length: 200 }, () => [null]))
    await at[Symbol.asyncDispose]()
  })

  it('packets at one go', async () => {
    await using at = await running()
    using client = await openRaw(at.url)
    client.send(`40${JSON.stringify({ token: await at.token({}) })}`)
    for (let index = 0; index < 2; index++) await client.next()
    for (let index = 0; index < 20_000; index++) client.send('42["no"]')
    await client.ended
  })

  it('bytes of packets that are not whole, over all connections', async () => {
    await using at = await withBounds({ bodies: 14_000_000, bodiesPerToken: 14_000_000 })
    const half = async () => {
      const one = await dial(at.url)
      one.send(`40${JSON.stringify({ token: await at.token({}) })}`)
      await one.said('40{"sid"')
      one.begin(900_000)
      one.stream.write(Buffer.alloc(800_000, 'x'))
      return one
    }
    const three = await Promise.all([half(), half(), half()])
    // Small ones need no room, and those of others come through.
    using small = await connect(at.url, await at.token({}))
    await expect
      .poll(
        async () => {
          const one = await half()
          const ended = await Promise.race([
            one.ended.then(() => true),
            new Promise((resolve) => setTimeout(resolve, 300)),
          ])
          one[Symbol.dispose]()
          return ended
        },
        { timeout: 20_000 },
      )
      .toBe(true)
    await small.ask('now')
    const { text } = await ask(at.url, POLL)
    const { sid } = JSON.parse(text.slice(1)) as { sid: string }
    const post = (): Promise<number> =>
      ask(at.url, `${POLL}&sid=${sid}`, { method: 'POST', body: `40${' '.repeat(900_000)}` }).then(
        ({ status }) => status,
      )
    expect(await post()).toBe(503)
    for (const one of three) one[Symbol.dispose]()
    await expect.poll(post, { timeout: 20_000 }).not.toBe(503)
    using large = await connect(at.url, await at.token({}))
    await large.ask('ref', newRef())
    expect(await large.ask('set', { data: 'A'.repeat(900_000) })).toEqual([{ success: true, version: 1 }])
  })

  it('bytes that are kept of who has shown no token', async () => {
    await using at = await running()
    using stranger = await dial(at.url)
    stranger.begin(900_000)
    stranger.stream.write(Buffer.alloc(200_000, 'x'))
    await stranger.ended
  })

  it('bytes in binary that are kept for a packet', async () => {
    await using at = await running()
    using raw = await openRaw(at.url)
    raw.send('459-["set"]')
    for (let index = 0; index < 3; index++) raw.send(new Uint8Array(30_000))
    await raw.ended
  })

  it('seconds for a client to take an answer', async () => {
    await using at = await withBounds({ unread: 500 })
    using client = await atRef(at)
    await client.ask('set', { data: 'A'.repeat(900_000) })
    using deaf = await dial(at.url)
    deaf.send(`40${JSON.stringify({ token: await at.token({}) })}`)
    await deaf.said('40{"sid"')
    deaf.stream.pause()
    deaf.send(`420["ref","${client.ref}"]`)
    for (let index = 1; index < 60; index++) deaf.send(`42${index}["get",{}]`)
    await expect.poll(() => at.log.filter((line) => line.includes('"disconnect"')).length, { timeout: 20_000 }).toBe(1)
    const answered = at.log.filter((line) => line.includes('"act":"get"')).length
    // The rest of the answers was never made: nothing piles up for who does not take it.
    expect(answered).toBeLessThan(30)
  })

  it('seconds for packets that come in a request', async () => {
    await using at = await withBounds({ bodyTotal: 300 })
    const { text } = await ask(at.url, POLL)
    const { sid } = JSON.parse(text.slice(1)) as { sid: string }
    const { socket, all } = await raw(at.url)
    socket.write(`POST ${POLL}&sid=${sid} HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n4`)
    const drip = setInterval(() => socket.write('0'), 100)
    await all
    clearInterval(drip)
  })
})

it('the log tells who did what, with the reason when it failed, and no token', async () => {
  await using at = await running()
  const token = await at.token({ name: 'anna' })
  using client = await atRef(at, token)
  await client.ask('set', { data: 'no' })
  client.socket.close()
  await expect.poll(() => at.log.join('')).toContain('"disconnect"')
  const told = at.log
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => event === 'socket')
  expect(told.map(({ act }) => act)).toEqual(['connect', 'ref', 'set', 'disconnect'])
  expect(told[2]).toMatchObject({
    ref: client.ref,
    bucket: 'team',
    from: '127.0.0.1',
    error: '"value" must be a valid base64 string',
  })
  expect(at.log.join('')).not.toContain(token)
})
