import { decodeFrame, encodeFrame } from '../../store/objects/frame.ts'
import type { RawEntry } from '../../store/ports.ts'

/**
 * Most bytes of a frame's entries: with what is around them, in base64, they fit into the 100 kB that the server takes.
 */
export const MOST_FRAME = 74_000

/** What the key of a record of ours says. Keys are made once, and never used again. */
export type RecordKey =
  | { readonly kind: 'make' | 'remove'; readonly name: string; readonly id: string }
  | { readonly kind: 'log' | 'content'; readonly id: string }

/** `id` is the bucket's, `nonce` makes the key the only one. */
export const keys = {
  make: (name: string, id: string) => `blobs/bucket/${name}/make/${id}`,
  remove: (name: string, id: string, nonce: string) => `blobs/bucket/${name}/remove/${id}/${nonce}`,
  log: (id: string, nonce: string) => `blobs/log/${id}/${nonce}`,
  content: (id: string, nonce: string) => `blobs/content/${id}/${nonce}`,
} as const

const BUCKET =
  /^blobs\/bucket\/([a-z0-9_][a-z0-9._-]*)\/(?:(make)\/([0-9a-f]{32})|(remove)\/([0-9a-f]{32})\/[0-9a-f]{32})$/
const PART = /^blobs\/(log|content)\/([0-9a-f]{32})\/[0-9a-f]{32}$/

/** Null for a record that is none of ours. */
export function readKey(key: string): RecordKey | null {
  const [, name = '', make, made = '', remove, removed = ''] = BUCKET.exec(key) ?? []
  if (make !== undefined) return { kind: 'make', name, id: made }
  if (remove !== undefined) return { kind: 'remove', name, id: removed }
  const [, kind, id = ''] = PART.exec(key) ?? []
  return kind === 'log' || kind === 'content' ? { kind, id } : null
}

/** The value of a record: a colon, then a frame in base64. */
export function encodeValue(entries: readonly RawEntry[]): string {
  return `:${Buffer.from(encodeFrame(entries)).toString('base64')}`
}

/** Throws `Corrupt`, and `NotSupported` for what a newer program wrote. */
export function decodeValue(key: string, value: string): readonly RawEntry[] {
  return decodeFrame(`record ${key}`, Buffer.from(value.slice(1), 'base64'))
}
