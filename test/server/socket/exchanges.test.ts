import { createHmac, randomBytes } from 'node:crypto'
import { io } from 'socket.io-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificate } from '../certificate.ts'
import { ask as askHttp, type Running, running, SECRETS } from '../running.ts'
import { type Client, connect, openRaw } from './client.ts'

let at: Running
let token: string
beforeAll(async () => {
  at = await running({ on: 'disk', bounds: { badTokens: 1000 } })
  token = seedToken({ bucket: 'gestalt', iat: 1_700_000_000 })
})
afterAll(() => at[Symbol.asyncDispose]())

/** A token as the token script of seed 000 makes it. */
function seedToken(claims: object, secret = SECRETS.current): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

const newRef = (): string => randomBytes(32).toString('hex')
const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** Connected, and about a blob that nobody else uses. */
async function atRef(
  ref = newRef(),
  transport: 'websocket' | 'polling' = 'websocket',
): Promise<Client & { ref: string }> {
  const client = await connect(at.url, token, { transports: [transport] })
  expect(await client.ask('ref', ref)).toEqual([])
  return Object.assign(client, { ref })
}

describe('who comes in', () => {
  const inHour = Math.floor(Date.now() / 1000) + 3600
  it.each([
    ['as the token script makes it', () => seedToken({ bucket: 'gestalt', iat: 1 })],
    ['with an end that is far away', () => seedToken({ bucket: 'gestalt', exp: inHour })],
    ['whose bucket would be none here', () => seedToken({ bucket: 'Gestalt Böard/2', iat: 1 })],
    ['made by blobs', () => at.token({ bucket: 'gestalt', name: 'anna' })],
  ])('a token %s', async (_name, make) => {
    using client = await connect(at.url, await make())
    const before = Date.now()
    const [{ timestamp }] = (await client.ask('now')) as [{ timestamp: number }]
    expect(timestamp).toBeGreaterThanOrEqual(before)
    expect(timestamp).toBeLessThanOrEqual(Date.now())
  })

  it.each([
    ['none', () => undefined],
    ['null', () => null],
    ['no text', () => ({ bucket: 'gestalt' })],
    ['no token', () => 'gestalt'],
    ['one of another secret', () => seedToken({ bucket: 'gestalt' }, 'another')],
    ['one that has ended', () => seedToken({ bucket: 'gestalt', exp: 1_700_000_000 })],
    ['one without a bucket', () => seedToken({ iat: 1 })],
    ['one whose bucket is no text', () => seedToken({ bucket: { toString: 1 } })],
    ['one for all buckets', () => at.token({ bucket: '*' })],
    ['one that nobody signed', () => seedToken({ bucket: 'gestalt' }).replace(/[^.]*$/, '')],
  ])('not with %s', async (_name, make) => {
    await expect(connect(at.url, await make())).rejects.toThrow(/^Access denied$/)
    await expect(connect(at.url, await make(), { transports: ['polling'] })).rejects.toThrow(/^Access denied$/)
  })

  it('two buckets whose names are none here stay two', async () => {
    const ref = newRef()
    using one = await connect(at.url, seedToken({ bucket: 'My Board' }))
    using other = await connect(at.url, seedToken({ bucket: 'my board' }))
    for (const client of [one, other]) await client.ask('ref', ref)
    expect(await one.ask('set', { data: 'aGk=' })).toEqual([{ success: true, version: 1 }])
    expect(await other.ask('get', {})).toEqual([null])
    const names = []
    for await (const { name } of at.buckets.list()) names.push(name)
    expect(names).toContainEqual(expect.stringMatching(/^my-board-[0-9a-f]{16}$/))
  })

  it('a token of blobs is one that the server of seed 000 accepts: HS256 by the secret, with its bucket', async () => {
    const made = await at.token({ bucket: 'gestalt', can: ['read'], expires: Date.now() + 3_600_000 })
    const [head = '', claims = '', signature] = made.split('.')
    const json = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString())
    expect(json(head)).toMatchObject({ alg: 'HS256', typ: 'JWT' })
    expect(json(claims)).toMatchObject({ bucket: 'gestalt', iat: expect.any(Number), exp: expect.any(Number) })
    expect(json(claims)).not.toHaveProperty('nbf')
    const signed = createHmac('sha256', SECRETS.current).update(`${head}.${claims}`).digest('base64url')
    expect(signature).toBe(signed)
  })
})

