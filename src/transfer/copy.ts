import { MAX_FETCH_BYTES } from '../store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../store/contract/errors.ts'
import { checkKey } from '../store/contract/keys.ts'
import type { Slabs } from '../store/contract/slabs.ts'
import type { BlobInfo, DeleteChange, PutChange } from '../store/contract/types.ts'
import { openStaging, stagingSlabs, type Staging } from '../store/contract/upload.ts'
import { commitEach, commitEntries, type Committed } from './commit.ts'
import type { TransferContext } from './context.ts'
import { fetchTogether, readBlob } from './get.ts'
import { folderOf, listAll, lookUp, requireBlob } from './listing.ts'
import { ordered } from './pool.ts'

export interface CopyOptions {
  readonly recursive: boolean
  /** The source goes, unless somebody changed it meanwhile. */
  readonly move: boolean
  /** This version of a single blob. */
  readonly version?: number
  readonly expect: 'any' | 'absent'
}
/** One end of a copy. `key` as it was given: '' or with a `/` at its end, a target means "into". */
export interface CopyEnd {
  readonly context: TransferContext
  /** Tells buckets apart, wherever they are. */
  readonly place: string
  readonly key: string
}
export type CopyResult =
  | { readonly kind: 'copied'; readonly from: BlobInfo; readonly info: BlobInfo }
  /** `name`: of the blob that was to be copied, or, `copied`, to be deleted after it was. */
  | { readonly kind: 'failed'; readonly name: string; readonly error: unknown }
export interface CopyPlan {
  /** The folders, each with a `/` at its end or '' for a whole bucket; null for a single blob. */
  readonly folders: { readonly from: string; readonly to: string } | null
  readonly results: AsyncIterable<CopyResult>
}

const BATCH_BYTES = 8 * 1024 * 1024
const BATCH_ITEMS = 1000
const BATCHES_AT_ONCE = 3

interface Pair {
  readonly info: BlobInfo
  readonly key: string
}

/**
 * Copies, or moves, a blob or with `recursive` a folder with everything in it. Within a bucket no bytes travel, and a move of a key is one
 * entry: at no time is there neither or are there both. Between buckets the bytes pass through here, and what is moved is deleted once its
 * copy is there. Throws `NotFound`, and `InvalidRequest` for a folder without `recursive` or one that would be copied into itself.
 */
export async function planCopy(source: CopyEnd, target: CopyEnd, options: CopyOptions): Promise<CopyPlan> {
  const same = source.place === target.place
  const named = options.recursive ? await folderIn(source) : false
  if (!named) {
    const verb = options.move ? 'mv' : 'cp'
    const { show } = source.context
    const all = `take it with everything in it: blobs ${verb} -r ${show(source.key)} ${target.context.show(target.key)}`
    const info = await requireBlob(source.context, source.key, options.version, all)
    const key = checkKey(into(target.key) ? target.key + baseName(info.key) : target.key)
    if (same && key === info.key && options.version === undefined) throw onto(source, info.key)
    return { folders: null, results: copyAll({ source, target, options, same }, [{ info, key }]) }
  }
  const from = folderOf(source.key)
  const to = targetFolder(source.key, target.key)
  if (same && to.startsWith(from)) throw onto(source, from)
  const items = pairs(source.context, from, to)
  // What is written could be met again behind the place where the listing stands.
  const all = same && from.startsWith(to) ? await collect(items) : items
  return { folders: { from, to }, results: copyAll({ source, target, options, same }, all) }
}

/** Whether the source is a folder; throws when the name says both. */
async function folderIn({ context, key }: CopyEnd): Promise<boolean> {
  const { blob, folder } = await lookUp(context, key)
  if (folder && blob && !blob.deleted) {
    throw new BlobsError('InvalidRequest', `${context.bucket}/${key} is both a blob and a folder`, {
      key,
      hint: `the folder: ${context.show(key)}/ · the blob: leave -r away`,
    })
  }
  return folder
}

function into(key: string): boolean {
  return key === '' || key.endsWith('/')
}

function baseName(key: string): string {
  return key.slice(key.replace(/\/$/, '').lastIndexOf('/') + 1)
}

/** As `put` has it; a whole bucket has no name in another: what is in it goes into the target. */
function targetFolder(source: string, target: string): string {
  if (!into(target)) return `${checkKey(target)}/`
  return source === '' ? target : target + folderOf(baseName(source))
}

function onto({ context }: CopyEnd, key: string): BlobsError {
  const name = `${context.bucket}/${key}`
  return new BlobsError('InvalidRequest', `${name} would go into itself`, { key, hint: 'name another place' })
}

async function* pairs(context: TransferContext, from: string, to: string): AsyncGenerator<Pair> {
  for await (const info of listAll(context, { prefix: from })) {
    context.signal.throwIfAborted()
    const key = to + info.key.slice(from.length)
    // The mark of the folder itself, at the top of a bucket, would be no key.
    if (key !== '') yield { info, key }
  }
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of source) all.push(one)
  return all
}

