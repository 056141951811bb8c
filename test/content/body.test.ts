import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bodyBuilder,
  decodeList,
  encodeList,
  isBody,
  MAX_INLINE_REFS,
  MAX_LIST_REFS,
  readBody,
  readChunks,
  walk,
  type Body,
  type BodyRef,
} from '../../src/content/body.ts'
import { sha256, type Hash } from '../../src/content/hash.ts'
import { collect } from './collect.ts'

/** Chunks of one byte or a few, kept in memory, with a record of what was asked for. */
function shelf() {
  const stored = new Map<Hash, Uint8Array>()
  const asked: Hash[] = []
  return {
    stored,
    asked,
    get: async (hashes: readonly Hash[]) => {
      asked.push(...hashes)
      return hashes.map((hash) => stored.get(hash) ?? null)
    },
    /** A body of `count` chunks of `size` bytes whose content says where it is. */
    fill: (count: number, size: number): { body: Body; bytes: Buffer; refs: BodyRef[] } => {
      const bytes = Buffer.alloc(count * size)
      for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 7 + (at >> 8)) % 251
      const builder = bodyBuilder()
      const keep = (lists: readonly { hash: Hash; bytes: Uint8Array }[]): void => {
        for (const list of lists) stored.set(list.hash, list.bytes)
      }
      const refs = Array.from({ length: count }, (_, i) => {
        const chunk = bytes.subarray(i * size, (i + 1) * size)
        const ref = { hash: sha256(chunk), size }
        stored.set(ref.hash, chunk)
        keep(builder.add(ref))
        return ref
      })
      const { body, lists } = builder.finish()
      keep(lists)
      return { body, bytes, refs }
    },
  }
}

const many = (count: number): BodyRef[] =>
  Array.from({ length: count }, (_, i) => ({ hash: sha256(Buffer.from(String(i))), size: i + 1 }))

describe('a list object', () => {
  test('is 32 bytes of hash and 8 of size for each ref', () => {
    const bytes = encodeList([{ hash: 'ab'.repeat(32), size: 0x0102_0304_05 }])
    expect(Buffer.from(bytes).toString('hex')).toBe(`${'ab'.repeat(32)}0000000102030405`)
  })
  test('comes back as it was', () => {
    const refs = many(MAX_LIST_REFS)
    expect(decodeList('', encodeList(refs))).toEqual(refs)
  })
  test.each([0, 39, 41, (MAX_LIST_REFS + 1) * 40])('of %i bytes is none', (length) => {
    expect(() => decodeList('a'.repeat(64), Buffer.alloc(length))).toThrow(/a{64}/)
  })
})

