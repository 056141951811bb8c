import type { BlobStore } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { listPages } from '../store/contract/pages.ts'
import type { BlobInfo, BucketInfo, CopyOf } from '../store/contract/types.ts'
import type { Ids } from '../platform/ports.ts'
import { backUp } from './backup.ts'
import {
  bring,
  createCopy,
  openIfThere,
  originOf,
  toCopy,
  type CopyDone,
  type CopyTask,
  type Opened,
} from './bucket-copy.ts'
import type { Replicated } from './backup/replicate.ts'

export interface RestoreTask extends CopyTask {
  /** A bucket that is there goes, with its history, once everything that takes its place is at its side. */
  readonly replace: boolean
  readonly ids: Ids
}
export interface RestoreDone extends CopyDone {
  /** What stood there, and is gone. */
  readonly replaced: BucketInfo | null
  /** Keys whose bytes the backup does not have: they are deleted in the restored bucket. */
  readonly lost: readonly BlobInfo[]
}

/**
 * Makes a bucket of a backup: with its history and its options, and a new epoch, so that whoever knew the bucket before notices. Until all of it
 * is there nobody else can read or write it; killed before, it goes on when it is called again. Throws `Refused` for a source that is no
 * backup or a target that is one, `AlreadyExists` for a bucket that holds something, unless it is to be replaced.
 */
export async function restoreBackup(task: RestoreTask): Promise<RestoreDone> {
  const from = await task.source.info()
  if (from.options.copyOf === undefined || from.options.copyOf.restoring !== undefined) throw noBackup(from)
  const there = await openIfThere(task.target)
  if (there === null || isGoingOn(task, from, there))
    return { ...(await restoreInto(task, from, there)), replaced: null }
  await checkReplaceable(task, there)
  if (await isEmpty(there)) {
    if (!task.dryRun) await task.target.buckets.remove(task.target.bucket)
    return { ...(await restoreInto(task, from, null)), replaced: null }
  }
  if (task.dryRun) return { ...(await restoreInto(task, from, null)), replaced: there.info }
  return { ...(await replaceBucket(task, there)), from, replaced: there.info }
}

async function restoreInto(
  task: RestoreTask,
  from: BucketInfo,
  there: Opened | null,
): Promise<Omit<RestoreDone, 'replaced'>> {
  const { target, until } = task
  const restoring = until === undefined ? {} : { until: new Date(until).toISOString() }
  const known: CopyOf = there?.info.options.copyOf ?? { ...originOf(from), restoring }
  const created = there === null
  if (task.dryRun) return { ...(await toCopy(task, known)), from, created, lost: [] }
  const copy = there ?? (await createCopy(target, known))
  const done = await bring(task, copy, known)
  const lost = await deleteLost(task, copy.store, done)
  await target.buckets.configure(target.bucket, known.options)
  return { ...done, from, created, lost }
}

/** Whether the bucket is what an earlier call has begun to restore. */
function isGoingOn({ target, until }: RestoreTask, from: BucketInfo, { info }: Opened): boolean {
  const { copyOf } = info.options
  if (copyOf?.restoring === undefined) return false
  const before = copyOf.restoring.until
  if (copyOf.epoch === from.epoch && timeOf(before) === until) return true
  if (copyOf.bucket === sideOf(target.bucket)) return false
  const name = target.show(target.bucket)
  const asOf = before === undefined ? '' : ` as of ${before}`
  throw new BlobsError('Refused', `${name} is just being restored from ${copyOf.bucket}${asOf}`, {
    bucket: info.name,
    hint: `go on with that · or give it up: blobs bucket rm ${name}`,
  })
}

function timeOf(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time)
}

/** Whether nothing was ever written into it. */
async function isEmpty({ store, info }: Opened): Promise<boolean> {
  if (info.options.copyOf !== undefined) return false
  return (await store.list({ versions: true, deleted: true, limit: 1 })).items.length === 0
}

async function checkReplaceable({ target, replace }: RestoreTask, there: Opened): Promise<void> {
  const { info } = there
  const name = target.show(target.bucket)
  if (info.options.copyOf !== undefined && info.options.copyOf.restoring === undefined) {
    throw new BlobsError('Refused', `${name} is a backup itself, of ${info.options.copyOf.bucket}: it is left alone`, {
      bucket: info.name,
      hint: 'name another bucket',
    })
  }
  if (replace || (await isEmpty(there))) return
  throw new BlobsError('AlreadyExists', `there is a bucket ${name} already`, {
    bucket: info.name,
    hint: `restore under another name · or give up what it holds now (${info.blobs === 1 ? '1 blob' : `${info.blobs} blobs`}), with its history: --replace`,
  })
}

/**
 * First all of the backup is brought to the bucket's side, at the same place; then the bucket goes, and is made anew of that. Killed at any
 * moment, one of the two is whole, and the same call goes on.
 */
async function replaceBucket(task: RestoreTask, there: Opened): Promise<Omit<RestoreDone, 'replaced' | 'from'>> {
  const { target } = task
  const side = { ...target, bucket: sideOf(target.bucket) }
  const done = await backUp({ ...task, target: side })
  const beside = await target.open(side.bucket)
  const from = await beside.info()
  const before = there.info.options.copyOf
  const isBegun = before?.epoch === from.epoch && timeOf(before.restoring?.until) === task.until
  if (!isBegun) await target.buckets.remove(target.bucket)
  const again = { ...task, source: beside }
  const { lost } = await restoreInto(again, from, isBegun ? there : null)
  await target.buckets.remove(side.bucket)
  return { ...done, created: false, lost }
}

const MOST_NAME = 63
const SIDE = '.restoring'

function sideOf(bucket: string): string {
  return `${bucket.slice(0, MOST_NAME - SIDE.length)}${SIDE}`
}

/** A blob whose bytes are nowhere must not seem to be there: it is deleted, and its past stays. */
async function deleteLost(
  { source, until, now, ids }: RestoreTask,
  target: BlobStore,
  { damaged }: Replicated,
): Promise<readonly BlobInfo[]> {
  const broken = new Set(damaged.map(({ info }) => `${info.version}/${info.key}`))
  const at = until === undefined ? {} : { at: new Date(until).toISOString() }
  const lost: BlobInfo[] = []
  for await (const { items } of listPages(source, at)) {
    const gone = items.filter((info) => info.dropped === true || broken.has(`${info.version}/${info.key}`))
    if (gone.length === 0) continue
    const outcomes = await target.commit(
      gone.map(({ key, version, hash }) => ({
        id: ids.next(),
        time: now(),
        changes: [{ type: 'delete', key, expect: { version, hash } }],
      })),
    )
    lost.push(...gone.filter((_, index) => outcomes[index]?.ok === true))
  }
  return lost
}

function noBackup({ name, options }: BucketInfo): BlobsError {
  const what = options.copyOf === undefined ? 'is no backup' : 'is just being restored itself'
  return new BlobsError('Refused', `${name} ${what}`, {
    bucket: name,
    hint: 'backups are made by: blobs backup BUCKET DESTINATION · to copy the blobs of a bucket: blobs cp -r',
  })
}
