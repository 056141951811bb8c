import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cut, MAX_CHUNK, SMALL } from '../../src/content/chunker.ts'
import { sha256 } from '../../src/content/hash.ts'
import { collect } from './collect.ts'

/** The same bytes for the same seed, for ever: a counter through SHA-256. */
function noise(seed: string, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0, block = 0; at < size; at += 32, block++)
    Buffer.from(sha256(Buffer.from(`${seed} ${block}`)), 'hex').copy(bytes, at)
  return bytes
}

async function* pieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? bytes.length
    yield bytes.subarray(at, at + size)
    at += size
  }
}

/** The chunks to keep: the memory of each is overwritten before the next is asked for, as its owner may do. */
async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield Uint8Array.from(chunk)
    chunk.fill(0xdd)
  }
}

async function chunksOf(bytes: Uint8Array, sizes: readonly number[] = [bytes.length]): Promise<Uint8Array[]> {
  return collect(copies(cut(pieces(bytes, sizes))))
}

const lengths = (chunks: readonly Uint8Array[]): number[] => chunks.map((chunk) => chunk.length)
const sizeOfInput = fc.integer({ min: 0, max: 3_000_000 })
const seed = fc.integer({ min: 0, max: 1_000_000 }).map(String)
const runs = { numRuns: 25 }

describe('the cut points never change', () => {
  test.each([
    ['one', 2_000_000, [301584, 310561, 357995, 306343, 309473, 279918, 134126]],
    ['two', 2_000_000, [435824, 352987, 299243, 312157, 279550, 320239]],
  ])('of noise %s', async (seed, size, expected) => {
    expect(lengths(await chunksOf(noise(seed, size)))).toEqual(expected)
  })
  test('of bytes that are all alike', async () => {
    for (const value of [0, 1, 255]) {
      const same = Buffer.alloc(1_200_000, value)
      expect(lengths(await chunksOf(same))).toEqual([MAX_CHUNK, MAX_CHUNK, 1_200_000 - 2 * MAX_CHUNK])
    }
  })
})

/** docs/storage-format.md, "Chunking", word for word and as slow as it reads. */
function asTheDocumentSays(bytes: Uint8Array): number[] {
  const gear = Array.from({ length: 256 }, (_, value) =>
    Number.parseInt(sha256(Buffer.from(`blobs gear 1 ${value}`)).slice(0, 8), 16),
  )
  const print = (end: number): number => {
    let sum = 0
    for (let at = end - 32; at < end; at++) sum = ((sum << 1) + (gear[bytes[at] ?? 0] ?? 0)) >>> 0
    return sum
  }
  const found: number[] = []
  for (let start = 0; start < bytes.length; start += found.at(-1) ?? 0) {
    const most = Math.min(bytes.length - start, 524_288)
    let length = Math.min(most, 65_537)
    while (length < most && print(start + length) >>> (length <= 262_144 ? 12 : 16) !== 0) length++
    found.push(length)
  }
  return found
}

describe('cutting', () => {
  test('is what the document says', async () => {
    for (const size of [65_537, 200_000, 2_500_000]) {
      const bytes = noise(`document ${size}`, size)
      expect(lengths(await chunksOf(bytes, [70_001]))).toEqual(asTheDocumentSays(bytes))
    }
  })
  test('nothing gives no chunk', async () => {
    expect(await chunksOf(Buffer.alloc(0))).toEqual([])
    expect(await collect(cut(pieces(Buffer.alloc(3), [0, 3])))).toHaveLength(1)
  })
  test('up to 64 KiB is one chunk', async () => {
    for (const size of [1, 100, SMALL - 1, SMALL]) expect(lengths(await chunksOf(noise('s', size)))).toEqual([size])
  })
  test('gives the input again, in chunks within bounds', async () => {
    await fc.assert(
      fc.asyncProperty(seed, sizeOfInput, async (seed, size) => {
        const bytes = noise(seed, size)
        const chunks = await chunksOf(bytes)
        expect(sha256(Buffer.concat(chunks))).toBe(sha256(bytes))
        for (const chunk of chunks) expect(chunk.length).toBeLessThanOrEqual(MAX_CHUNK)
        for (const chunk of chunks.slice(0, -1)) expect(chunk.length).toBeGreaterThan(SMALL)
      }),
      runs,
    )
  })
  test('does not depend on how the source is split, nor on what it does with its memory afterwards', async () => {
    const sizes = fc
      .array(fc.integer({ min: 0, max: 900_000 }), { minLength: 1, maxLength: 8 })
      .filter((all) => all.some((n) => n > 1000))
    async function* reusing(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
      for await (const piece of pieces(bytes, sizes)) {
        const lent = piece.slice()
        yield lent
        lent.fill(0xee)
      }
    }
    await fc.assert(
      fc.asyncProperty(seed, sizeOfInput, sizes, async (seed, size, sizes) => {
        const bytes = noise(seed, size)
        const whole = await chunksOf(bytes)
        const split = await collect(copies(cut(reusing(bytes, sizes))))
        expect(split.map(sha256)).toEqual(whole.map(sha256))
      }),
      runs,
    )
  })
  test('an insertion in the middle changes a few chunks only', async () => {
    const bytes = noise('long', 12_000_000)
    const before = new Set((await chunksOf(bytes)).map(sha256))
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: bytes.length }),
        fc.uint8Array({ minLength: 1, maxLength: 100 }),
        async (at, added) => {
          const after = await chunksOf(Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at)]))
          expect(after.filter((chunk) => !before.has(sha256(chunk))).length).toBeLessThanOrEqual(4)
        },
      ),
      runs,
    )
  })
})
