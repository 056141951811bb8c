import * as fc from 'fast-check'
import { encodeFrames, type Frame, frameHead } from '../../src/protocol/frames.ts'
import { sha } from './fortress.ts'

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
