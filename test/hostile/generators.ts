import * as fc from 'fast-check'
import { encodeFrames, type Frame, frameHead } from '../../src/protocol/frames.ts'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import { newId } from '../server/running.ts'
import { type Fortress, sha } from './fortress.ts'

type Json = unknown
const chunk = Buffer.from('a chunk that everybody may stage')

/** Requests that are right, one of every route and method: what the others are made of. */
export function rightRequests({ known, foreignCursor }: Pick<Fortress, 'known' | 'foreignCursor'>, bucket: string) {
  const B = `/v1/buckets/${bucket}`
  const put = (key: string, more: object = {}): Json => ({
    type: 'put',
    key,
    expect: 'any',
    hash: known.hash,
    size: known.size,
    body: { copy: { key: 'docs/a', version: 1 } },
    contentType: 'text/plain',
    meta: { mtime: '1', note: 'x' },
    ...more,
  })
  const ref = { hash: sha(chunk), size: chunk.length }
  const json = (method: string, target: string, value: Json) => ({ method, target, json: value })
  return [
    json('GET', '/v1/buckets', null),
    json('GET', '/v1/buckets?after=a&limit=10', null),
    json('PUT', B, { options: {} }),
    json('GET', B, null),
    json('PATCH', B, { options: { maxBlobSize: 1_000_000 } }),
    json('DELETE', B, null),
    json('GET', `${B}/blobs?prefix=docs/&delimiter=/&limit=5&deleted&versions&digests`, null),
    json('GET', `${B}/blobs?at=2030-01-01T00:00:00Z&after=docs/a`, null),
    json('GET', `${B}/blobs/docs/a?version=1`, null),
    json('HEAD', `${B}/blobs/docs/a`, null),
    json('PUT', `${B}/blobs/docs/new`, 'bytes'),
    json('DELETE', `${B}/blobs/docs/a`, null),
    json('POST', `${B}/commit`, {
      entries: [
        { id: newId(), changes: [put('docs/x'), { type: 'delete', key: 'docs/a', expect: { version: 1 } }] },
        {
          id: newId(),
          device: 'd',
          operation: 'o',
          changes: [put('docs/y', { hash: ref.hash, size: ref.size, body: { depth: 0, refs: [ref] } })],
        },
      ],
    }),
    json('POST', `${B}/chunks/missing`, { hashes: [known.hash, sha('x')] }),
    json('POST', `${B}/fetch`, { wants: [{ key: 'docs/a', version: 1 }] }),
    json('GET', `${B}/chunks-of/docs/a?version=1`, null),
    json('GET', `${B}/changes`, null),
    json('GET', `${B}/changes?since=${known.cursor}`, null),
    json('GET', `${B}/changes?since=${foreignCursor}&live`, null),
  ] as const
}

/** Keys that an attacker knows of, in reach and out of it, and ways to write them. */
const KEYS = [
  'docs/a',
  'docs/x',
  'docs',
  'docs/',
  'docs2/named',
  'private/named',
  'docs/../private/named',
  'docs/./a',
  'private/named/',
  'Docs/a',
]