describe.each(['websocket', 'polling'] as const)('over %s', (transport) => {
  it('a blob is made, read, known and replaced', async () => {
    using client = await atRef(newRef(), transport)
    expect(await client.ask('get', {})).toEqual([null])
    expect(await client.ask('set', { data: base64('one') })).toEqual([{ success: true, version: 1 }])
    expect(await client.ask('get', {})).toEqual([{ data: base64('one'), version: 1 }])
    expect(await client.ask('get', { known: 1 })).toEqual([{ version: 1 }])
    expect(await client.ask('get', { known: 7 })).toEqual([{ data: base64('one'), version: 1 }])
    expect(await client.ask('set', { data: base64('two'), version: 1 })).toEqual([{ success: true, version: 2 }])
    expect(await client.ask('get', { known: 1 })).toEqual([{ data: base64('two'), version: 2 }])
  })

  it('who replaces what he has not seen is told what stands there', async () => {
    using client = await atRef(newRef(), transport)
    await client.ask('set', { data: base64('one'), version: 5 })
    await client.ask('set', { data: base64('two'), version: 1 })
    const stands = [{ success: false, data: base64('two'), version: 2 }]
    for (const version of [undefined, 1, 3, '2', 2e9]) {
      expect(await client.ask('set', { data: base64('three'), version })).toEqual(stands)
    }
  })

  it('five versions are told five times to all others, never to who made them, and without a word', async () => {
    using writer = await atRef(newRef(), transport)
    using other = await atRef(writer.ref, transport)
    using third = await atRef(writer.ref, 'websocket')
    using elsewhere = await atRef(newRef(), transport)
    for (const version of [undefined, 1, 2, 3, 4]) await writer.ask('set', { data: 'aGk=', version })
    await Promise.all([other.changed(5), third.changed(5)])
    await writer.ask('now')
    expect([writer.changes(), other.changes(), third.changes(), elsewhere.changes()]).toEqual([0, 5, 5, 0])
  })

  it('of eight who write at the same time one wins, first and later', async () => {
    const ref = newRef()
    const clients = await Promise.all(Array.from({ length: 8 }, () => atRef(ref, transport)))
    for (const version of [undefined, 1, 2]) {
      const answers = await Promise.all(
        clients.map((client, index) => client.ask('set', { data: base64(`${index}`), version })),
      )
      const wins = answers.flat().filter((answer) => (answer as { success: boolean }).success)
      expect(wins).toEqual([{ success: true, version: (version ?? 0) + 1 }])
      const [told] = (await clients[0]?.ask('get', {})) ?? []
      for (const answer of answers.flat())
        if (answer !== wins[0]) expect(answer).toEqual({ success: false, ...(told as object) })
    }
    for (const client of clients) client[Symbol.dispose]()
  })
})

describe('a ref', () => {
  it('is one at a time: another replaces it, null is none', async () => {
    using client = await atRef()
    using other = await atRef(client.ref)
    await client.ask('set', { data: 'aGk=' })
    await other.changed(1)
    await other.ask('ref', newRef())
    expect(await other.ask('get', {})).toEqual([null])
    await client.ask('set', { data: 'aGk=', version: 1 })
    await other.ask('ref', client.ref)
    await client.ask('set', { data: 'aGk=', version: 2 })
    await other.changed(2)
    for (const none of [null, undefined]) {
      expect(await other.ask('ref', none)).toEqual([])
      expect(await other.ask('get', {})).toEqual([{ error: 'Reference is not provided' }])
    }
    await client.ask('set', { data: 'aGk=', version: 3 })
    await client.ask('now')
    expect(other.changes()).toBe(2)
  })

  it('in upper case is another blob', async () => {
    using client = await atRef('ab'.repeat(32))
    await client.ask('set', { data: 'aGk=' })
    await client.ask('ref', 'AB'.repeat(32))
    expect(await client.ask('get', {})).toEqual([null])
  })

  const wrong: readonly (readonly [unknown, string])[] = [
    ['', 'is not allowed to be empty'],
    ['ab', 'length must be 64 characters long'],
    ['a'.repeat(65), 'length must be 64 characters long'],
    ['xyz', 'must only contain hexadecimal characters'],
    [` ${'a'.repeat(63)}`, 'must only contain hexadecimal characters'],
    ['é'.repeat(64), 'must only contain hexadecimal characters'],
    ...[5, true, {}, [], ['a'.repeat(64)]].map((value) => [value, 'must be a string'] as const),
  ]
  it.each(wrong)('that is %j is refused, and the one before stays', async (value, problem) => {
    using client = await atRef()
    await client.ask('set', { data: 'aGk=' })
    expect(await client.ask('ref', value)).toEqual([{ error: `"value" ${problem}` }])
    expect(await client.ask('get', {})).toEqual([{ data: 'aGk=', version: 1 }])
  })
})

