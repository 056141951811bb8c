import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CAPABILITIES } from '../../src/access/grant.ts'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import { SECRETS } from '../server/running.ts'
import { type Fortress, openFortress, type TokenName } from './fortress.ts'
import { frames } from './frames-cases.ts'
import { headers, methods, mutated, target, textOf } from './generators.ts'
import { cunning, cunningUser, rightRequests } from './requests.ts'
import { requestBytes, send, type WireAnswer } from './wire.ts'

/** How many requests each property sends: more by `BLOBS_FUZZ_RUNS=10000`. */
const RUNS = Number(process.env['BLOBS_FUZZ_RUNS'] ?? 300)
const LIMIT = Math.max(60_000, RUNS * 50)

let fortress: Fortress
beforeAll(async () => {
  fortress = await openFortress()
})
afterAll(() => fortress[Symbol.asyncDispose]())

const common = (token: TokenName): (readonly [string, string])[] => [
  ['Host', 'localhost'],
  ['Connection', 'close'],
  ...(token === 'none' ? [] : [['Authorization', `Bearer ${fortress.tokens[token]}`] as const]),
]
const bucketOf = (token: TokenName): string => (token === 'scratch' ? 'scratch' : 'team')
const tokens = fc.constantFrom<TokenName>(
  'confined',
  'confined',
  'reader',
  'writer',
  'team',
  'scratch',
  'none',
  'user',
  'user',
)
/** What a token may be good for; one request would end that of a user. */
const requestsOf = (token: TokenName) =>
  rightRequests(fortress, bucketOf(token)).filter(
    ({ target }) => target !== '/logout' && (token !== 'user' || !target.startsWith('/v1')),
  )

async function fire(
  token: TokenName,
  method: string,
  path: string,
  more: readonly (readonly [string, string])[],
  body: Buffer,
  quiet = 300,
): Promise<WireAnswer | null> {
  const length: readonly (readonly [string, string])[] =
    body.length === 0 || more.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name))
      ? []
      : [['Content-Length', String(body.length)]]
  const line = `${method} ${path} HTTP/1.1`
  const answer = await send(
    fortress.at.url,
    requestBytes(line, [...common(token), ...length, ...more], body),
    quiet,
    30_000,
  )
  fortress.check(answer, token, `${token}: ${line} ${JSON.stringify(more)} ${body.toString('latin1').slice(0, 500)}`)
  return answer
}

