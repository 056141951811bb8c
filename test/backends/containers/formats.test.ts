import * as fc from 'fast-check'
import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatName, LONGEST_KEY, parseName } from '../../../src/backends/containers/names.ts'
import { inOrder } from '../../../src/backends/containers/order.ts'
import { readParts } from '../../../src/backends/containers/pieces.ts'
import { candidates, rowsByKey } from '../../../src/backends/containers/rows.ts'

const directory = join(mkdtempSync(join(tmpdir(), 'blobs-chunks-')), 'early')
let ids = 0

/** What is made of an answer that comes in pieces of so many bytes. */
async function read(text: string, pieces: readonly number[] = [1000]): Promise<Buffer> {
  const bytes = Buffer.from(text)
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0, n = 0; at < bytes.length; n++) {
      const size = Math.max(pieces[n % pieces.length] ?? 1, 1)
      yield bytes.subarray(at, at + size)
      at += size
    }
  }
  const all: Uint8Array[] = []
  for await (const piece of inOrder(readParts(source()), { directory, newId: () => String(ids++) })) {
    all.push(Buffer.from(piece))
  }
  return Buffer.concat(all)
}

function answerOf(chunks: readonly Uint8Array[], space: string, order: (a: string, b: string) => number): string {
  const fields = chunks
    .map((chunk, index) => [String(index), Buffer.from(chunk).toString('base64')] as const)
    .sort(([a], [b]) => order(a, b))
    .map(([index, text]) => `"${index}":${space}{"blob_data":${space}"${text}",${space}"status":${space}"success"}`)
  return `{${space}${fields.join(`,${space}`)}}\n`
}

describe('chunks', () => {
  it('come back in the order of their numbers, however they are sorted, spaced and cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 130 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }),
        fc.constantFrom('', ' ', '\n  '),
        fc.constantFrom(
          (a: string, b: string) => (a < b ? -1 : 1),
          (a: string, b: string) => Number(a) - Number(b),
          (a: string, b: string) => Number(b) - Number(a),
        ),
        async (chunks, pieces, space, order) => {
          expect(await read(answerOf(chunks, space, order), pieces)).toEqual(Buffer.concat(chunks))
        },
      ),
      { numRuns: 200 },
    )
    expect(readdirSync(directory)).toEqual([])
  })

  it.each([
    ['nothing', ''],
    ['half an answer', '{"0": {"blob_data": "AAAA", "status": "succ'],
    ['an end before the last brace', '{"0": {"blob_data": "AAAA", "status": "success"}'],
    ['a failure', '{"0": {"blob_data": "AAAA", "status": "failure"}}'],
    ['a missing chunk', '{"0": {"blob_data": "AAAA"}, "2": {"blob_data": "AAAA"}}'],
    ['a chunk twice', '{"0": {"blob_data": "AAAA"}, "0": {"blob_data": "AAAA"}}'],
    ['a chunk without a number', '{"x": {"blob_data": "AAAA"}}'],
    ['a list', '["AAAA"]'],
    ['a page', '<!doctype html>'],
    ['a text', '"AAAA"'],
    ['a text for a chunk', '{"0": "AAAA"}'],
    ['a number for bytes', '{"0": {"blob_data": 5}}'],
    ['something deeper', '{"0": {"blob_data": {"x": "AAAA"}}}'],
    ['more than one answer', '{}{}'],
    ['a name without end', `{"${'0'.repeat(5000)}`],
  ])('of %s are no blob', async (_, text) => {
    await expect(read(text)).rejects.toMatchObject({ code: 'Corrupt' })
    await expect(read(text, [1])).rejects.toMatchObject({ code: 'Corrupt' })
  })

  it('may be none', async () => {
    expect(await read('{}\n')).toEqual(Buffer.alloc(0))
  })
})

describe('names', () => {
  const hex = (length: number): fc.Arbitrary<string> =>
    fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
  it('say the same when they are read as when they were written, also of keys that look like names', () => {
    const plain = fc.record({
      key: fc.string({ minLength: 1, maxLength: LONGEST_KEY }),
      version: fc.integer({ min: 1, max: 999_999_999 }),
      hash: fc.option(hex(32)),
      random: hex(12),
      over: fc.option(hex(8)),
    })
    fc.assert(
      fc.property(plain, plain, (inner, outer) => {
        const name = formatName(inner)
        expect(parseName(name)).toEqual(inner)
        expect([...name].length).toBeLessThanOrEqual(255)
        expect(parseName(formatName({ ...outer, key: name }))?.key).toBe(name)
      }),
    )
  })

  it('of others are keys', () => {
    for (const name of ['plain.txt', 'a~v1', 'a~v0~gone~0123456789ab', '~v1~gone~0123456789ab', 'a~v1~gone~0123']) {
      expect(parseName(name)).toBeNull()
    }
  })
})

describe('the newest of a key', () => {
  const row = (name: string, id = name): { id: string; name: string; size: number } => ({ id, name, size: 1 })
  const hash = 'f'.repeat(32)
  const ours = (version: number, end = '', random = '0'.repeat(12)): string =>
    `k~v${version}~${end === 'gone' ? end : hash}~${random}`
  it.each<[string, string[], string[]]>([
    ['the highest version', [ours(2), ours(10), ours(9)], [ours(10), ours(9), ours(2)]],
    ['none after a delete', [ours(2), ours(3, 'gone')], []],
    ['what came after a delete', [ours(2), ours(3, 'gone'), ours(4)], [ours(4)]],
    ['what others stored, unless ours says that it replaces it', ['k', ours(1)], ['k', ours(1)]],
    ['ours that replaces it', ['k', `${ours(1)}~over~abcdef00`], [`${ours(1)}~over~abcdef00`, 'k']],
    ['none after a delete that hides what others stored', ['k', `${ours(2, 'gone')}~over~abcdef00`], []],
    [
      'the same one for everybody, of two with one version',
      [ours(1, '', '1'.repeat(12)), ours(1)],
      [ours(1, '', '1'.repeat(12)), ours(1)],
    ],
  ])('is %s', (_, names, expected) => {
    for (const some of [names, names.toReversed()]) {
      const rows = rowsByKey(some.map((name) => row(name, name === 'k' ? 'abcdef00-1234' : name))).get('k')
      expect(rows && candidates(rows).map(([first]) => first?.name)).toEqual(expected)
    }
  })
})
