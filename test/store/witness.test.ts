import { array, assert, asyncProperty, boolean, integer, shuffledSubarray } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BodyRef, Span } from '../../src/content/body.ts'
import { sha256, type Hash } from '../../src/content/hash.ts'
import type { Passage } from '../../src/store/contract/blob-store.ts'
import type { Chunk } from '../../src/store/contract/types.ts'
import { openWitness, type Witness } from '../../src/store/witness.ts'
import { noise } from './noise.ts'

function chunksOf(bytes: Uint8Array, sizes: readonly number[]): Chunk[] {
  let at = 0
  return sizes.map((size) => {
    const piece = bytes.subarray(at, at + size)
    at += size
    return { hash: sha256(piece), bytes: piece }
  })
}
function refOf({ hash, bytes }: Chunk): BodyRef {
  return { hash, size: bytes.length }
}
async function* spans(chunks: readonly Chunk[]): AsyncGenerator<Span> {
  for (const chunk of chunks) yield { offset: 0, refs: [refOf(chunk)] }
}
/** Content of a few chunks that takes its time. */
function contentOf(chunks: readonly Chunk[]) {
  const kept = new Map(chunks.map(({ hash, bytes }) => [hash, bytes]))
  const get = async (hashes: readonly Hash[]) => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    return hashes.map((hash) => {
      const bytes = kept.get(hash)
      return bytes === undefined ? null : Uint8Array.from(bytes)
    })
  }
  return { kept, get }
}
function passages(chunks: readonly Chunk[], cuts: readonly number[]): { passage: Passage; chunks: readonly Chunk[] }[] {
  const first = chunks[0]?.hash ?? ''
  let at = 0
  const ends = [...new Set([...cuts.map((cut) => cut % chunks.length), chunks.length])].toSorted((a, b) => a - b)
  let from = 0
  return ends.flatMap((end) => {
    const run = chunks.slice(from, end)
    from = end
    const passage = { first, at, refs: run.map(refOf) }
    at += run.reduce((sum, chunk) => sum + chunk.bytes.length, 0)
    return run.length === 0 ? [] : [{ passage, chunks: run }]
  })
}
const stored = Promise.resolve()

describe('a witness', () => {
  it('knows the hash of what passed, in whatever order and with whichever chunks brought along', () =>
    assert(
      asyncProperty(
        array(integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 30 }),
        array(integer({ min: 0, max: 1000 }), { maxLength: 8 }),
        array(boolean(), { minLength: 30, maxLength: 30 }),
        integer({ min: 0, max: 7 }),
        async (sizes, cuts, brought, seed) => {
          const bytes = noise(sizes.reduce((sum, size) => sum + size, 0))
          const chunks = chunksOf(bytes, sizes)
          const witness = openWitness(contentOf(chunks))
          const [begin, ...later] = passages(chunks, cuts)
          const passing = [begin, ...(seed % 2 ? later.toReversed() : later)].map((one) =>
            one === undefined
              ? stored
              : witness.pass(
                  one.passage,
                  one.chunks.filter((_, index) => brought[index]),
                  stored,
                ),
          )
          await Promise.all(passing)
          expect(await witness.hashOf(spans(chunks))).toBe(sha256(bytes))
        },
      ),
      { numRuns: 60 },
    ))

  it('never tells of other bytes than those that are named', () =>
    assert(
      asyncProperty(
        shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 2, maxLength: 8 }),
        shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 1, maxLength: 8 }),
        async (passed, named) => {
          const all = chunksOf(noise(800), [100, 100, 100, 100, 100, 100, 100, 100])
          const pick = (indexes: readonly number[]) => indexes.map((index) => all[index] as Chunk)
          const witness = openWitness(contentOf(all))
          for (const { passage, chunks } of passages(pick(passed), [2])) await witness.pass(passage, chunks, stored)
          const hash = await witness.hashOf(spans(pick(named)))
          const truth = sha256(Buffer.concat(pick(named).map(({ bytes }) => bytes)))
          expect([null, truth]).toContain(hash)
          if (passed.join() === named.join()) expect(hash).toBe(truth)
        },
      ),
      { numRuns: 100 },
    ))

  const chunks = chunksOf(noise(300), [100, 100, 100])
  const refs = chunks.map(refOf)
  const [first, second, third] = chunks as [Chunk, Chunk, Chunk]
  const told = async (witness: Witness): Promise<Hash | null> => witness.hashOf(spans(chunks))

  it('follows a blob that begins anew, and forgets what came of it before', async () => {
    const witness = openWitness(contentOf([]))
    await witness.pass({ first: first.hash, at: 0, refs: [refOf(first), refOf(third)] }, chunks, stored)
    await witness.pass({ first: first.hash, at: 0, refs }, chunks, stored)
    expect(await told(witness)).toBe(sha256(noise(300)))
    expect(await told(witness)).toBe(null)
  })

  it('does not know what it missed, what is not there, and what is of another length', async () => {
    for (const [content, passing] of [
      [contentOf(chunks), [{ first: first.hash, at: 100, refs: [refOf(second), refOf(third)] }]],
      [contentOf([first]), [{ first: first.hash, at: 0, refs }]],
      [contentOf(chunks), [{ first: first.hash, at: 0, refs: [refOf(first), { ...refOf(second), size: 99 }] }]],
    ] as const) {
      const witness = openWitness(content)
      for (const passage of passing) await witness.pass(passage, [], stored)
      expect(await told(witness)).toBe(null)
    }
  })
})
