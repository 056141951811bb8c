import { sha256 } from '../../content/hash.ts'
import { BlobsError } from '../contract/errors.ts'
import type { RawEntry } from '../ports.ts'

/** Most entries of a frame. */
export const FRAME_ENTRIES = 1024
const MAGIC = Buffer.from('blobs-log 1\n')
const SUM_BYTES = 64

export interface FrameLimits {
  readonly maxEntryBytes: number
  /** Most bytes of a frame's entries; at least `maxEntryBytes`. */
  readonly maxFrameBytes: number
}

/**
 * Entries that go into the log together: the magic line, then for each entry `[1-byte length][id][4-byte big-endian length][data]`, then
 * the SHA-256 of all that in hex.
 */
export function encodeFrame(entries: readonly RawEntry[]): Uint8Array {
  const parts: Uint8Array[] = [MAGIC]
  for (const { id, data } of entries) {
    const name = Buffer.from(id)
    const lengths = Buffer.alloc(5)
    lengths.writeUInt8(name.length, 0)
    lengths.writeUInt32BE(data.length, 1)
    parts.push(lengths.subarray(0, 1), name, lengths.subarray(1), data)
  }
  const body = Buffer.concat(parts)
  return Buffer.concat([body, Buffer.from(sha256(body))])
}

/** Throws `NotSupported` for the frame of a newer program, `Corrupt` for one that is not whole; `name` says where it was. */
export function decodeFrame(name: string, bytes: Uint8Array): readonly RawEntry[] {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const body = frame.subarray(0, Math.max(0, frame.length - SUM_BYTES))
  if (frame.subarray(body.length).toString('latin1') !== sha256(body)) throw broken(name, 'does not match its own sum')
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) {
    if (!body.subarray(0, 10).equals(MAGIC.subarray(0, 10))) throw broken(name, 'is no part of a log')
    throw new BlobsError('NotSupported', `${name} was written by a newer program`, {
      hint: 'update blobs on this machine',
    })
  }
  const entries: RawEntry[] = []
  for (let at = MAGIC.length; at < body.length;) {
    const idEnd = at + 1 + body.readUInt8(at)
    const start = idEnd + 4
    const end = start + body.readUInt32BE(idEnd)
    if (end > body.length) throw broken(name, 'ends in the middle of an entry')
    entries.push({ id: body.toString('utf8', at + 1, idEnd), data: frame.subarray(start, end) })
    at = end
  }
  if (entries.length === 0) throw broken(name, 'holds no entry')
  return entries
}

/** Bytes that an entry takes in a frame. */
function frameBytes({ id, data }: RawEntry): number {
  return 5 + Buffer.byteLength(id) + data.length
}

/** The entries in frames that fit. Throws `TooLarge` if one of them is over the limit. */
export function splitFrames(
  entries: readonly RawEntry[],
  { maxEntryBytes, maxFrameBytes: maxBytes }: FrameLimits,
): readonly (readonly RawEntry[])[] {
  const large = entries.find(({ data }) => data.length > maxEntryBytes)
  if (large !== undefined) throw new BlobsError('TooLarge', `entry ${large.id} has ${large.data.length} bytes`)
  const parts: RawEntry[][] = []
  let bytes = 0
  for (const entry of entries) {
    const last = parts.at(-1)
    bytes += frameBytes(entry)
    if (last !== undefined && last.length < FRAME_ENTRIES && bytes <= maxBytes) {
      last.push(entry)
      continue
    }
    parts.push([entry])
    bytes = frameBytes(entry)
  }
  return parts
}

function broken(name: string, what: string): BlobsError {
  return new BlobsError('Corrupt', `${name} ${what}`, {
    hint: 'the place was damaged: restore it from a backup, or copy the bucket from another place',
  })
}