interface Job {
  readonly source: CopyEnd
  readonly target: CopyEnd
  readonly options: CopyOptions
  readonly same: boolean
}

async function* copyAll(job: Job, items: AsyncIterable<Pair> | Iterable<Pair>): AsyncGenerator<CopyResult> {
  const slabs = stagingSlabs()
  const batch = (pairs: readonly Pair[]): Promise<readonly CopyResult[]> =>
    job.same ? copyWithin(job, pairs) : copyAcross(job, slabs, pairs)
  // Keys of one bucket depend on each other: there batches follow each other.
  for await (const results of ordered(batches(items, job.same), job.same ? 1 : BATCHES_AT_ONCE, batch)) yield* results
}

async function* batches(items: AsyncIterable<Pair> | Iterable<Pair>, same: boolean): AsyncGenerator<readonly Pair[]> {
  let batch: Pair[] = []
  let bytes = 0
  for await (const item of items) {
    const size = same ? 0 : item.info.size
    if (batch.length > 0 && (bytes + size > BATCH_BYTES || batch.length >= BATCH_ITEMS)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(item)
    bytes += size
  }
  if (batch.length > 0) yield batch
}

async function copyWithin({ source, target, options }: Job, batch: readonly Pair[]): Promise<readonly CopyResult[]> {
  const { context } = target
  const entries = batch.map(({ info, key }) => {
    const { hash, size, contentType, meta } = info
    const body = { copy: { key: info.key, version: info.version } }
    const put: PutChange = { type: 'put', key, expect: options.expect, hash, size, body, contentType, meta }
    return options.move ? [put, deletion(info)] : [put]
  })
  const outcomes = await commitEntries(context, entries)
  context.progress.add(0, outcomes.length)
  return batch.map(({ info }, index) => resultOf(source, info, outcomes[index]))
}

async function copyAcross(job: Job, slabs: Slabs, batch: readonly Pair[]): Promise<readonly CopyResult[]> {
  const { source, target, options } = job
  const { context } = target
  const staging = openStaging(context.store, { slabs, onBytes: (bytes) => context.progress.add(bytes, 0) })
  const silent = { ...source.context, progress: { ...source.context.progress, add: () => undefined } }
  const small = batch.filter(({ info }) => info.size <= MAX_FETCH_BYTES)
  const bytesOf = small.length > 1 ? await fetchTogether(silent, small) : new Map<Pair, Uint8Array>()
  const changes: (PutChange | { readonly error: unknown })[] = []
  for (const pair of batch) changes.push(await stage(silent, staging, pair, bytesOf.get(pair), options))
  await staging.flush()
  context.signal.throwIfAborted()
  const puts = changes.filter((change): change is PutChange => !('error' in change))
  const outcomes = (await commitEach(context, puts)).values()
  const results = changes.map((change, index): CopyResult => {
    const { info } = batch[index] as Pair
    return resultOf(source, info, 'error' in change ? change : outcomes.next().value)
  })
  context.progress.add(0, puts.length)
  return options.move ? [...results, ...(await removeCopied(source, results))] : results
}

/** Deletes what was copied as it was then; gives what could not be. */
async function removeCopied(source: CopyEnd, results: readonly CopyResult[]): Promise<readonly CopyResult[]> {
  const copied = results.filter((result) => result.kind === 'copied')
  const outcomes = await commitEach(
    source.context,
    copied.map(({ from }) => deletion(from)),
  )
  return copied.flatMap(({ from }, index): CopyResult[] => {
    const outcome = outcomes[index]
    return outcome && 'error' in outcome ? [resultOf(source, from, outcome)] : []
  })
}

function deletion({ key, version, hash }: BlobInfo): DeleteChange {
  return { type: 'delete', key, expect: { version, hash } }
}

async function stage(
  source: TransferContext,
  staging: Staging,
  { info, key }: Pair,
  bytes: Uint8Array | undefined,
  { expect }: CopyOptions,
): Promise<PutChange | { readonly error: unknown }> {
  let ofSource: unknown
  // A blob that cannot be read leaves its neighbours alone.
  const read = async function* (): AsyncGenerator<Uint8Array> {
    try {
      if (bytes === undefined) yield* readBlob(source, info)
      else yield bytes
    } catch (error) {
      if (isBlobsError(error, 'NotFound') || isBlobsError(error, 'Corrupt')) ofSource = error
      throw error
    }
  }
  try {
    const { contentType, meta } = info
    return { type: 'put', key, expect, ...(await staging.add(read())), contentType, meta }
  } catch (error) {
    if (ofSource === undefined || ofSource !== error) throw error
    return { error }
  }
}

function resultOf(source: CopyEnd, from: BlobInfo, outcome: Committed | undefined): CopyResult {
  if (outcome && 'info' in outcome && outcome.info) return { kind: 'copied', from, info: outcome.info }
  const error = outcome && 'error' in outcome ? outcome.error : new Error('no outcome')
  return { kind: 'failed', name: `${source.context.bucket}/${from.key}`, error }
}
