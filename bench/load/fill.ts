import { randomBytes } from 'node:crypto'
import { sha256 } from '../../src/content/hash.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import type { Chunk, EntryInput } from '../../src/store/contract/types.ts'

const BATCH = 1000
const BATCH_BYTES = 4 * 1024 * 1024
/** Keys in one folder. */
const FOLDER = 1000

/** The key of this number, in folders of a thousand. */
export function keyOf(number: number): string {
  const folder = String(Math.floor(number / FOLDER)).padStart(5, '0')
  return `folder-${folder}/blob-${String(number % FOLDER).padStart(3, '0')}`
}

/** Puts blobs of `size` bytes under the keys of the numbers from `first` to before `end`, an entry each, many in one call. */
export async function fillBucket(
  store: Pick<BlobStore, 'stage' | 'commit'>,
  { first = 0, end, size }: { readonly first?: number; readonly end: number; readonly size: number },
): Promise<void> {
  const batch = Math.max(1, Math.min(BATCH, Math.floor(BATCH_BYTES / Math.max(size, 1))))
  for (let at = first; at < end; at += batch) {
    const bytes = randomBytes(batch * size)
    const chunks = Array.from({ length: Math.min(batch, end - at) }, (_, index) => {
      const own = bytes.subarray(index * size, (index + 1) * size)
      return { hash: sha256(own), bytes: own }
    })
    if (size > 0) await store.stage(chunks)
    const outcomes = await store.commit(chunks.map((chunk, index) => entryOf(keyOf(at + index), chunk)))
    if (!outcomes.every(({ ok }) => ok)) throw new Error('a put of the filling was refused')
  }
}

function entryOf(key: string, { hash, bytes: { length: size } }: Chunk): EntryInput {
  const refs = size === 0 ? [] : [{ hash, size }]
  const put = { type: 'put', key, expect: 'any', hash, size, body: { depth: 0, refs } } as const
  const id = randomBytes(16).toString('hex')
  return { id, changes: [{ ...put, contentType: 'application/octet-stream', meta: {} }] }
}
