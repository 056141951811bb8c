/** Bytes with a label of 32 bytes: for content, its SHA-256. */
export interface Frame {
  /** 64 lower-case hex digits. */
  readonly label: string
  readonly bytes: Uint8Array
}

/** In an answer to `fetch`: the blob at this place of the request is not there. Carries no bytes. */
export const ABSENT = 'ff'.repeat(32)
/** In an answer to `fetch`: the answer ends here with a problem, whose JSON is the frame's bytes. */
export const FAILED = 'fe'.repeat(32)

/** In a body of chunks, at most once and before them: which blobs they belong to, as JSON (`passages` in messages.ts). */
export const PASSAGES = 'fd'.repeat(32)

const HEAD = 36
const END = '00'.repeat(32)

/** A body of frames that is cut short, or is no such body. */
export class BadFrames extends Error {
  readonly reason: 'truncated' | 'malformed' | 'too-large'

  constructor(reason: 'truncated' | 'malformed' | 'too-large', message: string) {
    super(message)
    this.name = 'BadFrames'
    this.reason = reason
  }
}

/** Label and length, to be followed by the bytes themselves. */
export function frameHead(label: string, length: number): Uint8Array {
  const head = Buffer.alloc(HEAD)
  head.write(label, 0, 'hex')
  head.writeUInt32BE(length, 32)
  return head
}

/** Ends a body of frames; without it a body is truncated. */
export const FRAMES_END: Uint8Array = new Uint8Array(HEAD)

/** One body of these frames, in pieces that share their bytes. */
export function encodeFrames(frames: readonly Frame[]): readonly Uint8Array[] {
  return [...frames.flatMap(({ label, bytes }) => [frameHead(label, bytes.length), bytes]), FRAMES_END]
}

/** Gives the memory for the bytes of a frame, exactly so many. */
type Room = (length: number) => Uint8Array | Promise<Uint8Array>

/**
 * The frames of a body as they come, whatever the cut of the source; a piece of it is not looked at any more once the next is asked
 * for. Bytes lie in what `room` gives: fresh memory unless it is given. Throws `BadFrames`: `truncated` when the source ends before
 * the end mark, `malformed` for bytes after it, `too-large` for a frame above `maxBytes` (before its bytes are read).
 */
export async function* decodeFrames(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  room: Room = (length) => Buffer.allocUnsafe(length),
): AsyncGenerator<Frame> {
  const head = Buffer.alloc(HEAD)
  let frame: Frame | null = null
  // Bytes that are there of the frame, or else of its head.
  let filled = 0
  let ended = false
  for await (const piece of source) {
    for (let at = 0; at < piece.length;) {
      if (ended) throw new BadFrames('malformed', 'bytes follow the end mark')
      const target: Uint8Array = frame?.bytes ?? head
      const part = piece.subarray(at, at + target.length - filled)
      target.set(part, filled)
      at += part.length
      filled += part.length
      if (filled < target.length) break
      filled = 0
      if (frame === null) {
        const told = readHead(head, maxBytes)
        ended = told === null
        if (told === null) continue
        frame = { label: told.label, bytes: told.length === 0 ? NOTHING : await room(told.length) }
        if (told.length > 0) continue
      }
      yield frame
      frame = null
    }
  }
  if (!ended) throw new BadFrames('truncated', 'the frames end without their end mark')
}

const NOTHING = new Uint8Array(0)

function readHead(bytes: Buffer, maxBytes: number): { label: string; length: number } | null {
  const label = bytes.toString('hex', 0, 32)
  const length = bytes.readUInt32BE(32)
  if (label === END) {
    if (length === 0) return null
    throw new BadFrames('malformed', 'a frame without a label')
  }
  if (length > maxBytes) throw new BadFrames('too-large', `a frame of ${length} bytes; at most ${maxBytes} are taken`)
  return { label, length }
}
