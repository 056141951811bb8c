import { array, assert, asyncProperty, integer } from 'fast-check'
import { expect, test } from 'vitest'
import type { WriteFile } from '../../src/platform/ports.ts'
import { writeStream } from '../../src/platform/write-stream.ts'

const MIB = 1024 * 1024

/** A file in memory that takes its time; the write with this number fails. */
function slowFile(failing = -1): WriteFile & { readonly bytes: () => Buffer; readonly underWay: () => number } {
  const written: Buffer[] = []
  let [underWay, count] = [0, 0]
  return {
    write: async (bytes) => {
      underWay++
      await new Promise((resolve) => setTimeout(resolve, 1))
      underWay--
      if (count++ === failing) throw new Error('the disk is full')
      written.push(Buffer.from(bytes))
    },
    sync: async () => undefined,
    stat: () => {
      throw new Error('not asked for')
    },
    close: async () => undefined,
    bytes: () => Buffer.concat(written),
    underWay: () => underWay,
  }
}

async function* lent(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  const memory = Buffer.alloc(Math.max(1, ...lengths))
  let at = 0
  for (const length of lengths) {
    const piece = memory.subarray(0, Math.min(length, bytes.length - at))
    piece.set(bytes.subarray(at, at + piece.length))
    at += piece.length
    yield piece
    memory.fill(0)
  }
}

test('whatever the cut of the stream, the file gets its bytes in order, though each piece lies in the same memory', () =>
  assert(
    asyncProperty(
      array(integer({ min: 0, max: 3000 }), { maxLength: 40 }),
      integer({ min: 700, max: 5000 }),
      async (lengths, expected) => {
        const bytes = Buffer.from(Array.from({ length: lengths.reduce((sum, one) => sum + one, 0) }, (_, i) => i % 251))
        const file = slowFile()
        expect(await writeStream(file, lent(bytes, lengths), expected)).toBe(bytes.length)
        expect(file.bytes().equals(bytes)).toBe(true)
      },
    ),
    { numRuns: 10 },
  ))

test('a write that fails is thrown, and none is under way any more', async () => {
  const lengths = Array.from({ length: 12 }, () => MIB)
  for (const failing of [0, 3, 11]) {
    const file = slowFile(failing)
    await expect(writeStream(file, lent(Buffer.alloc(12 * MIB), lengths), 12 * MIB)).rejects.toThrow('the disk is full')
    expect(file.underWay()).toBe(0)
  }
})

test('a source that fails is thrown, and no write is under way any more', async () => {
  const file = slowFile()
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(3 * MIB)
    throw new Error('cut')
  }
  await expect(writeStream(file, source(), 12 * MIB)).rejects.toThrow('cut')
  expect(file.underWay()).toBe(0)
})
