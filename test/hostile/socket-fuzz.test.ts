import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask as askHttp, type Running, running } from '../server/running.ts'
import { type Client, connect, openRaw, type Raw } from '../server/socket/client.ts'

/** Blobs of others, in another bucket and beside what the attacker's token reaches. */
const CANARY = Buffer.from('a canary that nobody else may see, of some length')
const canaries = [CANARY.toString('base64'), CANARY.toString('utf8')]
const [MINE, THEIRS] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
const RUNS = Number(process.env['BLOBS_FUZZ_RUNS'] ?? 60)
const LIMIT = Math.max(60_000, RUNS * 500)

let at: Running
let tokens: readonly string[]
/** Somebody who works while all this happens. */
let honest: Client
let version = 1
const failures: unknown[] = []
const note = (error: unknown): void => void failures.push(error)

beforeAll(async () => {
  at = await running({ on: 'disk', bounds: { headers: 2000 } })
  process.on('unhandledRejection', note)
  process.on('uncaughtExceptionMonitor', note)
  const root = await at.token({ bucket: '*', can: ['read', 'write', 'delete', 'admin'] })
  for (const bucket of ['team', 'other']) {
    await at.buckets.create(bucket)
    for (const key of [THEIRS, ...(bucket === 'other' ? [MINE] : [])]) {
      await askHttp(at.url, `/v1/buckets/${bucket}/blobs/${key}`, { method: 'PUT', token: root, body: CANARY })
    }
  }
  tokens = [await at.token({ prefixes: [MINE] }), await at.token({ prefixes: [MINE], can: ['write'] })]
  honest = await connect(at.url, await at.token({ bucket: 'honest' }))
  await honest.ask('ref', 'a'.repeat(64))
  await honest.ask('set', { data: 'aGk=' })
})
afterAll(async () => {
  honest.socket.close()
  process.off('unhandledRejection', note)
  process.off('uncaughtExceptionMonitor', note)
  await at[Symbol.asyncDispose]()
})

/** The honest one is served, what is out of reach is as it was, the log has a cause for each failure of the server, and no token. */
async function checkAll(frames: readonly string[]): Promise<void> {
  for (const frame of frames) for (const canary of canaries) expect(frame).not.toContain(canary)
  expect(failures).toEqual([])
  expect(await honest.ask('set', { data: 'aGk=', version })).toEqual([{ success: true, version: ++version }])
  expect(honest.changes()).toBe(0)
  for (const line of at.log) {
    for (const token of tokens) expect(line).not.toContain(token)
    expect(line).not.toMatch(/Maximum call stack|Error:/)
  }
  for (const bucket of ['team', 'other']) {
    const token = await at.token({ bucket })
    const reply = await askHttp(at.url, `/v1/buckets/${bucket}/blobs/${THEIRS}`, { token })
    expect([reply.headers['x-blobs-version'], reply.text]).toEqual(['1', CANARY.toString()])
  }
  at.log.splice(0)
}

const REFS = fc.constantFrom(MINE, THEIRS, MINE.toUpperCase(), `${MINE}/`, `../other/${THEIRS}`, THEIRS.slice(1), null)
const hollow = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth))
/** Values that are not what was asked for. */
const odd = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    null,
    undefined,
    -0,
    0,
    2 ** 53,
    1e308,
    '',
    '1',
    ' ',
    '\0',
    '\ud800',
    'aGk=',
    'A'.repeat(100_000),
    [],
    {},
    [null],
    hollow(2000),
    { _placeholder: true, num: 0 },
    { _placeholder: true, num: 99 },
    { known: null, data: null, version: null },
    { known: { known: 1 } },
    JSON.parse('{"__proto__":{"known":1,"data":"aGk="}}'),
    { constructor: { prototype: { known: 1 } } },
    { toString: null, valueOf: null, length: 1e9 },
    { toJSON: 1, data: { toString: 1 } },
  ),
)
const value = fc.oneof(
  { weight: 3, arbitrary: odd },
  { weight: 2, arbitrary: REFS },
  {
    weight: 4,
    arbitrary: fc.record(
      { data: fc.oneof(fc.constantFrom('aGk=', 'aG8='), odd), known: odd, version: fc.oneof(fc.nat(5), odd) },
      { requiredKeys: [] },
    ),
  },
)
const NAMES = [
  'now',
  'ref',
  'get',
  'set',
  'changed',
  'list',
  '__proto__',
  'constructor',
  'error',
  'newListener',
  '*',
  '',
]
const event = fc.record({
  name: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom('ref', 'get', 'set') },
    { weight: 1, arbitrary: fc.constantFrom(...NAMES) },
  ),
  values: fc.oneof(
    { weight: 6, arbitrary: fc.tuple(value) },
    { weight: 1, arbitrary: fc.array(value, { maxLength: 4 }) },
  ),
  answered: fc.integer({ min: 0, max: 9 }).map((chance) => chance > 0),
})