describe('what is wrong is told, in the words that clients know', () => {
  const number = (value: unknown, problem: string | null): readonly [unknown, string | null] => [value, problem]
  const versions = [
    ...[null, '', ' ', true, {}, [1], 'abc', '0x10', 'NaN', 'Infinity'].map((value) =>
      number(value, 'must be a number'),
    ),
    ...[0, -1, '0', '-5'].map((value) => number(value, 'must be greater than or equal to 1')),
    ...[1.5, 0.5, '1.5', '.5', '1e-3'].map((value) => number(value, 'must be an integer')),
    ...[2 ** 53, -(2 ** 53), '9007199254740993', '1e400'].map((value) => number(value, 'must be a safe number')),
    ...['5', ' 5 ', '+5', '05', '5.', '1e3', 7].map((value) => number(value, null)),
  ]
  it.each(versions)('the version %j', async (value, problem) => {
    using client = await atRef()
    await client.ask('set', { data: 'aGk=' })
    const error = [{ error: `"value" ${problem}` }]
    expect(await client.ask('get', { known: value })).toEqual(problem === null ? [{ data: 'aGk=', version: 1 }] : error)
    const conflict = [{ success: false, data: 'aGk=', version: 1 }]
    expect(await client.ask('set', { data: 'aGk=', version: value })).toEqual(problem === null ? conflict : error)
  })

  it('a version without end', async () => {
    using raw = await openRaw(at.url)
    raw.send(`40${JSON.stringify({ token })}`)
    for (let index = 0; index < 2; index++) await raw.next()
    raw.send(`420["ref","${newRef()}"]`)
    await raw.next()
    raw.send('421["get",{"known":1e999}]')
    expect(await raw.next()).toBe('431[{"error":"\\"value\\" cannot be infinity"}]')
  })

  const data: readonly (readonly [unknown, string])[] = [
    ...[null, 5, {}, ['aGk='], true].map((value) => [value, 'must be a string'] as const),
    ['', 'is not allowed to be empty'],
    ...['aGk', 'a-_=', 'aGk=\n', ' aGk=', '====', 'A', '!!!!'].map(
      (value) => [value, 'must be a valid base64 string'] as const,
    ),
  ]
  it.each(data)('the data %j', async (value, problem) => {
    using client = await atRef()
    expect(await client.ask('set', { data: value })).toEqual([{ error: `"value" ${problem}` }])
    expect(await client.ask('get', {})).toEqual([null])
  })

  it('data as bytes', async () => {
    using client = await atRef()
    expect(await client.ask('set', { data: Buffer.from('hi') })).toEqual([{ error: '"value" must be a string' }])
  })

  it.each([null, 5, 'text', true, [], [{ data: 'aGk=' }]])(
    '%j instead of an object, which ended the process of seed 000',
    async (value) => {
      using client = await atRef()
      for (const event of ['get', 'set']) {
        expect(await client.ask(event, value)).toEqual([{ error: '"value" must be of type object' }])
      }
      expect(await client.ask('get', {})).toEqual([null])
    },
  )

  it.each(['get', 'set'])('%s without a ref', async (event) => {
    using client = await connect(at.url, token)
    expect(await client.ask(event, {})).toEqual([{ error: 'Reference is not provided' }])
  })

  it('who cannot be answered is disconnected', async () => {
    const impossible: readonly (readonly unknown[])[] = [
      ['now'],
      ['now', {}],
      ['ref'],
      ['ref', null],
      ['get'],
      ['get', {}],
      ['get', null],
      ['set', { data: 'aGk=' }],
      ['set', {}, {}],
    ]
    for (const [event = '', ...values] of impossible) {
      using client = await atRef()
      client.socket.emit(event as string, ...values)
      expect(await client.ended).toBe('io server disconnect')
    }
  })

  it('an event that nobody knows is not answered', async () => {
    using client = await atRef()
    let answered = false
    client.socket.emit('list', {}, () => (answered = true))
    client.socket.emit('constructor', () => (answered = true))
    client.socket.emit('__proto__', () => (answered = true))
    await client.ask('now')
    expect(answered).toBe(false)
  })
})

