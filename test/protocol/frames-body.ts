import { encodeFrames, type Frame } from '../../src/protocol/frames.ts'

/** One body of these frames, in one piece. */
export function framesBody(frames: readonly Frame[]): Buffer {
  return Buffer.concat(encodeFrames(frames))
}