/** Requests without a fault, that name what is not theirs: ids of others' entries, chunks and blobs of others, cursors from elsewhere. */
export function cunning(
  fortress: Pick<Fortress, 'known' | 'named' | 'foreignCursor' | 'ids'>,
  bucket: string,
): fc.Arbitrary<{ readonly method: string; readonly target: string; readonly json: Json }> {
  const B = `/v1/buckets/${bucket}`
  const { known, named, foreignCursor } = fortress
  const key = fc.constantFrom(...KEYS)
  const path = key.map((one) => one.split('/').map(encodeURIComponent).join('/'))
  const version = fc.integer({ min: 1, max: 3 })
  const id = fc.oneof(
    fc.constantFrom(...fortress.ids.filter((one) => one.length === 32)),
    fc.nat().map(() => newId()),
  )
  const own = fc.oneof({ weight: 4, arbitrary: fc.constant('docs/x') }, { weight: 1, arbitrary: key })
  const body = fc.oneof(
    fc.record({ key, version }).map((copy) => ({ copy })),
    fc.constantFrom('private/named', 'docs2/named').map((one) => ({ copy: { key: one, version: 1 } })),
    fc.constantFrom(known, named).map(({ hash, size }) => ({ depth: 0, refs: [{ hash, size }] })),
  )
  const expect = fc.oneof(fc.constantFrom<Json>('any', 'absent'), fc.record({ version }))
  const put = fc.record({ key: own, expect, body, of: fc.constantFrom(known, named) }).map(({ of, ...rest }) => ({
    type: 'put',
    hash: of.hash,
    size: of.size,
    contentType: 'a/b',
    meta: {},
    ...rest,
  }))
  // Right in all but one thing.
  const theft = fc
    .constantFrom<Json>(...['private/named', 'docs2/named'].map((one) => ({ copy: { key: one, version: 1 } })), {
      depth: 0,
      refs: [{ hash: named.hash, size: named.size }],
    })
    .map((from) => ({
      type: 'put',
      key: 'docs/x',
      expect: 'any',
      hash: named.hash,
      size: named.size,
      body: from,
      contentType: 'a/b',
      meta: {},
    }))
  const change = fc.oneof<fc.Arbitrary<Json>[]>(
    put,
    theft,
    put,
    fc.record({ type: fc.constant('delete'), key: own, expect }),
  )
  const entry = fc.record({ id, changes: fc.array(change, { minLength: 1, maxLength: 2 }) })
  const entries = fc.array(entry, { minLength: 1, maxLength: 2 })
  const get = (target: fc.Arbitrary<string>) => target.map((one) => ({ method: 'GET', target: one, json: null }))
  const post = (route: string, value: fc.Arbitrary<Json>) =>
    value.map((json) => ({ method: 'POST', target: `${B}/${route}`, json }))
  return fc.oneof(
    { weight: 6, arbitrary: post('commit', fc.record({ entries })) },
    {
      weight: 1,
      arbitrary: post('fetch', fc.record({ wants: fc.array(fc.record({ key, version }), { maxLength: 3 }) })),
    },
    { weight: 1, arbitrary: post('chunks/missing', fc.constant({ hashes: [known.hash, named.hash] })) },
    { weight: 1, arbitrary: get(path.map((one) => `${B}/blobs/${one}`)) },
    {
      weight: 1,
      arbitrary: get(fc.tuple(path, version).map(([one, number]) => `${B}/chunks-of/${one}?version=${number}`)),
    },
    {
      weight: 1,
      arbitrary: get(key.map((one) => `${B}/blobs?prefix=${encodeURIComponent(one)}&deleted&versions&digests`)),
    },
    { weight: 1, arbitrary: get(key.map((one) => `${B}/blobs?after=${encodeURIComponent(one)}&delimiter=/`)) },
    {
      weight: 1,
      arbitrary: get(
        fc.constantFrom('', known.cursor, foreignCursor).map((one) => `${B}/changes${one && `?since=${one}`}`),
      ),
    },
    {
      weight: 1,
      arbitrary: get(fc.constantFrom(B, '/v1/buckets', '/v1/buckets/other', '/v1/buckets/other/blobs/docs/named')),
    },
  )
}

/** Values that are not what was asked for. */
const odd = (secretIds: readonly string[]): fc.Arbitrary<Json> =>
  fc.oneof(
    fc.constantFrom<Json>(
      null,
      true,
      false,
      0,
      -1,
      -0,
      1.5,
      2 ** 53,
      1e308,
      '',
      'NaN',
      '1',
      '*',
      '..',
      '../private',
      '/etc/passwd',
      'docs/../private',
      'private',
      'docs\0x',
      'docs//x',
      'docs/',
      'e\u0301',
      '\ud800',
      '\u202e',
      '__proto__',
      'any',
      'absent',
      [],
      {},
      [[]],
      { __proto__: null },
      JSON.parse('{"__proto__":{"key":"private","version":1}}'),
      { constructor: { prototype: { admin: true } } },
      { toString: null, length: 5 },
      { version: 1e21 },
      { copy: { key: 'private', version: 1 } },
      { depth: 3, refs: [{ hash: sha(chunk), size: 1 }] },
      { depth: -1, refs: [] },
      'x'.repeat(100_000),
      Array.from({ length: 30_000 }, () => 0),
    ),
    fc.constantFrom<Json>(...secretIds),
    fc.jsonValue({ maxDepth: 3 }),
    fc.integer({ min: 2, max: 2000 }).map((depth) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as Json),
  )

