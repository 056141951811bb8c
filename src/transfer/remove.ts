import { BlobsError } from '../store/contract/errors.ts'
import { listPages } from '../store/contract/pages.ts'
import type { BlobInfo, DeleteChange } from '../store/contract/types.ts'
import { commitEach } from './commit.ts'
import type { TransferContext } from './context.ts'
import { folderOf, lookUp, requireBlob } from './listing.ts'

export interface RemoveOptions {
  readonly recursive: boolean
  /** Only when this is the current version; for a single blob. */
  readonly ifVersion?: number
  readonly dryRun: boolean
}
/** `info` is the tombstone, or with `dryRun` the blob that would go. */
export type RemoveResult =
  | { readonly kind: 'removed'; readonly info: BlobInfo }
  | { readonly kind: 'failed'; readonly key: string; readonly error: unknown }

/**
 * Deletes a blob, or with `recursive` the blob and the folder of that name. What is deleted is what was seen: a blob that someone
 * changes meanwhile stays and is told. Throws `NotFound` when there is neither, `InvalidRequest` for a folder without `recursive`.
 */
export async function* removeTarget(
  context: TransferContext,
  key: string,
  options: RemoveOptions,
): AsyncGenerator<RemoveResult> {
  if (!options.recursive) {
    yield* removeAll(context, [await seen(context, key, options.ifVersion)], options.dryRun)
    return
  }
  const { blob, folder } = await lookUp(context, key)
  const live = blob && !blob.deleted
  if (!live && !folder) await requireBlob(context, key)
  if (live) yield* removeAll(context, [blob], options.dryRun)
  if (!folder) return
  for await (const page of listPages(context.store, { prefix: folderOf(key), limit: 1000 })) {
    context.signal.throwIfAborted()
    yield* removeAll(context, page.items, options.dryRun)
  }
}

type Seen = BlobInfo | { readonly key: string; readonly version: number }

async function seen(context: TransferContext, key: string, ifVersion: number | undefined): Promise<Seen> {
  const all = `delete it with everything in it: blobs rm -r ${context.show(key)}`
  if (ifVersion === undefined) return requireBlob(context, key, undefined, all)
  if (key === '') throw new BlobsError('InvalidRequest', `${context.bucket} is a bucket`, { key, hint: all })
  return { key, version: ifVersion }
}

async function* removeAll(
  context: TransferContext,
  items: readonly Seen[],
  dryRun: boolean,
): AsyncGenerator<RemoveResult> {
  if (dryRun) {
    for (const item of items) yield { kind: 'removed', info: await wouldGo(context, item) }
    return
  }
  const changes = items.map((item): DeleteChange => {
    const { key, version } = item
    return { type: 'delete', key, expect: 'hash' in item ? { version, hash: item.hash } : { version } }
  })
  const outcomes = await commitEach(context, changes)
  context.progress.add(0, outcomes.length)
  for (const [index, outcome] of outcomes.entries()) {
    const key = items[index]?.key ?? ''
    if ('error' in outcome) yield { kind: 'failed', key, error: outcome.error }
    else if (outcome.info) yield { kind: 'removed', info: outcome.info }
  }
}

async function wouldGo(context: TransferContext, item: Seen): Promise<BlobInfo> {
  if ('hash' in item) return item
  const info = await requireBlob(context, item.key)
  if (info.version === item.version) return info
  const conflicts = [{ key: item.key, expected: { version: item.version }, current: info }]
  const { bucket, show } = context
  const hint = `see the difference: blobs history ${show(item.key)}`
  throw new BlobsError('VersionConflict', `${bucket}/${item.key} has changed`, {
    bucket,
    key: item.key,
    conflicts,
    hint,
  })
}
