import { BlobsError } from './contract/errors.ts'
import type { BucketOptions, EntryInput } from './contract/types.ts'
import type { Follower } from './follow.ts'
import type { View } from './view/view.ts'

/**
 * Throws `Refused` for entries of others into a bucket that is a copy, `InvalidRequest` for entries with a time of their own into one that is
 * not: of the one every entry is the original's, of the other the place says when it was written.
 */
export function checkWriter(entries: readonly EntryInput[], { copyOf }: BucketOptions): void {
  if (copyOf === undefined) {
    const copied = entries.find(({ time }) => time !== undefined)
    if (copied === undefined) return
    throw new BlobsError('InvalidRequest', `entry ${copied.id} is a copy, but the bucket is a bucket of its own`, {
      hint: 'a history is copied into a new bucket: blobs backup, blobs restore-backup',
    })
  }
  if (entries.every(({ time }) => time !== undefined)) return
  const what = copyOf.restoring ? 'is just being restored from' : 'is a backup of'
  throw new BlobsError('Refused', `the bucket ${what} ${copyOf.bucket}: nothing else is written into it`, {
    hint: copyOf.restoring
      ? 'wait until that is done, or do it again: blobs restore-backup'
      : 'write into another bucket · make one of the backup: blobs restore-backup',
  })
}

/** The same follower for readers: they get `Unavailable` while the bucket is being restored, and all of it from then on. */
export function whenRestored(follower: Follower): Follower {
  const guarded = <T>(look: (view: View) => T): ((view: View) => T) => {
    return (view) => {
      checkRestored(view.state().options)
      return look(view)
    }
  }
  return {
    ...follower,
    read: (look) => follower.read(guarded(look)),
    peek: (look) => follower.peek(guarded(look)),
  }
}

function checkRestored(options: string): void {
  // Nearly every bucket has none, and this is asked of each read.
  if (!options.includes('"restoring"')) return
  const { copyOf } = JSON.parse(options) as BucketOptions
  if (copyOf?.restoring === undefined) return
  throw new BlobsError('Unavailable', `the bucket is just being restored from ${copyOf.bucket}`, {
    hint: 'wait until that is done, or do it again: blobs restore-backup',
  })
}
