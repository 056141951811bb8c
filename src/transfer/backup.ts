import { BlobsError } from '../store/contract/errors.ts'
import type { BucketInfo, CopyOf } from '../store/contract/types.ts'
import {
  bring,
  createCopy,
  markOf,
  openIfThere,
  originOf,
  reconfigure,
  toCopy,
  type CopyDone,
  type CopyTask,
  type Opened,
  type TargetBucket,
} from './bucket-copy.ts'
import { reachedIn } from './backup/lineage.ts'

/**
 * Makes the target a backup of the source, or brings the one that it is up to date: a bucket with the same history, which says of what it is
 * a copy and up to where, so that any machine may go on. Throws `Refused` for a target that is anything else.
 */
export async function backUp(task: CopyTask): Promise<CopyDone> {
  const { source, target, now } = task
  const from = await source.info()
  const there = await openIfThere(target)
  const known = there === null ? originOf(from) : await backupOf(task, from, there)
  const created = there === null
  if (task.dryRun) return { ...(await toCopy(task, known)), from, created }
  const copy = there ?? (await createCopy(target, known))
  const done = await bring(task, copy, known)
  const copyOf = { ...known, ...markOf(done), options: originOf(from).options, at: new Date(now()).toISOString() }
  await reconfigure(target, copy, (options) => ({ ...options, copyOf }))
  return { ...done, from, created }
}

/** What the target says of itself, if it is a backup of the source. Throws `Refused`. */
async function backupOf({ source, target, signal }: CopyTask, from: BucketInfo, there: Opened): Promise<CopyOf> {
  const { copyOf } = there.info.options
  if (copyOf === undefined) throw notOurs(target, 'is a bucket of its own, no backup')
  if (copyOf.restoring !== undefined) throw notOurs(target, `is just being restored from ${copyOf.bucket}`)
  if (copyOf.epoch === from.epoch) return copyOf
  // The bucket may have been restored from this very backup.
  const reached = await reachedIn(source, there.store, signal)
  if (reached !== null) return { ...originOf(from), ...markOf(reached) }
  throw notOurs(target, 'is a backup of another bucket, or of this one before it went back in time')
}

function notOurs({ bucket, show }: TargetBucket, what: string): BlobsError {
  return new BlobsError('Refused', `${show(bucket)} ${what}: it stays as it is`, {
    bucket,
    hint: 'name a bucket that is not there yet',
  })
}
