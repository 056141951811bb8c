import { readBody } from '../../content/body.ts'
import { BlobsError } from '../contract/errors.ts'
import type { ChangeInput, EntryInput, PutChange } from '../contract/types.ts'
import type { ForeignBucket, ForeignChange } from './foreign.ts'
import type { Parts } from './standing.ts'

/** Changes of an entry that are still to be made there. */
export interface ToWrite {
  readonly entry: EntryInput
  readonly changes: readonly ChangeInput[]
  /** The tag that each replaces; null if nothing is there. */
  readonly before: ReadonlyMap<string, string | null>
}
/** A change that was made there, and the tag of what stands there now. */
export type Written = readonly [change: ChangeInput, tag: string | null]

/** Writes puts before deletes: what is moved is never nowhere. Throws as `ForeignBucket.write`. */
export async function writeThere(
  parts: Pick<Parts, 'foreign' | 'shadow' | 'content'>,
  { entry, changes, before }: ToWrite,
): Promise<readonly Written[]> {
  const ordered = [...changes.filter(({ type }) => type === 'put'), ...changes.filter(({ type }) => type === 'delete')]
  if (ordered.length === 0) return []
  const tags = await parts.foreign.write(
    ordered.map((change): ForeignChange => {
      const { key } = change
      const expected = before.get(key) ?? null
      if (change.type === 'delete') return { key, expected, put: null }
      const { hash, size } = change
      return { key, expected, put: { hash, size, open: () => bytesOf(parts, entry, change) } }
    }),
  )
  return ordered.map((change, index) => [change, tags[index] ?? null])
}

/** Throws `InvalidKey`, `TooLarge` for what could never be written there. */
export function checkWritable(foreign: ForeignBucket, entries: readonly EntryInput[]): void {
  for (const { changes } of entries) {
    for (const change of changes) foreign.check(change.key, change.type === 'put' ? change.size : 0)
  }
}

/** The staged bytes of a put, or those of the version that it copies. */
async function* bytesOf(
  { shadow, content }: Pick<Parts, 'shadow' | 'content'>,
  { changes }: EntryInput,
  { key, hash, body }: PutChange,
): AsyncGenerator<Uint8Array, void> {
  if ('refs' in body) {
    yield* readBody(body, (hashes) => content.get(hashes))
    return
  }
  if ('dropped' in body) throw new BlobsError('InvalidRequest', `${key} has no bytes`, { key })
  const { copy } = body
  const blob = await shadow.get(copy.key, { version: copy.version })
  if (blob?.info.hash === hash) {
    yield* blob.stream
    return
  }
  const source = changes.find((one) => one.type === 'put' && one.key === copy.key && one.hash === hash)
  if (source?.type !== 'put' || !('refs' in source.body)) {
    throw new BlobsError('NotFound', `${key} is to be a copy of ${copy.key}, which is not there any more`, { key })
  }
  yield* readBody(source.body, (hashes) => content.get(hashes))
}
