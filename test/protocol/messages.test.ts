import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blobFromHeaders, blobToHeaders, metaFromHeaders } from '../../src/protocol/blob-headers.ts'
import { parseJson } from '../../src/protocol/json.ts'
import { bucketRequest, commitRequest, fetchRequest, meta, missingRequest } from '../../src/protocol/messages.ts'
import { keyPath, parsePath, parseTarget } from '../../src/protocol/routes.ts'
import { Malformed } from '../../src/protocol/schema.ts'

const hash = 'a'.repeat(64)
const id = '0'.repeat(32)
const put = {
  type: 'put',
  key: 'k',
  expect: 'any',
  hash,
  size: 3,
  body: { depth: 0, refs: [{ hash, size: 3 }] },
  contentType: 'text/plain',
  meta: {},
}
const commit = (change: unknown) => ({ entries: [{ id, changes: [change] }] })

describe('a request to commit', () => {
  it.each<[string, unknown]>([
    ['a put', put],
    ['a put that expects a version', { ...put, expect: { version: 3 } }],
    ['a put that expects a tombstone', { ...put, expect: { version: 3, hash: id } }],
    ['a put of a copy', { ...put, body: { copy: { key: 'o', version: 1 } } }],
    ['a delete', { type: 'delete', key: 'k', expect: 'absent' }],
  ])('of %s is taken as it is', (_name, change) => {
    expect(commitRequest(commit(change), '')).toEqual(commit(change))
  })

  it.each<[string, unknown, string]>([
    ['no entries', { entries: [] }, 'entries: empty'],
    ['no changes', { entries: [{ id, changes: [] }] }, 'entries[0].changes: empty'],
    ['a short id', { entries: [{ id: 'ab', changes: [put] }] }, 'entries[0].id: not an id of 32 lower-case hex digits'],
    ['an author', { entries: [{ id, changes: [put], author: 'me' }] }, 'entries[0].author: not a known property'],
    ['a negative size', commit({ ...put, size: -1 }), 'entries[0].changes[0].size: not an integer'],
    ['a size of 1.5', commit({ ...put, size: 1.5 }), 'entries[0].changes[0].size: not an integer'],
    ['a size as text', commit({ ...put, size: '3' }), 'entries[0].changes[0].size: not an integer'],
    ['a hash in capitals', commit({ ...put, hash: 'A'.repeat(64) }), 'entries[0].changes[0].hash: not a SHA-256'],
    ['a wrong expectation', commit({ ...put, expect: 'never' }), 'expect: not "any" or "absent"'],
    ['version 0', commit({ ...put, expect: { version: 0 } }), 'expect.version: not an integer'],
    [
      'an unknown expectation',
      commit({ ...put, expect: { version: 1, etag: 'x' } }),
      'expect.etag: not a known property',
    ],
    [
      '17 refs',
      commit({ ...put, body: { depth: 0, refs: Array.from({ length: 17 }, () => ({ hash, size: 1 })) } }),
      'refs: more than 16 items',
    ],
    ['a depth of 7', commit({ ...put, body: { depth: 7, refs: [] } }), 'depth: not an integer'],
    [
      'both bodies',
      commit({ ...put, body: { depth: 0, refs: [], copy: { key: 'k', version: 1 } } }),
      'not a known property',
    ],
    ['a content type of two lines', commit({ ...put, contentType: 'a\r\nb' }), 'contentType: not printable ASCII'],
    ['a key of a megabyte', commit({ ...put, key: 'x'.repeat(1_000_000) }), 'key: longer than any key'],
    ['half a surrogate', commit({ ...put, contentType: '\ud800' }), 'contentType: not valid Unicode'],
    ['metadata of numbers', commit({ ...put, meta: { a: 1 } }), 'meta.a: not a text'],
    [
      'metadata of 9000 bytes',
      commit({ ...put, meta: { a: 'x'.repeat(8000), b: 'é'.repeat(500) } }),
      'more than 8192 bytes',
    ],
    ['a list', [], 'not an object'],
    ['null', null, 'not an object'],
  ])('with %s is refused, and says where', (_name, body, message) => {
    expect(() => commitRequest(body, '')).toThrow(message)
    expect(() => commitRequest(body, '')).toThrow(Malformed)
  })

  it('other requests refuse what they do not know', () => {
    expect(() => missingRequest({ hashes: [hash], also: 1 }, '')).toThrow('also: not a known property')
    expect(() => missingRequest({ hashes: Array(10_001).fill(hash) }, '')).toThrow('more than 10000')
    expect(() => fetchRequest({ wants: [{ key: 'k' }] }, '')).toThrow('wants[0].version: missing')
    expect(() => bucketRequest({ options: { maxBlobSize: 1, quota: 2 } }, '')).toThrow('options.quota')
    expect(() => parseJson('{', bucketRequest)).toThrow('not JSON')
  })

  it('keeps a metadata name of __proto__ as a name', () => {
    const parsed = meta(JSON.parse('{"__proto__":"x"}'), 'meta')
    expect(Object.getOwnPropertyNames(parsed)).toEqual(['__proto__'])
  })
})