describe('structured fuzzing of the live protocol', () => {
  it.each(['websocket', 'polling'] as const)(
    'whatever an event carries over %s, it is answered or the connection ends',
    async (transport) => {
      await fc.assert(
        fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 12 }), fc.nat(1), async (events, who) => {
          const frames: string[] = []
          const client = await connect(at.url, tokens[who], { transports: [transport] })
          client.socket.io.engine.on('packet', ({ data }) => frames.push(String(data)))
          const ended = client.ended.then(() => 'ended')
          for (const { name, values, answered } of events) {
            if (NAMES.indexOf(name) > 3 && ['error', 'newListener', '*', ''].includes(name)) continue
            if (!answered) client.socket.emit(name, ...values)
            else if (['now', 'ref', 'get', 'set'].includes(name)) {
              const answer = client.ask(name, ...values).catch(() => 'ended')
              expect(await Promise.race([answer, ended])).toBeDefined()
            } else client.socket.emit(name, ...values, () => expect.unreachable())
          }
          client.socket.close()
          await checkAll(frames)
        }),
        { numRuns: RUNS },
      )
    },
    LIMIT,
  )

  const right = (ref: string): readonly string[] => [
    '420["now"]',
    `421["ref","${ref}"]`,
    '422["get",{"known":1}]',
    '423["set",{"data":"aGk=","version":1}]',
    '451-4["set",{"data":{"_placeholder":true,"num":0}}]',
    '40{"token":"x"}',
    '40/other,{}',
    '41',
    '43[1]',
    '44{"message":"no"}',
    '2probe',
    '3',
    '5',
    '6',
    '1',
    '42/other,["now"]',
  ]
  const frame = fc.oneof(
    fc.constantFrom(...right(MINE), ...right(THEIRS)),
    fc
      .tuple(fc.constantFrom(...right(MINE), ...right(THEIRS)), fc.nat(100), fc.string({ maxLength: 6 }), fc.nat(3))
      .map(([text, place, piece, cut]) => text.slice(0, place) + piece + text.slice(place + cut)),
    fc.string({ maxLength: 40 }),
    fc
      .tuple(fc.constantFrom('42', '420', '4', '45', '451-', '459999999-', '4'), fc.jsonValue())
      .map(([head, json]) => head + JSON.stringify(json)),
    fc.constantFrom(
      `42${'['.repeat(200_000)}`,
      `42["get",${'[{"a":'.repeat(50_000)}`,
      `42${'1'.repeat(100_000)}["now"]`,
      `45${'9'.repeat(5000)}-["x"]`,
      `42["ref","${'a'.repeat(900_000)}"]`,
      `40/${'n'.repeat(10_000)},{}`,
      '42["set",{"data":' + '"A'.repeat(10_000),
    ),
  )
  const sent = fc.oneof({ weight: 8, arbitrary: frame }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 50 }) })

  it(
    'whatever frames come, in whatever order, nobody else feels it',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(sent, { minLength: 1, maxLength: 12 }), fc.nat(3), async (all, who) => {
          const open: Raw = await openRaw(at.url)
          await open.next()
          if (who < 3) {
            open.send(`40${JSON.stringify({ token: tokens[who % 2] })}`)
            expect(await open.next()).toMatch(/^40/)
          }
          for (const one of all) open.send(one)
          // A right request at the end is answered, if the connection is still there.
          open.send('4299["now"]')
          const answered = async (): Promise<void> => {
            while (!(await open.next()).startsWith('4399')) continue
          }
          await Promise.race([who < 3 ? answered().catch(() => undefined) : Promise.resolve(), open.ended, late()])
          open[Symbol.dispose]()
          await checkAll(open.frames)
        }),
        { numRuns: RUNS },
      )
    },
    LIMIT,
  )

  const query = fc
    .record(
      {
        EIO: fc.constantFrom('4', '3', '4', '', 'x'),
        transport: fc.constantFrom('polling', 'websocket', 'polling', 'webtransport', 'constructor', ''),
        sid: fc.constantFrom('SID', 'SID', '', 'x', '__proto__', 'a'.repeat(5000)),
        j: fc.constantFrom('', '0', ');alert(1)//', '../'),
        b64: fc.constantFrom('', '1'),
        t: fc.string({ maxLength: 8 }),
      },
      { requiredKeys: ['EIO', 'transport'] },
    )
    .map((fields) => new URLSearchParams(fields).toString())
  const request = fc.record({
    method: fc.constantFrom('GET', 'POST', 'POST', 'OPTIONS', 'PUT', 'DELETE', 'HEAD'),
    query,
    path: fc.constantFrom(
      '/socket.io/',
      '/socket.io/',
      '/socket.io',
      '/socket.io/socket.io.js',
      '/socket.io//',
      '/socket.io/../v1/buckets',
    ),
    body: fc.oneof(
      frame,
      fc.array(frame, { maxLength: 5 }).map((frames) => frames.join('\x1e')),
      fc.constant('4'.repeat(1_000_001)),
      fc.constant('2\x1e'.repeat(100_000)),
    ),
    headers: fc.record(
      {
        origin: fc.constantFrom('null', 'https://x', 'é', '*'),
        'content-type': fc.constantFrom('text/plain', 'application/octet-stream', 'application/x-www-form-urlencoded'),
        cookie: fc.string({ maxLength: 5 }).map(encodeURI),
      },
      { requiredKeys: [] },
    ),
  })

  it(
    'whatever requests come, each has an answer that is not a failure of the server',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 5 }), async (requests) => {
          const hello = await askHttp(at.url, '/socket.io/?EIO=4&transport=polling')
          const { sid } = JSON.parse(hello.text.slice(1)) as { sid: string }
          for (const { method, query: text, path, body, headers } of requests) {
            const answer = askHttp(at.url, `${path}?${text.replace('SID', sid)}`, {
              method,
              headers,
              ...(method === 'GET' || method === 'HEAD' ? {} : { body }),
            })
            const reply = await Promise.race([answer.catch(() => null), late()])
            if (reply) expect(reply.status).toBeLessThan(500)
          }
          await checkAll([])
        }),
        { numRuns: RUNS },
      )
    },
    LIMIT,
  )
})

/** Some requests are answered when there is something to tell. */
function late(): Promise<null> {
  return new Promise((resolve) => setTimeout(() => resolve(null), 500))
}

it('a flood of large packets is refused where it has no room, and others are served meanwhile', async () => {
  const before = process.memoryUsage.rss()
  const flooding = await Promise.all(
    [0, 1, 2].map(async () => {
      const client = await connect(at.url, tokens[0])
      await client.ask('ref', MINE)
      return client
    }),
  )
  const data = 'A'.repeat(900_000)
  const answers: Promise<unknown>[] = []
  for (let index = 0; index < 50; index++) {
    for (const client of flooding) answers.push(client.ask('set', { data }).catch(() => ['ended']))
    if (index % 25 === 0) await checkAll([])
  }
  const all = (await Promise.all(answers)).flat()
  expect(all).toHaveLength(150)
  expect(all.some((answer) => JSON.stringify(answer).includes('success'))).toBe(true)
  expect(process.memoryUsage.rss() - before).toBeLessThan(1200 * 2 ** 20)
  for (const client of flooding) client[Symbol.dispose]()
  await checkAll([])
}, 60_000)