/** The same value with something in it taken away, replaced, doubled or added. */
export function mutated(value: Json, ids: readonly string[]): fc.Arbitrary<Json> {
  const places = placesOf(value)
  return fc
    .record({
      place: fc.constantFrom(...places),
      how: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'add', 'double'),
      name: fc.constantFrom('__proto__', 'constructor', 'extra', 'prefixes', 'author', 'verify', '', 'length'),
      by: odd(ids),
    })
    .map(({ place, how, name, by }) => changeAt(value, place, how, name, by))
}

type Way = readonly (string | number)[]

function placesOf(value: Json, way: Way = []): Way[] {
  if (typeof value !== 'object' || value === null) return [way]
  return [way, ...Object.entries(value).flatMap(([name, one]) => placesOf(one, [...way, name]))]
}

function changeAt(value: Json, [step, ...rest]: Way, how: string, name: string, by: Json): Json {
  if (step === undefined) {
    if (how === 'add' && typeof value === 'object' && value !== null) {
      if (Array.isArray(value)) return [...value, by]
      const copy = { ...value }
      Object.defineProperty(copy, name, { value: by, enumerable: true })
      return copy
    }
    if (how === 'double' && Array.isArray(value)) return [...value, ...value]
    return by
  }
  const held = value as Record<string | number, Json>
  if (rest.length === 0 && how === 'remove') {
    if (Array.isArray(value)) return value.filter((_, index) => String(index) !== String(step))
    const { [step]: _gone, ...others } = held
    return others
  }
  const changed = changeAt(held[step], rest, how, name, by)
  if (Array.isArray(value)) return value.map((one: Json, index) => (String(index) === String(step) ? changed : one))
  return { ...held, [step]: changed }
}

/** JSON as text, sometimes no longer JSON. */
export function textOf(value: Json): fc.Arbitrary<Buffer> {
  const text = value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value)
  return fc.oneof(
    { weight: 6, arbitrary: fc.constant(Buffer.from(text)) },
    {
      weight: 1,
      arbitrary: fc
        .record({ at: fc.nat(text.length), by: fc.constantFrom(...SPOILERS), cut: fc.nat(3) })
        .map(({ at, by, cut }) => {
          const bytes = Buffer.from(text)
          return Buffer.concat([bytes.subarray(0, at), Buffer.from(by, 'latin1'), bytes.subarray(at + cut)])
        }),
    },
  )
}

const SPOILERS = [
  '',
  '\xff',
  '\xc0\xaf',
  '\xed\xa0\x80',
  '\0',
  '\xef\xbb\xbf',
  'NaN',
  'Infinity',
  '1e999',
  '//',
  ',',
  '"',
  '\\u0000',
  '{',
  ']',
]

const PATH_PARTS = [
  '..',
  '.',
  '',
  '%2e%2e',
  '%2E%2e%2f',
  '..%2fprivate',
  '%252e%252e',
  '%c0%ae%c0%ae',
  '%00',
  '%ff',
  '%',
  '%zz',
  '%2f',
  '%5c..%5c',
  'private',
  'docs2',
  'other',
  ';private',
  '#private',
  '%23',
  '%3f',
  '%e2%80%8b',
  'e%cc%81',
  '%ed%a0%80',
  'commit',
  'blobs',
  'v1',
  'x'.repeat(2000),
  '%61'.repeat(1500),
]

