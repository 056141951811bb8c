import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { EMPTY_HASH, sha256 } from '../../src/content/hash.ts'
import { decodeEntry, encodeEntry, type Entry } from '../../src/store/entry.ts'

const id = '5b0e9a4c1d0f4a7b8c2d3e4f5a6b7c8d'
const put = { put: 'k', expect: 'any', hash: EMPTY_HASH, size: 0, depth: 0, refs: [], type: 'a/b', meta: {} }
const plain = { v: 1, id, time: 1, author: '', device: '', changes: [put], based: 0 }

function decode(value: unknown, as: string = id) {
  return decodeEntry({ id: as, data: Buffer.from(JSON.stringify(value)) })
}

describe('an entry', () => {
  it('is the JSON of the documentation', async () => {
    const page = await readFile(new URL('../../docs/entry-format.md', import.meta.url), 'utf8')
    const example = /```json\n([\s\S]*?)```/.exec(page)?.[1]?.trim() ?? ''
    const entry = decodeEntry({ id, data: Buffer.from(example) }) as Entry
    expect(entry.changes[0]).toMatchObject({
      put: 'team/report.txt',
      size: 5,
      hash: sha256(Buffer.from('world')),
      expect: { version: 3, hash: sha256(Buffer.from('hello')) },
    })
    expect(Buffer.from(encodeEntry(entry)).toString()).toBe(example.replaceAll('\n', ''))
  })

  it('comes back as it was written', () => {
    const entry: Entry = {
      v: 1,
      id,
      time: -5,
      author: 'añn',
      device: 'd',
      operation: 'o',
      based: 7,
      changes: [{ delete: '😀/a\u2028', expect: { version: 1, hash: 'x' } }],
      bucket: { name: 'b', created: 'now', options: { maxBlobSize: 5 } },
    }
    expect(decodeEntry({ id, data: encodeEntry(entry) })).toEqual(entry)
    const pointer = { v: 1, id, content: EMPTY_HASH, size: 5 } as const
    expect(decodeEntry({ id, data: encodeEntry(pointer) })).toEqual(pointer)
  })

  it.each<[string, object]>([
    ['unknown fields', { ...plain, later: true, changes: [{ ...put, later: 1 }] }],
    ['a key that is not in form C: tables differ', { ...plain, changes: [{ delete: 'e\u0301', expect: 'any' }] }],
    ['an empty segment', { ...plain, changes: [{ delete: 'a//b', expect: 'any' }] }],
    ['no changes', { ...plain, changes: [] }],
    ['a key twice: it is void, not wrong', { ...plain, changes: [put, put] }],
  ])('may hold %s', (_, value) => {
    expect(decode(value)).toEqual(value)
  })

  it.each<[string, unknown]>([
    ['a list', [plain]],
    ['null', null],
    ['no format', { ...plain, v: undefined }],
    ['format 0', { ...plain, v: 0 }],
    ['format "1"', { ...plain, v: '1' }],
    ['a short id', { ...plain, id: 'abc' }],
    ['a time that is none', { ...plain, time: 8.64e15 + 1 }],
    ['a fraction of a time', { ...plain, time: 1.5 }],
    ['no author', { ...plain, author: undefined }],
    ['a number as operation', { ...plain, operation: 5 }],
    ['no base', { ...plain, based: undefined }],
    ['a negative base', { ...plain, based: -1 }],
    ['no changes', { ...plain, changes: undefined }],
    ['a bucket without options', { ...plain, bucket: { name: 'b', created: 'now' } }],
    ['a change that is none', { ...plain, changes: [{}] }],
    ['a change that is both', { ...plain, changes: [{ ...put, delete: 'k' }] }],
    ['an empty key', { ...plain, changes: [{ ...put, put: '' }] }],
    ['a NUL', { ...plain, changes: [{ ...put, put: 'a\0' }] }],
    ['a key that is too long', { ...plain, changes: [{ ...put, put: 'é'.repeat(513) }] }],
    ['a number as key', { ...plain, changes: [{ ...put, put: 5 }] }],
    ['half a character', { ...plain, changes: [{ delete: 'a\ud800', expect: 'any' }] }],
    ['no expectation', { ...plain, changes: [{ ...put, expect: undefined }] }],
    ['another expectation', { ...plain, changes: [{ ...put, expect: 'none' }] }],
    ['version 0', { ...plain, changes: [{ ...put, expect: { version: 0 } }] }],
    ['a hash in capitals', { ...plain, changes: [{ ...put, hash: EMPTY_HASH.toUpperCase() }] }],
    ['a negative size', { ...plain, changes: [{ ...put, size: -1 }] }],
    ['a fraction as depth', { ...plain, changes: [{ ...put, depth: 0.5 }] }],
    ['a ref without size', { ...plain, changes: [{ ...put, refs: [[EMPTY_HASH]] }] }],
    [
      'more refs than a list has',
      { ...plain, changes: [{ ...put, refs: Array.from({ length: 4097 }, () => [EMPTY_HASH, 1]) }] },
    ],
    ['meta that is no text', { ...plain, changes: [{ ...put, meta: { a: 1 } }] }],
    ['meta that is a list', { ...plain, changes: [{ ...put, meta: ['a'] }] }],
    ['drops that are no pairs', { ...plain, v: 2, drop: [['a']] }],
    ['a put that is dropped by a number', { ...plain, v: 2, changes: [{ ...put, dropped: 1 }] }],
    ['a drop of no number', { ...plain, v: 2, drop: [['a', -1]] }],
    ['a pointer to nothing', { v: 1, id, content: 'x', size: 1 }],
    ['a pointer without size', { v: 1, id, content: EMPTY_HASH }],
  ])('that is wrong is told as damage of the log: %s', (_, value) => {
    expect(() => decode(value)).toThrow(
      expect.objectContaining({ code: 'Corrupt', message: expect.stringContaining(id) }),
    )
  })

  it('that is not UTF-8 is damaged', () => {
    const data = Buffer.concat([encodeEntry(plain as unknown as Entry), Buffer.from([0xff])])
    expect(() => decodeEntry({ id, data })).toThrow(expect.objectContaining({ code: 'Corrupt' }))
  })

  it('behind a byte order mark is damaged', () => {
    const data = Buffer.concat([Buffer.from('\ufeff'), encodeEntry(plain as unknown as Entry)])
    expect(() => decodeEntry({ id, data })).toThrow(expect.objectContaining({ code: 'Corrupt' }))
  })

  it('under another id is damaged', () => {
    expect(() => decode(plain, '0'.repeat(32))).toThrow(expect.objectContaining({ code: 'Corrupt' }))
  })

  it('of a later format is not supported, whatever it holds', () => {
    expect(() => decode({ v: 3 })).toThrow(expect.objectContaining({ code: 'NotSupported' }))
  })
})
