import { createHash, type Hash as Hasher } from 'node:crypto'
import * as crypto from 'node:crypto'

export type { Hasher }

/** SHA-256 as 64 lower-case hex digits. */
export type Hash = string

export function sha256(bytes: Uint8Array): Hash {
  return crypto.hash('sha256', bytes, 'hex')
}

/** A SHA-256 to be fed piece by piece; end with `.digest('hex')`. */
export function hasher(): Hasher {
  return createHash('sha256')
}

export function isHash(text: string): text is Hash {
  return /^[0-9a-f]{64}$/.test(text)
}

export const EMPTY_HASH: Hash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
