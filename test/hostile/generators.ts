import * as fc from 'fast-check'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import { sha } from './fortress.ts'

type Json = unknown

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
      { depth: 3, refs: [{ hash: sha('x'), size: 1 }] },
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
