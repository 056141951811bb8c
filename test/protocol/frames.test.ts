import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BadFrames, decodeFrames, type Frame, FRAMES_END, frameHead } from '../../src/protocol/frames.ts'
import { framesBody } from './frames-body.ts'

const MAX = 1000
const frame = fc.record({
  label: fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map((bytes) => Buffer.from(bytes).toString('hex'))
    .filter((label) => !/^0+$/.test(label)),
  bytes: fc.uint8Array({ maxLength: 200 }),
})

/** Pieces whose memory is used again. */
async function* pieces(body: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.length; at += size) {
    const lent = Uint8Array.from(body.subarray(at, at + size))
    yield lent
    lent.fill(0xee)
  }
}
async function decode(body: Uint8Array, size = 64, room?: (length: number) => Promise<Uint8Array>): Promise<Frame[]> {
  const frames: Frame[] = []
  for await (const frame of decodeFrames(pieces(body, size), MAX, room)) frames.push(frame)
  return frames.map(({ label, bytes }) => ({ label, bytes: Uint8Array.from(bytes) }))
}
const label = 'ab'.repeat(32)

describe('a body of frames', () => {
  it('decodes to what was encoded, however the network cuts it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 20 }), fc.integer({ min: 1, max: 300 }), async (frames, size) => {
        expect(await decode(framesBody(frames), size)).toEqual(frames)
      }),
    )
  })

  it('lies where room was made for it, which is waited for', async () => {
    const frames = [5, 0, 100].map((length, index) => ({ label, bytes: new Uint8Array(length).fill(index + 1) }))
    const rooms: Uint8Array[] = []
    const room = async (length: number): Promise<Uint8Array> => {
      await Promise.resolve()
      rooms.push(new Uint8Array(length))
      return rooms.at(-1) ?? new Uint8Array(0)
    }
    expect(await decode(framesBody(frames), 7, room)).toEqual(frames)
    expect(rooms).toEqual([frames[0]?.bytes, frames[2]?.bytes])
  })

  it('that is cut anywhere is truncated, never shorter', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 5 }), fc.nat(), async (frames, at) => {
        const body = framesBody(frames)
        await expect(decode(body.subarray(0, at % body.length))).rejects.toMatchObject({ reason: 'truncated' })
      }),
    )
  })

  it.each([1, 36, 1000])('with bytes after its end mark is malformed (read by %i)', async (size) => {
    await expect(decode(Buffer.concat([FRAMES_END, Buffer.from('x')]), size)).rejects.toMatchObject({
      reason: 'malformed',
    })
  })

  it('with a frame above the limit is refused before its bytes are read', async () => {
    await expect(decode(Buffer.from(frameHead(label, MAX + 1)))).rejects.toMatchObject({ reason: 'too-large' })
    expect(await decode(framesBody([{ label, bytes: new Uint8Array(MAX) }]))).toHaveLength(1)
  })

  it('with a label of zeros that has bytes is malformed', async () => {
    const error = await decode(Buffer.from(frameHead('00'.repeat(32), 1))).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(BadFrames)
    expect(error).toMatchObject({ reason: 'malformed' })
  })

  it('is 32 bytes of label, 4 of length, the bytes, and at the end 36 zeros', () => {
    const body = Buffer.from(framesBody([{ label, bytes: Buffer.from('hey') }]))
    expect(body.toString('hex')).toBe(`${label}00000003${Buffer.from('hey').toString('hex')}${'00'.repeat(36)}`)
  })
})