const info = {
  bucket: 'b1',
  key: 'ä/ 100%?#.txt',
  version: 7,
  size: 12,
  hash,
  contentType: 'text/plain; charset=utf-8',
  modified: '2030-01-01T00:00:00.123Z',
  deleted: false,
  meta: { mtime: '1.5', Größe: 'ü\n', UPPER: 'a b' },
  position: `${id}:9:${id}`,
  entry: id,
  author: 'Zoë',
  device: '',
}

describe('the headers of a blob', () => {
  it('tell all of it, whatever the texts in it', () => {
    const anyText = fc.string({ unit: 'grapheme' })
    const anyMeta = fc.dictionary(
      anyText.filter((name) => name !== ''),
      anyText,
      { maxKeys: 5, noNullPrototype: true },
    )
    fc.assert(
      fc.property(anyText, anyText, anyText, anyMeta, (author, device, contentType, held) => {
        const blob = { ...info, author, device, contentType, meta: held }
        // As a server and Node's parser pass them on: names in lower case, values as they are.
        const sent = Object.entries(blobToHeaders(blob)).map(([name, value]) => [name.toLowerCase(), value])
        for (const [name, value] of sent) expect(`${name}${value}`).toMatch(/^[\x20-\x7e]*$/)
        expect(blobFromHeaders(Object.fromEntries(sent))).toEqual(blob)
      }),
    )
  })

  it('missing or broken are an error, not another blob', () => {
    const headers = blobToHeaders(info)
    for (const name of Object.keys(headers).filter(
      (one) => one.startsWith('x-blobs-') && !one.startsWith('x-blobs-meta-') && one !== 'x-blobs-deleted',
    )) {
      const { [name]: _left, ...rest } = headers
      expect(() => blobFromHeaders(rest), name).toThrow(Malformed)
    }
    expect(() => blobFromHeaders({ ...headers, 'x-blobs-size': '' })).toThrow(Malformed)
    expect(() => blobFromHeaders({ ...headers, 'x-blobs-size': 'many' })).toThrow(Malformed)
    expect(() => metaFromHeaders({ 'x-blobs-meta-a': '%zz' })).toThrow('broken percent-encoding')
  })
})

describe('a path', () => {
  it('holds any bucket and key, and gives them back', () => {
    const segment = fc.string({ unit: 'grapheme', minLength: 1 }).filter((one) => !one.includes('/'))
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), fc.boolean(), (segments, folder) => {
        const key = segments.join('/') + (folder ? '/' : '')
        const { path, query } = parseTarget(`${keyPath('b1', 'blobs', key)}?version=3`)
        expect(parsePath(path, 'blobs')).toEqual({ bucket: 'b1', key })
        expect(query).toEqual([['version', '3']])
      }),
    )
  })

  it('has a query as it was written, or none where it cannot be read', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(fc.array(fc.tuple(name, name)), (pairs) => {
        expect(parseTarget(`/x?${new URLSearchParams(pairs).toString()}`).query).toEqual(pairs)
      }),
    )
    expect(parseTarget('/x?a=b=c&d&=').query).toEqual([
      ['a', 'b=c'],
      ['d', ''],
      ['', ''],
    ])
    for (const broken of ['a=%ff', '%zz=1', 'a=%c0%af', 'a=%', 'a=%ed%a0%80']) {
      expect(parseTarget(`/x?${broken}`).query, broken).toBeNull()
    }
  })

  it('with broken percent-encoding is none', () => {
    expect(parsePath('/v1/buckets/b1/blobs/%zz', 'blobs')).toBeNull()
    expect(parsePath('/v1/buckets/b1/blobs/%ff', 'blobs')).toBeNull()
    expect(parsePath('/v1/other', 'blobs')).toBeNull()
    expect(parsePath('/v1/buckets/b1/blobs/a%2Fb', 'blobs')).toEqual({ bucket: 'b1', key: 'a/b' })
    expect(parsePath('/v1/buckets/b1/blobs/a/../b', 'blobs')).toEqual({ bucket: 'b1', key: 'a/../b' })
  })
})
