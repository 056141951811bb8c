import type { BlobStore, Buckets } from '../store/contract/blob-store.ts'
import { isBlobsError } from '../store/contract/errors.ts'
import type { BucketInfo, BucketOptions, CopyOf } from '../store/contract/types.ts'
import type { TransferProgress } from './context.ts'
import { measure, replicate, type Reached, type Replicated } from './backup/replicate.ts'

/** A bucket that is written, which need not be there yet. */
export interface TargetBucket {
  readonly bucket: string
  /** Of its place. */
  readonly buckets: Buckets
  /** As a command line names a bucket of that place. */
  readonly show: (bucket: string) => string
  /** Opens a bucket of the place. Throws `NotFound`. */
  open(bucket: string): Promise<BlobStore>
}
export interface CopyTask {
  readonly source: BlobStore
  readonly target: TargetBucket
  /** What was written later stays away, milliseconds since 1970. */
  readonly until?: number | undefined
  /** See `Replicating`. */
  readonly skipDamaged: boolean
  /** Changes nothing, and tells what there is to copy. */
  readonly dryRun: boolean
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly signal: AbortSignal
  readonly progress: TransferProgress
}
export interface CopyDone extends Omit<Replicated, 'last' | 'through'> {
  /** The source as it was when the copying began. */
  readonly from: BucketInfo
  /** The target was not there. */
  readonly created: boolean
}

/** A bucket, and what it said of itself when it was opened. */
export interface Opened {
  readonly store: BlobStore
  readonly info: BucketInfo
}

/** Null for a bucket that is not there; on a server one that the first write would make is not there either. */
export async function openIfThere(target: TargetBucket): Promise<Opened | null> {
  try {
    const store = await target.open(target.bucket)
    return { store, info: await store.info() }
  } catch (error) {
    if (isBlobsError(error, 'NotFound')) return null
    throw error
  }
}

export async function createCopy(target: TargetBucket, copyOf: CopyOf): Promise<Opened> {
  const info = await target.buckets.create(target.bucket, { copyOf })
  return { store: await target.open(target.bucket), info }
}

/** What a new copy of a bucket says; of a copy, what a copy of the original would. */
export function originOf({ name, epoch, options: { copyOf, ...own } }: BucketInfo): CopyOf {
  return { bucket: name, epoch, options: copyOf?.options ?? own }
}

/** What there is to copy into a target that has `copyOf` already. */
export async function toCopy({ source, until, signal }: CopyTask, copyOf: Partial<CopyOf> = {}): Promise<Replicated> {
  return { ...(await measure({ source, from: copyOf, until, signal })), damaged: [] }
}

/** Brings a copy up to the source's end, or up to `until`; `copyOf` is what it says of itself. */
export async function bring(task: CopyTask, copy: Opened, copyOf: CopyOf): Promise<Replicated> {
  const { progress, target } = task
  if (progress.watched) {
    const { bytes, versions } = await toCopy(task, copyOf)
    progress.expect({ bytes, items: versions })
  }
  const mark = (reached: Reached): Promise<void> =>
    reconfigure(target, copy, (now) => ({ ...now, copyOf: { ...copyOf, ...markOf(reached) } }))
  return replicate({ ...task, target: copy.store, from: copyOf, mark })
}

/** How far a copy is, as it says of itself. */
export function markOf({ through, last }: Reached): Pick<CopyOf, 'through' | 'last'> {
  return { ...(through === '' ? {} : { through }), ...(last === undefined ? {} : { last }) }
}

/** Changes the options of a bucket as they are now: somebody may have set others meanwhile. */
export async function reconfigure(
  { bucket, buckets }: TargetBucket,
  { store }: Opened,
  change: (now: BucketOptions) => BucketOptions,
): Promise<void> {
  await buckets.configure(bucket, change((await store.info()).options))
}