describe('whatever is sent, no answer shows what is out of reach, nothing out of reach changes, and the server goes on:', () => {
  const assert = async <T>(
    arbitrary: fc.Arbitrary<T>,
    act: (value: T) => Promise<void>,
    runs = RUNS,
  ): Promise<void> => {
    const before = process.memoryUsage.rss()
    await fc.assert(fc.asyncProperty(arbitrary, act), { numRuns: runs, endOnFailure: true })
    await fortress.checkAll()
    expect(process.memoryUsage.rss() - before).toBeLessThan(600 * 2 ** 20)
  }

  it('right requests with anything in their bodies', { timeout: LIMIT }, async () => {
    const request = tokens.chain((token) =>
      fc
        .constantFrom(...requestsOf(token).filter(({ json }) => json !== null))
        .chain(({ method, target: path, json, headers: fields }) =>
          mutated(json, fortress.ids)
            .chain(textOf)
            .map((body) => ({ token, method, path, fields, body })),
        ),
    )
    await assert(request, async ({ token, method, path, fields, body }) => {
      await fire(token, method, path, fields, body)
    })
  })

  it('right requests at any path, with any query, method and headers', { timeout: LIMIT }, async () => {
    const request = tokens.chain((token) =>
      fc.constantFrom(...requestsOf(token)).chain((one) =>
        fc.record({
          token: fc.constant(token),
          method: fc.oneof(
            { weight: 4, arbitrary: fc.constant(one.method as string) },
            { weight: 1, arbitrary: methods },
          ),
          path: fc.oneof(
            { weight: 1, arbitrary: fc.constant(one.target as string) },
            { weight: 4, arbitrary: target(one.target) },
          ),
          more: headers.map((some) => [...one.headers, ...some]),
          body: textOf(one.json),
        }),
      ),
    )
    await assert(request, async ({ token, method, path, more, body }) => {
      await fire(token, method, path, more, body)
    })
  })

  it('requests without a fault that name what is not theirs', { timeout: LIMIT }, async () => {
    const request = fc
      .constantFrom<TokenName>('confined', 'reader', 'writer', 'confined')
      .chain((token) => cunning(fortress, 'team').map((one) => ({ token, ...one })))
    await assert(request, async ({ token, method, target: path, json }) => {
      await fire(token, method, path, [], Buffer.from(json === null ? '' : JSON.stringify(json)))
    })
  })

  it("a user's requests without a fault that name what is another's", { timeout: LIMIT }, async () => {
    await assert(
      cunningUser(fortress),
      async ({ method, target: path, headers: fields, body }) => {
        await fire('user', method, path, fields, Buffer.from(body))
      },
      Math.ceil(RUNS / 2),
    )
  })

  it('any frames', { timeout: LIMIT }, async () => {
    const type = [['Content-Type', FRAMES_TYPE]] as const
    await assert(
      fc.tuple(frames, fc.constantFrom<TokenName>('confined', 'writer', 'team')),
      async ([{ body, count }, token]) => {
        // Each is as long as its head says: the server needs no end to answer, only time.
        const answer = await fire(token, 'POST', '/v1/buckets/team/chunks', type, body, 20_000)
        if (count === null) expect([400, 413, 422]).toContain(answer?.status)
        else expect(JSON.parse(String(answer?.body))).toEqual({ staged: count })
      },
      Math.ceil(RUNS / 4),
    )
  })

  it('bytes that are hardly HTTP', { timeout: LIMIT }, async () => {
    const right = rightRequests(fortress, 'team').map(({ method, target: path, json, headers }) =>
      requestBytes(
        `${method} ${path} HTTP/1.1`,
        [...common('confined'), ...headers, ['Content-Length', String(Buffer.byteLength(JSON.stringify(json)))]],
        Buffer.from(JSON.stringify(json)),
      ),
    )
    const spoiled = fc
      .record({
        bytes: fc.constantFrom(...right),
        at: fc.nat(),
        cut: fc.nat(6),
        by: fc.oneof(
          fc.uint8Array({ maxLength: 8 }),
          fc
            .constantFrom('\r\n', '\n', '\r', '\r\n\r\n', ' ', '\t', ':', '\0', 'HTTP/9.9', 'Content-Length: 1\r\n')
            .map((one) => Buffer.from(one)),
        ),
        more: fc.constantFrom(...right, Buffer.alloc(0), Buffer.alloc(0)),
      })
      .map(({ bytes, at, cut, by, more }) => {
        const place = at % bytes.length
        return Buffer.concat([bytes.subarray(0, place), by, bytes.subarray(place + cut), more])
      })
    await assert(spoiled, async (bytes) => {
      const answer = await send(fortress.at.url, bytes)
      fortress.check(answer, 'confined', bytes.toString('latin1'))
    })
  })
})