describe('a body', () => {
  test.each([
    [0, 0, 0],
    [1, 0, 1],
    [MAX_INLINE_REFS, 0, MAX_INLINE_REFS],
    [MAX_INLINE_REFS + 1, 1, 1],
    [MAX_LIST_REFS, 1, 1],
    [MAX_LIST_REFS + 1, 1, 2],
    [MAX_LIST_REFS * MAX_INLINE_REFS, 1, MAX_INLINE_REFS],
    [MAX_LIST_REFS * MAX_INLINE_REFS + 1, 2, 1],
  ])('of %i chunks has depth %i and %i refs at its top', (count, depth, top) => {
    const { body } = shelf().fill(count, 1)
    expect([body.depth, body.refs.length]).toEqual([depth, top])
    expect(isBody(body, count)).toBe(true)
  })
  test('gives its chunks in order, at every depth', async () => {
    for (const count of [0, 16, 17, 5000, 70_000]) {
      const shelf_ = shelf()
      const { body, refs } = shelf_.fill(count, 1)
      const found: BodyRef[] = []
      for await (const span of walk(body, shelf_.get)) {
        expect(span.offset).toBe(found.length)
        found.push(...span.refs)
      }
      expect(found).toEqual(refs)
    }
  })
  test('reads back whole', async () => {
    for (const count of [0, 1, 17, 4100]) {
      const shelf_ = shelf()
      const { body, bytes } = shelf_.fill(count, 3)
      expect(Buffer.concat(await collect(readBody(body, shelf_.get))).equals(bytes)).toBe(true)
    }
  })
  test('gives any range, and touches only the chunks and lists that hold it', async () => {
    const shelf_ = shelf()
    const { body, bytes, refs } = shelf_.fill(9000, 5)
    const place = fc.integer({ min: 0, max: bytes.length + 10 })
    await fc.assert(
      fc.asyncProperty(place, fc.integer({ min: 0, max: 400 }), async (first, length) => {
        shelf_.asked.length = 0
        const last = first + length
        const found = Buffer.concat(await collect(readBody(body, shelf_.get, [first, last])))
        expect(found.equals(bytes.subarray(first, last + 1))).toBe(true)
        const inside = refs.slice(Math.floor(first / 5), Math.floor(last / 5) + 1).map((ref) => ref.hash)
        expect(shelf_.asked.length).toBeLessThanOrEqual(inside.length + 2)
      }),
      { numRuns: 50 },
    )
  })
  test('hands out everything before the damage, and nothing of it', async () => {
    for (const damage of ['missing', 'altered'] as const) {
      const shelf_ = shelf()
      const { body, bytes, refs } = shelf_.fill(40, 100)
      const bad = refs[25]?.hash ?? ''
      if (damage === 'missing') shelf_.stored.delete(bad)
      else shelf_.stored.set(bad, Buffer.alloc(100))
      const given: Uint8Array[] = []
      const reading = async (): Promise<void> => {
        for await (const piece of readBody(body, shelf_.get)) given.push(piece)
      }
      await expect(reading()).rejects.toMatchObject({ name: 'ContentDamaged', hash: bad, problem: damage })
      expect(Buffer.concat(given).equals(bytes.subarray(0, 2500))).toBe(true)
    }
  })
  test('whose list is altered, or does not add up, is damaged', async () => {
    const shelf_ = shelf()
    const { body } = shelf_.fill(40, 100)
    const list = body.refs[0]?.hash ?? ''
    const lying: Body = { depth: 1, refs: [{ hash: list, size: 4001 }] }
    await expect(collect(walk(lying, shelf_.get))).rejects.toMatchObject({ hash: list, problem: 'altered' })
    shelf_.stored.set(list, encodeList(many(3)))
    await expect(collect(walk(body, shelf_.get))).rejects.toMatchObject({ hash: list, problem: 'altered' })
  })
  test('can be read without a look at each chunk but at its length', async () => {
    const { stored, get, fill } = shelf()
    const { body, bytes, refs } = fill(40, 1000)
    const read = await collect(readChunks(body, get))
    expect(read.map(({ ref }) => ref)).toEqual(refs)
    expect(read.every(({ offset, bytes: piece }) => bytes.subarray(offset, offset + 1000).equals(piece))).toBe(true)
    stored.set(refs[5]?.hash ?? '', Buffer.alloc(1000))
    expect(await collect(readChunks(body, get))).toHaveLength(40)
    for (const [damage, problem] of [
      [Buffer.alloc(999), 'altered'],
      [null, 'missing'],
    ] as const) {
      if (damage) stored.set(refs[5]?.hash ?? '', damage)
      else stored.delete(refs[5]?.hash ?? '')
      await expect(collect(readChunks(body, get))).rejects.toMatchObject({ hash: refs[5]?.hash, problem })
    }
  })
  test('that a reader leaves early is no failure of what was fetched ahead', async () => {
    const shelf_ = shelf()
    const { body, refs } = shelf_.fill(30, 400_000)
    shelf_.stored.delete(refs[29]?.hash ?? '')
    for await (const piece of readBody(body, shelf_.get)) {
      expect(piece.length).toBe(400_000)
      break
    }
  })
  test.each<[string, Body, number]>([
    ['a size that is not the sum', { depth: 0, refs: many(2) }, 4],
    ['a hash that is none', { depth: 0, refs: [{ hash: 'x', size: 1 }] }, 1],
    ['too many refs', { depth: 0, refs: many(17) }, 153],
    ['a depth that nothing needs', { depth: 9, refs: many(1) }, 1],
    ['an empty ref', { depth: 0, refs: [{ hash: 'a'.repeat(64), size: 0 }] }, 0],
  ])('with %s is refused', (_, body, size) => expect(isBody(body, size)).toBe(false))
})
