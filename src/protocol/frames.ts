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

/**
 * The frames of a body as they come, whatever the cut of the source. Throws `BadFrames`: `truncated` when the source ends before
 * the end mark, `malformed` for bytes after it, `too-large` for a frame above `maxBytes` (before its bytes are read).
 */
export async function* decodeFrames(source: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Frame> {
  const buffer = byteQueue()
  let head: { label: string; length: number } | null = null
  let ended = false
  for await (const piece of source) {
    if (ended && piece.length > 0) throw new BadFrames('malformed', 'bytes follow the end mark')
    buffer.push(piece)
    while (!ended) {
      if (head === null) {
        const bytes = buffer.take(HEAD)
        if (bytes === null) break
        head = readHead(bytes, maxBytes)
        ended = head === null
        if (ended && buffer.length() > 0) throw new BadFrames('malformed', 'bytes follow the end mark')
      } else {
        const bytes = buffer.take(head.length)
        if (bytes === null) break
        yield { label: head.label, bytes }
        head = null
      }
    }
  }
  if (!ended) throw new BadFrames('truncated', 'the frames end without their end mark')
}

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

/** Pieces in, exact lengths out; each byte is copied at most once. */
function byteQueue() {
  let pieces: Uint8Array[] = []
  let total = 0
  return {
    length: () => total,
    push(piece: Uint8Array): void {
      pieces.push(piece)
      total += piece.length
    },
    take(count: number): Buffer | null {
      if (total < count) return null
      const whole = pieces.length === 1 && pieces[0] ? view(pieces[0]) : Buffer.concat(pieces)
      total -= count
      pieces = total > 0 ? [whole.subarray(count)] : []
      return whole.subarray(0, count)
    },
  }
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