describe('a blob', () => {
  it('without data has a version', async () => {
    using client = await atRef()
    expect(await client.ask('set', {})).toEqual([{ success: true, version: 1 }])
    expect(await client.ask('get', {})).toEqual([{ version: 1 }])
    expect(await client.ask('set', { data: 'aGk=' })).toEqual([{ success: false, version: 1 }])
  })

  it('may be as large as a packet, which ends the connection when it is larger', async () => {
    using client = await atRef()
    const data = 'A'.repeat(999_972)
    expect(await client.ask('set', { data })).toEqual([{ success: true, version: 1 }])
    expect(await client.ask('get', {})).toEqual([{ data, version: 1 }])
    client.socket.emit('set', { data: 'A'.repeat(1_000_000) }, () => undefined)
    expect(await client.ended).toBe('transport close')
    using again = await atRef(client.ref)
    expect(await again.ask('get', { known: 1 })).toEqual([{ version: 1 }])
  })
})

describe('on the wire', () => {
  it('every frame is as seed 000 sends it', async () => {
    using raw = await openRaw(at.url)
    const hello = JSON.parse((await raw.next()).slice(1)) as unknown
    expect(hello).toEqual({
      sid: expect.any(String),
      upgrades: [],
      pingInterval: 25_000,
      pingTimeout: 20_000,
      maxPayload: 1_000_000,
    })
    raw.send(`40${JSON.stringify({ token })}`)
    expect(await raw.next()).toMatch(/^40\{"sid":"[^"]+"\}$/)
    const ref = newRef()
    const exchange = async (sent: string, answer: string | RegExp): Promise<void> => {
      raw.send(sent)
      if (typeof answer === 'string') expect(await raw.next()).toBe(answer)
      else expect(await raw.next()).toMatch(answer)
    }
    await exchange('420["now"]', /^430\[\{"timestamp":\d{13}\}\]$/)
    await exchange(`421["ref","${ref}"]`, '431[]')
    await exchange('422["get",{}]', '432[null]')
    await exchange('423["set",{"data":"aGk="}]', '433[{"success":true,"version":1}]')
    await exchange('424["get",{"known":1}]', '434[{"version":1}]')
    await exchange('425["get",{}]', '435[{"data":"aGk=","version":1}]')
    await exchange('426["set",{"data":"aGk="}]', '436[{"success":false,"data":"aGk=","version":1}]')
    using other = await atRef(ref)
    await other.ask('set', { data: 'aG8=', version: 1 })
    expect(await raw.next()).toBe('42["changed"]')
  })

  it('a bad token is denied by a frame', async () => {
    using raw = await openRaw(at.url)
    await raw.next()
    raw.send('40{"token":"no"}')
    expect(await raw.next()).toBe('44{"message":"Access denied"}')
    using none = await openRaw(at.url)
    await none.next()
    none.send('40')
    expect(await none.next()).toBe('44{"message":"Access denied"}')
  })

  it('any origin may come, and is told so', async () => {
    const path = '/socket.io/?EIO=4&transport=polling'
    const reply = await askHttp(at.url, path, { headers: { origin: 'https://app.example' } })
    expect(reply.status).toBe(200)
    expect(reply.headers['access-control-allow-origin']).toBe('https://app.example')
    expect(reply.headers['x-request-id']).toMatch(/^[0-9a-f]{16}$/)
    const before = await askHttp(at.url, path, { method: 'OPTIONS', headers: { origin: 'https://app.example' } })
    expect([before.status, before.headers['access-control-allow-origin']]).toEqual([204, 'https://app.example'])
  })

  it('works over TLS', async () => {
    await using secure = await running({ tls: await makeCertificate() })
    const options = { auth: { token: await secure.token({}) }, rejectUnauthorized: false, forceNew: true }
    for (const transport of ['websocket', 'polling']) {
      const socket = io(secure.url, { ...options, transports: [transport] })
      expect(await socket.timeout(5000).emitWithAck('now')).toEqual({ timestamp: expect.any(Number) })
      socket.close()
    }
  })

  it('what is no request of it is refused, and what else wants to be upgraded is answered as if it did not', async () => {
    for (const [query, code] of [
      ['', 0],
      ['?EIO=4&transport=no', 0],
      ['?EIO=4&transport=polling&sid=no', 1],
      ['?EIO=2&transport=polling', 5],
    ]) {
      expect(await askHttp(at.url, `/socket.io/${query}`)).toMatchObject({ status: 400, json: { code } })
    }
    const headers = { connection: 'upgrade', upgrade: 'websocket' }
    expect(await askHttp(at.url, '/live', { headers })).toMatchObject({ status: 200, json: { live: true } })
    expect((await askHttp(at.url, '/v1/buckets', { headers })).status).toBe(401)
  })
})
