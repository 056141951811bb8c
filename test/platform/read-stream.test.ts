import { array, assert, asyncProperty, integer } from 'fast-check'
import { expect, test } from 'vitest'
import type { ReadFile } from '../../src/platform/ports.ts'
import { readStream } from '../../src/platform/read-stream.ts'

const MIB = 1024 * 1024

/** A file that gives at most so many bytes at once; the read with this number fails. */
function slowFile(bytes: Uint8Array, most: readonly number[] = [MIB], failing = -1) {
  let [underWay, count] = [0, 0]
  const file: ReadFile = {
    read: async (buffer, position) => {
      underWay++
      await new Promise((resolve) => setTimeout(resolve, 1))
      underWay--
      if (count++ === failing) throw new Error('unreadable')
      const length = Math.min(buffer.length, most[count % most.length] ?? MIB, Math.max(0, bytes.length - position))
      buffer.set(bytes.subarray(position, position + length))
      return length
    },
    stat: () => {
      throw new Error('not asked for')
    },
    openForWriting: () => false,
    close: async () => undefined,
  }
  return { file, underWay: () => underWay }
}

function bytesOf(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) % 253))
}

test('gives the bytes in order, however many come at once, up to the size or the end', () =>
  assert(
    asyncProperty(
      integer({ min: 0, max: 3000 }),
      integer({ min: 0, max: 3000 }),
      array(integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 5 }),
      async (length, size, most) => {
        const bytes = bytesOf(length)
        const { file, underWay } = slowFile(bytes, most)
        const got: Buffer[] = []
        for await (const piece of readStream(file, size)) got.push(Buffer.from(piece))
        expect(Buffer.concat(got).equals(bytes.subarray(0, size))).toBe(true)
        expect(underWay()).toBe(0)
      },
    ),
    { numRuns: 40 },
  ))

test('a read that fails is thrown where its bytes would come', async () => {
  const { file } = slowFile(Buffer.alloc(4 * MIB), [MIB], 2)
  let bytes = 0
  const reading = async (): Promise<void> => {
    for await (const piece of readStream(file, 4 * MIB)) bytes += piece.length
  }
  await expect(reading()).rejects.toThrow('unreadable')
  expect(bytes).toBe(2 * MIB)
})

test('a reader who stops early waits for the read that is under way', async () => {
  const { file, underWay } = slowFile(Buffer.alloc(4 * MIB))
  for await (const _piece of readStream(file, 4 * MIB)) break
  expect(underWay()).toBe(0)
})