/** A path and query with steps put in, replaced or taken away. */
export function target(right: string): fc.Arbitrary<string> {
  const [path = '', query = ''] = right.split('?')
  const parts = path.split('/').slice(1)
  return fc
    .record({
      at: fc.nat(parts.length),
      part: fc.constantFrom(...PATH_PARTS),
      cut: fc.nat(1),
      query: fc.oneof(
        { weight: 3, arbitrary: fc.constant(query) },
        {
          weight: 2,
          arbitrary: fc
            .record({ name: fc.constantFrom(...NAMES), value: fc.constantFrom(...VALUES), more: fc.boolean() })
            .map(({ name, value, more }) => `${more ? `${query}&` : ''}${name}=${value}`),
        },
      ),
      keep: fc.boolean(),
      before: fc.constantFrom('', '', '', 'http://evil.invalid', '/', '/.', '/v1/..'),
    })
    .map(({ at, part, cut, query: asked, keep, before }) => {
      const changed = keep ? parts : [...parts.slice(0, at), part, ...parts.slice(at + cut)]
      return `${before}/${changed.join('/')}${asked === '' ? '' : `?${asked}`}`
    })
}

const NAMES = [
  'prefix',
  'delimiter',
  'after',
  'limit',
  'deleted',
  'versions',
  'at',
  'digests',
  'version',
  'since',
  'live',
  '__proto__',
  'x',
  '',
]
const VALUES = [
  '',
  '0',
  '-1',
  '1',
  '10000',
  '10001',
  '1e9',
  'NaN',
  '9007199254740993',
  '99999999999999999999',
  '/',
  '//',
  'private',
  'private/',
  'p',
  'docs2/',
  'docs%00',
  'docs%2fa%001',
  'docs/a%00x',
  '%ff',
  '%zz',
  '%c0%af',
  '%00',
  '%ed%a0%80',
  '2030-01-01T00:00:00Z',
  '2030-13-45T99:99:99Z',
  '0000-01-01T00:00:00Z',
  '9999-12-31T23:59:59%2b23:59',
  'a:b:c',
  `${'0'.repeat(32)}:1:${'0'.repeat(32)}`,
  `${'0'.repeat(32)}:-1:x`,
  `x:9007199254740993:y`,
  'x'.repeat(3000),
  'true',
  '%F0%9F%98%80',
]

