import type { BlobStore } from '../../store/contract/blob-store.ts'
import type { BlobInfo } from '../../store/contract/types.ts'
import type { Reached } from './replicate.ts'

/**
 * How far a copy is in a bucket that it is no copy of by its epoch: one that was restored from it, or from another copy of the same
 * original. Null unless all that the copy has is the beginning of the bucket's history. Reads both from their start.
 */
export async function reachedIn(source: BlobStore, copy: BlobStore, signal: AbortSignal): Promise<Reached | null> {
  const theirs = versionsOf(source, signal)
  let reached: Reached | null = null
  try {
    for await (const held of versionsOf(copy, signal)) {
      const { value: found, done } = await theirs.next()
      if (done === true || nameOf(found) !== nameOf(held)) return null
      reached = { through: found.position, last: found.entry }
    }
  } finally {
    await theirs.return()
  }
  return reached
}

async function* versionsOf(store: BlobStore, signal: AbortSignal): AsyncGenerator<BlobInfo, void> {
  for await (const item of store.changes({ signal })) if (item.type !== 'bookmark') yield item
}

/** Entries have random ids: what has the same is the same. */
function nameOf({ entry, key, version, hash }: BlobInfo): string {
  return `${entry} ${version} ${hash} ${key}`
}
