import type { BodyRef, Span } from '../content/body.ts'
import { hasher, type Hash, type Hasher } from '../content/hash.ts'
import type { Passage } from './contract/blob-store.ts'
import { free } from './contract/slabs.ts'
import type { Chunk } from './contract/types.ts'
import type { Content } from './ports.ts'

/** Uploads that are followed at once; the one begun first is forgotten for one more. */
const UPLOADS = 1024
/** Passages of one upload that may come too early. */
const EARLY = 64
/** Chunks that are read at once. */
const READ = 8

/**
 * Hashes large blobs while their chunks come, so that they need not be read again when they are committed. What it does not know, for whatever
 * reason, is to be read: it never says that it saw what it did not see.
 */
export interface Witness {
  /** `chunks` come with the passage, and are not looked at any more when it resolves; the others are there. Never rejects but as `stored`. */
  pass(passage: Passage, chunks: readonly Chunk[], stored: Promise<void>): Promise<void>
  /** The SHA-256 of the bytes of these chunks, if just they passed in this order; null if not. An upload is told once. */
  hashOf(spans: AsyncIterable<Span>): Promise<Hash | null>
}

interface Upload {
  /** Bytes that passed, or are about to. */
  next: number
  readonly whole: Hasher
  readonly refs: Hasher
  readonly early: Map<number, readonly BodyRef[]>
  turn: Promise<void>
}

export function openWitness(content: Pick<Content, 'get'>): Witness {
  const uploads = new Map<Hash, Upload>()
  const begin = (first: Hash): void => {
    uploads.delete(first)
    const [oldest] = uploads.keys()
    if (uploads.size >= UPLOADS && oldest !== undefined) uploads.delete(oldest)
    uploads.set(first, { next: 0, whole: hasher(), refs: hasher(), early: new Map(), turn: Promise.resolve() })
  }
  /** In its turn; what fails is no longer followed. */
  const follow = (first: Hash, upload: Upload, refs: readonly BodyRef[], chunks: readonly Chunk[]): void => {
    upload.next += refs.reduce((sum, ref) => sum + ref.size, 0)
    upload.turn = upload.turn
      .then(() => hashAll(upload, refs, new Map(chunks.map((chunk) => [chunk.hash, chunk.bytes])), content))
      .catch(() => {
        if (uploads.get(first) === upload) uploads.delete(first)
      })
  }
  return {
    pass: async ({ first, at, refs }, chunks, stored) => {
      if (at === 0) begin(first)
      const upload = uploads.get(first)
      if (upload === undefined) return
      // What comes too early is read when its turn comes: it must be there by then.
      if (upload.next !== at) await stored
      if (upload.next === at) {
        follow(first, upload, refs, chunks)
        for (let next = upload.early.get(upload.next); next; next = upload.early.get(upload.next)) {
          upload.early.delete(upload.next)
          follow(first, upload, next, [])
        }
      } else if (upload.next < at && upload.early.size < EARLY) upload.early.set(at, refs)
      await upload.turn
    },
    hashOf: async (spans) => {
      let [first, upload]: [Hash, Upload | undefined] = ['', undefined]
      const named = hasher()
      let bytes = 0
      for await (const { refs } of spans) {
        if (first === '') {
          first = refs[0]?.hash ?? ''
          upload = uploads.get(first)
          if (upload === undefined) return null
        }
        for (const ref of refs) {
          named.update(nameOf(ref))
          bytes += ref.size
        }
      }
      if (upload === undefined || upload.next !== bytes || uploads.get(first) !== upload) return null
      await upload.turn
      if (upload.next !== bytes || uploads.get(first) !== upload) return null
      uploads.delete(first)
      return upload.refs.digest('hex') === named.digest('hex') ? upload.whole.digest('hex') : null
    },
  }
}

function nameOf({ hash, size }: BodyRef): string {
  return `${hash} ${size}\n`
}

/** Throws when a chunk is not there, or has another length. */
async function hashAll(
  upload: Upload,
  refs: readonly BodyRef[],
  brought: ReadonlyMap<Hash, Uint8Array>,
  content: Pick<Content, 'get'>,
): Promise<void> {
  const add = (ref: BodyRef, bytes: Uint8Array | null | undefined): void => {
    if (bytes?.length !== ref.size) throw new Error(`chunk ${ref.hash} is not what was told of it`)
    upload.whole.update(bytes)
    upload.refs.update(nameOf(ref))
  }
  for (let at = 0; at < refs.length;) {
    const ref = refs[at] as BodyRef
    const bytes = brought.get(ref.hash)
    if (bytes !== undefined) {
      add(ref, bytes)
      at += 1
      continue
    }
    const rest = refs.slice(at, at + READ)
    const known = rest.findIndex(({ hash }) => brought.has(hash))
    const wanted = known === -1 ? rest : rest.slice(0, known)
    const contents = await content.get(wanted.map(({ hash }) => hash))
    for (const [index, one] of wanted.entries()) {
      const found = contents[index]
      add(one, found)
      if (found) free(found)
    }
    at += wanted.length
  }
}