const HEADERS: readonly (readonly [string, string])[] = [
  ['If-Match', '*'],
  ['If-Match', '"1"'],
  ['If-Match', '"1", "2"'],
  ['If-Match', 'W/"1"'],
  ['If-Match', '"9007199254740993"'],
  ['If-Match', '"1-0000000000000000"'],
  ['If-Match', '\xff'],
  ['If-None-Match', '*'],
  ['If-None-Match', '"1"'],
  ['If-Range', '"1"'],
  ['Range', 'bytes=0-0'],
  ['Range', 'bytes=-1'],
  ['Range', 'bytes=0-0,2-3'],
  ['Range', 'bytes=5-2'],
  ['Range', 'bytes=99999999999999999999-'],
  ['Range', `bytes=${'0-1,'.repeat(1000)}`],
  ['Range', 'lines=1-2'],
  ['Content-Type', FRAMES_TYPE],
  ['Content-Type', 'multipart/form-data; boundary=x'],
  ['Content-Type', ';;;'],
  ['Content-Type', `text/${'x'.repeat(300)}`],
  ['Content-Type', 'text/plain; charset=\xff'],
  ['Content-Encoding', 'gzip'],
  ['Content-Range', 'bytes 0-1/2'],
  ['Transfer-Encoding', 'chunked'],
  ['Transfer-Encoding', 'gzip, chunked'],
  ['Transfer-Encoding', '\tchunked'],
  ['Content-Length', '0'],
  ['Content-Length', '5'],
  ['Content-Length', '-1'],
  ['Content-Length', '0x5'],
  ['Content-Length', '99999999999999999999'],
  ['Expect', '100-continue'],
  ['Expect', 'x'],
  ['Upgrade', 'websocket'],
  ['Upgrade', 'h2c'],
  ['Connection', 'upgrade, keep-alive, te'],
  ['Accept', 'text/event-stream'],
  ['Last-Event-ID', 'x:1:y'],
  ['X-Forwarded-Host', 'evil.invalid'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['X-Original-URL', '/v1/buckets/other'],
  ['X-Blobs-Meta-__proto__', 'x'],
  ['X-Blobs-Meta-', 'x'],
  ['X-Blobs-Meta-a', '%zz'],
  ['X-Blobs-Meta-a', '%00'],
  ['X-Blobs-Meta-%ff', 'x'],
  ['X-Blobs-Meta-mtime', 'NaN'],
  ['X-Blobs-Meta-mode', '7777777'],
  ['X-Blobs-Meta-big', 'x'.repeat(9000)],
  ['X-Blobs-Sha256', 'x'],
  ['X-Blobs-Sha256', sha('bytes')],
  ['X-Blobs-Entry', 'x'],
  ['X-Blobs-Entry', '0'.repeat(32)],
  ['X-Blobs-Device', '%00'],
  ['X-Blobs-Device', 'x'.repeat(257)],
  ['X-Folded', 'a\r\n b'],
  ['X-Bare', 'a\nInjected: b'],
  ['X-Return', 'a\rb'],
  ['X-Nul', 'a\0b'],
  ['Bad Name', 'x'],
  ['', 'x'],
  ['Trailer', 'If-Match'],
]

/** Any of these, some twice. */
export const headers: fc.Arbitrary<readonly (readonly [string, string])[]> = fc.oneof(
  { weight: 2, arbitrary: fc.constant([]) },
  { weight: 3, arbitrary: fc.array(fc.constantFrom(...HEADERS), { maxLength: 3 }) },
)

export const methods = fc.constantFrom(
  'GET',
  'HEAD',
  'PUT',
  'POST',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'QUERY',
)

/** Frames and what became of them: `count` is how many a server takes, null for a body that it must refuse. */
export interface FramesCase {
  readonly body: Buffer
  readonly count: number | null
}

const right: fc.Arbitrary<Frame> = fc
  .oneof(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(new Uint8Array(70_000), new Uint8Array(2 ** 20)))
  .map((bytes) => ({ label: sha(bytes), bytes }))

export const frames: fc.Arbitrary<FramesCase> = fc.array(right, { maxLength: 5 }).chain((all) => {
  const body = Buffer.concat([...encodeFrames(all)])
  const spoiled = (bytes: Buffer): FramesCase => ({ body: bytes, count: null })
  const first = all[0]
  const cases: fc.Arbitrary<FramesCase>[] = [
    fc.constant({ body, count: all.length }),
    // Cut anywhere, the end mark included.
    fc.integer({ min: 0, max: body.length - 1 }).map((at) => spoiled(body.subarray(0, at))),
    fc.uint8Array({ minLength: 1, maxLength: 50 }).map((more) => spoiled(Buffer.concat([body, more]))),
    fc
      .constantFrom(2 ** 20 + 1, 2 ** 31, 2 ** 32 - 1)
      .map((length) => spoiled(Buffer.from(frameHead(sha('x'), length)))),
    fc.constant(spoiled(Buffer.concat([frameHead('00'.repeat(32), 5), Buffer.from('abcde'), body]))),
    fc
      .uint8Array({ minLength: 40, maxLength: 200 })
      .map((noise) => spoiled(Buffer.from(noise.map((byte) => byte | 1)))),
  ]
  if (first !== undefined && first.bytes.length > 0) {
    const at = fc.nat(first.bytes.length - 1).map((index) => 36 + index)
    // One bit of the bytes, or of the hash that they have.
    cases.push(fc.oneof(at, fc.nat(31)).map((index) => spoiled(flipped(body, index))))
  }
  return fc.oneof(...cases)
})

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
