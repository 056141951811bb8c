import { type Hash, sha256 } from '../../content/hash.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import type { Content } from '../../store/ports.ts'
import { MOST_LINES } from './lines.ts'
import { MOST_BYTES, type Refs, type Value } from './refs.ts'

const LIST = Buffer.from('blobs parts 1\n')
/** How often bytes that are not those of their hash are replaced before that is given up. */
const REPAIRS = 8

/**
 * Content where the bytes of a chunk stand at the reference that is their SHA-256. What cannot stand there itself, because it is empty or
 * too large, is a list: the line `blobs parts 1`, then the SHA-256 of each part on a line of its own; the parts stand at theirs.
 */
export function openContent(refs: Refs): Content {
  const ensure = async (ref: Hash, bytes: Uint8Array): Promise<void> => {
    let there = await refs.create(ref, bytes)
    for (let tries = 0; there !== null && !isGood(ref, there, bytes); tries++) {
      if (tries === REPAIRS) throw new BlobsError('Unavailable', `the server does not keep what is set at ${ref}`)
      const answer = await refs.replace(ref, bytes, there.version)
      there = answer.made ? null : answer.current
    }
  }
  const put = async (hash: Hash, bytes: Uint8Array): Promise<void> => {
    if (bytes.length > 0 && bytes.length <= MOST_BYTES) return ensure(hash, bytes)
    const parts: Hash[] = []
    for (let at = 0; at < bytes.length; at += MOST_BYTES) {
      const part = bytes.subarray(at, at + MOST_BYTES)
      parts.push(sha256(part))
      await ensure(sha256(part), part)
    }
    await ensure(hash, Buffer.concat([LIST, Buffer.from(parts.map((part) => `${part}\n`).join(''))]))
  }
  const get = async (hash: Hash): Promise<Uint8Array | null> => {
    const bytes = (await refs.readKnown(hash))?.bytes ?? null
    const parts = bytes === null || sha256(bytes) === hash ? null : partsOf(bytes)
    if (parts === null) return bytes
    const all: Uint8Array[] = []
    for (const part of parts) {
      const some = (await refs.readKnown(part))?.bytes ?? null
      if (some === null) return null
      all.push(some)
    }
    return Uint8Array.from(Buffer.concat(all))
  }
  return {
    put: async (chunks) => {
      const fresh = new Map(chunks.map(({ hash, bytes }) => [hash, bytes]))
      await eachOf([...fresh], MOST_LINES, ([hash, bytes]) => put(hash, bytes))
    },
    get: (hashes) => eachOf(hashes, MOST_LINES, get),
    missing: async (hashes) => {
      const found = await eachOf(hashes, MOST_LINES, async (hash) => {
        const there = await refs.probe(hash)
        // Of the first version the bytes are not asked for: it was set by who had them.
        return there !== null && (there.version === 1 || isGood(hash, there))
      })
      return hashes.filter((_, index) => found[index] !== true)
    },
    close: async () => undefined,
  }
}

function isGood(ref: Hash, { bytes }: Value, wanted?: Uint8Array): boolean {
  if (bytes === null) return false
  return sha256(bytes) === ref || (wanted === undefined ? partsOf(bytes) !== null : Buffer.from(wanted).equals(bytes))
}

/** Null if it is no list. */
function partsOf(bytes: Uint8Array): readonly Hash[] | null {
  if (!LIST.equals(bytes.subarray(0, LIST.length))) return null
  return Buffer.from(bytes.subarray(LIST.length)).toString('latin1').split('\n').filter(Boolean)
}