describe('a token', () => {
  const encode = (value: unknown): string =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
  const sign = (head: unknown, claims: unknown, hash = 'sha256', secret: string = SECRETS.current): string => {
    const text = `${encode(head)}.${encode(claims)}`
    return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`
  }
  const HEAD = { alg: 'HS256', typ: 'JWT' }
  const knock = async (token: string, path: string): Promise<WireAnswer | null> => {
    const fields = [...common('none'), ['Authorization', `Bearer ${token}`] as const]
    const answer = await send(fortress.at.url, requestBytes(`GET ${path} HTTP/1.1`, fields), 5000)
    fortress.check(answer, 'confined', `${path} with ${token}`)
    return answer
  }

  it.each<[string, () => string]>([
    ['of no algorithm', () => `${encode({ alg: 'none' })}.${encode({ bucket: 'other' })}.`],
    ['of no algorithm, in capitals', () => `${encode({ alg: 'NONE' })}.${encode({ bucket: 'other' })}.`],
    ['of no algorithm, but signed', () => sign({ alg: 'none' }, { bucket: 'other' })],
    ['of RS256, signed as HS256', () => sign({ alg: 'RS256' }, { bucket: 'other' })],
    ['of HS512', () => sign({ alg: 'HS512' }, { bucket: 'other' }, 'sha512')],
    ['of HS384', () => sign({ alg: 'HS384' }, { bucket: 'other' }, 'sha384')],
    ['of an unknown algorithm', () => sign({ alg: 'hs256' }, { bucket: 'other' })],
    ['of a list of algorithms', () => sign({ alg: ['HS256'] }, { bucket: 'other' })],
    ['without an algorithm', () => sign({}, { bucket: 'other' })],
    ['signed with nothing', () => sign(HEAD, { bucket: 'other' }, 'sha256', '')],
    [
      'signed with its own key',
      () => sign({ ...HEAD, jwk: { kty: 'oct', k: encode('mine') } }, { bucket: 'other' }, 'sha256', 'mine'),
    ],
    [
      'signed with the key that its kid names',
      () => sign({ ...HEAD, kid: '../../../../dev/null' }, { bucket: 'other' }, 'sha256', ''),
    ],
    ['with its key elsewhere', () => sign({ ...HEAD, jku: 'http://127.0.0.1:1/' }, { bucket: 'other' }, 'sha256', 'x')],
    ['with a critical extension', () => sign({ ...HEAD, crit: ['x'], x: 1 }, { bucket: 'other' })],
    ['with a body that is not encoded', () => sign({ ...HEAD, crit: ['b64'], b64: false }, { bucket: 'other' })],
    ['without its signature', () => sign(HEAD, { bucket: 'other' }).replace(/[^.]*$/, '')],
    ['with half of it', () => sign(HEAD, { bucket: 'other' }).slice(0, -20)],
    [
      'with other claims under it',
      () => sign(HEAD, { bucket: 'team' }).replace(/\.[^.]*\./, `.${encode({ bucket: 'other' })}.`),
    ],
    ['with five parts', () => `${sign(HEAD, { bucket: 'other' })}.a.b`],
    ['as JSON', () => JSON.stringify({ payload: encode({ bucket: 'other' }), signatures: [] })],
    ['of claims that are a list', () => sign(HEAD, '[{"bucket":"other"}]')],
    ['of claims that are nothing', () => sign(HEAD, 'null')],
    ['that is huge', () => sign(HEAD, { bucket: 'other', name: 'x'.repeat(9000) })],
  ])('%s is none, and nobody learns why', async (_name, make) => {
    expect((await knock(make(), '/v1/buckets/other'))?.status).toBe(401)
  })

  it('with claims of odd types allows what it clearly says, and otherwise nothing', { timeout: LIMIT }, async () => {
    const now = Math.floor(Date.now() / 1000)
    const any = fc.constantFrom<unknown>(
      null,
      0,
      1,
      -1,
      Number.POSITIVE_INFINITY,
      '',
      '*',
      'team',
      'other',
      'docs',
      ['docs'],
      [['docs']],
      ['docs', 1],
      [''],
      ['/'],
      [],
      {},
      { 0: 'docs' },
      true,
      false,
      ['read'],
      'read',
      ['READ'],
      ['read', 'admin'],
      String(now + 60),
      now + 60,
      now - 60,
      now + 0.5 + 60,
      1e300,
      'x'.repeat(300),
      '\0',
    )
    const claims = fc.record(
      {
        bucket: fc.oneof({ weight: 3, arbitrary: fc.constant<unknown>('team') }, { weight: 1, arbitrary: any }),
        prefixes: any,
        can: any,
        exp: any,
        nbf: any,
        iat: any,
        jti: any,
        name: any,
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(claims, async (held) => {
        // What is sent is what JSON makes of it.
        const sent = JSON.parse(JSON.stringify(held)) as Record<string, unknown>
        const legible = isLegible(sent, now)
        const reads = legible && ((sent['can'] as readonly string[] | undefined)?.includes('read') ?? true)
        const token = sign(HEAD, sent)
        for (const [path, bucket, key] of [
          ['/v1/buckets/team/blobs/docs/none', 'team', 'docs/none'],
          ['/v1/buckets/team/blobs/private/none', 'team', 'private/none'],
          ['/v1/buckets/other/blobs/docs/none', 'other', 'docs/none'],
        ] as const) {
          const within =
            !legible ||
            ((sent['prefixes'] as readonly string[] | undefined)?.some((one) => key.startsWith(`${one}/`)) ?? true)
          const named = sent['bucket'] === bucket || sent['bucket'] === '*'
          const expected = legible ? (reads && named && within ? 404 : 403) : 401
          expect((await knock(token, path))?.status, `${path} with ${JSON.stringify(sent)}`).toBe(expected)
        }
      }),
      { numRuns: Math.ceil(RUNS / 4), endOnFailure: true },
    )
    await fortress.checkAll()
  })
})

/** By the words of docs/protocol.md. */
function isLegible({ bucket, prefixes, can, exp, nbf, iat, jti, name }: Record<string, unknown>, now: number): boolean {
  const isText = (value: unknown): value is string => typeof value === 'string'
  if (!isText(bucket) || bucket === '') return false
  if (prefixes !== undefined) {
    if (!Array.isArray(prefixes) || prefixes.length === 0) return false
    if (!prefixes.every((one) => isText(one) && one.replace(/\/+$/, '') !== '')) return false
  }
  if (can !== undefined && !(Array.isArray(can) && can.every((one) => CAPABILITIES.some((known) => known === one))))
    return false
  if (exp !== undefined && !(typeof exp === 'number' && exp > now + 5)) return false
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf <= now)) return false
  if (iat !== undefined && typeof iat !== 'number') return false
  if (jti !== undefined && !isText(jti)) return false
  return name === undefined || (isText(name) && name.length <= 256 && !name.includes('\0'))
}
