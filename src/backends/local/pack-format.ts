import { crc32 } from 'node:zlib'
import type { Hash } from '../../content/hash.ts'

/** First bytes of every pack file. */
export const PACK_HEAD = Buffer.from('blobspk1', 'latin1')
/** First bytes of every record. */
export const RECORD_MAGIC = Buffer.from('chnk', 'latin1')
/** Bytes of a record before its content. */
export const RECORD_HEAD_BYTES = 52

/**
 * The head of a record: magic (4), bucket id (8), SHA-256 of the content (32), length of the content (4), CRC-32 of these 48
 * bytes (4); numbers big-endian. The content follows, and then the next record.
 */
export function recordHead(bucket: number, hash: Hash, length: number): Uint8Array {
  const head = Buffer.alloc(RECORD_HEAD_BYTES)
  RECORD_MAGIC.copy(head)
  head.writeBigUInt64BE(BigInt(bucket), 4)
  head.write(hash, 12, 'hex')
  head.writeUInt32BE(length, 44)
  head.writeUInt32BE(crc32(head.subarray(0, 48)), 48)
  return head
}

/** What the head of a record says; null if it is none, or was altered. */
export function readRecordHead(
  bytes: Uint8Array,
): { readonly bucket: number; readonly hash: Hash; readonly size: number } | null {
  if (bytes.length < RECORD_HEAD_BYTES) return null
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, RECORD_HEAD_BYTES)
  if (!head.subarray(0, 4).equals(RECORD_MAGIC) || head.readUInt32BE(48) !== crc32(head.subarray(0, 48))) return null
  const bucket = head.readBigUInt64BE(4)
  if (bucket > Number.MAX_SAFE_INTEGER) return null
  return { bucket: Number(bucket), hash: head.toString('hex', 12, 44), size: head.readUInt32BE(44) }
}

/** Name of a pack's file; numbers start at 1. */
export function packName(pack: number): string {
  return `${String(pack).padStart(6, '0')}.pack`
}

/** The number in the name of a pack's file; null if it is none. */
export function packOfName(name: string): number | null {
  const digits = /^(\d{6,})\.pack$/.exec(name)?.[1]
  return digits === undefined || packName(Number(digits)) !== name ? null : Number(digits)
}
