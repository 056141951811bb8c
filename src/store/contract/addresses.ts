import { hasher, isHash, type Hash } from '../../content/hash.ts'
import { BlobsError } from './errors.ts'

/** Bytes at an address: the SHA-256 of them all. */
export interface AddressedInfo {
  readonly hash: Hash
  readonly size: number
  /** Milliseconds since 1970 by the place's clock. */
  readonly modified: number
}
interface Addressed {
  readonly info: AddressedInfo
  /** The last piece comes only when the hash of all is right; else `Corrupt` is thrown. A piece is to be used before the next is asked for. */
  readonly stream: AsyncIterable<Uint8Array>
}

export interface Expected {
  readonly hash: Hash
  readonly size: number
}

/** A place of bytes by their SHA-256: no names, no versions, no buckets, and nothing ever changes. */
export interface AddressStore {
  /**
   * Puts bytes of any length; durable as the place promises when it resolves. What is there already is kept. With `expected`, what they should
   * be, nothing is read if that is there, and other bytes are `Unavailable`: they changed meanwhile.
   */
  put(
    source: AsyncIterable<Uint8Array>,
    options?: { readonly expected?: Expected },
  ): Promise<{ readonly hash: Hash; readonly size: number }>
  /** Null if there is nothing at that address. */
  find(hash: Hash): Promise<AddressedInfo | null>
  /** Null if there is nothing at that address. */
  get(hash: Hash): Promise<Addressed | null>
  /** All of them, in batches; what is put meanwhile may be in it or not. */
  list(): AsyncIterable<readonly AddressedInfo[]>
  close(): Promise<void>
}

/** `sha256:HEX`, as an address is written. */
export function showAddress(hash: Hash): string {
  return `sha256:${hash}`
}

/** The hash in `sha256:HEX`. Throws `InvalidRequest` for what is no SHA-256. */
export function parseAddress(text: string): Hash {
  const hash = text.replace(/^sha256:/, '').toLowerCase()
  if (isHash(hash)) return hash
  throw new BlobsError('InvalidRequest', `${JSON.stringify(text)} is no address`, {
    hint: 'an address is sha256: and 64 hex digits, as sha256sum prints them',
  })
}

/** Throws for what is no hash, so that it never becomes a path or a name. */
export function checkAddress(hash: Hash): Hash {
  if (isHash(hash)) return hash
  throw new BlobsError('InvalidRequest', `${JSON.stringify(hash)} is no SHA-256`)
}

/** Passes bytes on, and checks them: the last piece comes only if all were right. Throws `Corrupt`. */
export async function* verified(
  source: AsyncIterable<Uint8Array>,
  hash: Hash,
  where: string,
): AsyncGenerator<Uint8Array> {
  const sum = hasher()
  let held: Buffer | null = null
  for await (const piece of source) {
    if (held !== null) yield held
    sum.update(piece)
    held = Buffer.from(piece)
  }
  if (sum.digest('hex') !== hash) {
    throw new BlobsError('Corrupt', `${where} does not hold the bytes of ${showAddress(hash)}`, {
      hint: 'it was damaged, or cut short: remove it there, and put the bytes again',
    })
  }
  if (held !== null) yield held
}
