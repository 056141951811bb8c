import { EMPTY_HASH } from '../content/hash.ts'
import type { FileStat } from '../platform/ports.ts'
import { FOLDER_TYPE } from '../store/contract/keys.ts'
import type { BlobInfo, Expectation, Meta, PutChange } from '../store/contract/types.ts'
import type { Slabs } from '../store/contract/slabs.ts'
import { openStaging, stagingSlabs, type Staging } from '../store/contract/upload.ts'
import { commitEach } from './commit.ts'
import { unlessAborted, until, type TransferContext } from './context.ts'
import { readFile } from './local-file.ts'
import { contentTypeOf } from './media-types.ts'
import { metaOf } from './metadata.ts'
import { ordered } from './pool.ts'
import type { TreeItem } from './tree.ts'

/** Something to put. A `stream` is read once and may be of any length. */
export type PutItem =
  | TreeItem
  | { readonly kind: 'stream'; readonly path: string; readonly key: string; readonly source: AsyncIterable<Uint8Array> }

export interface PutOptions {
  readonly expect: Expectation
  /** For every item; by the name's extension when absent. */
  readonly contentType?: string
  /** Added to what the file itself says. */
  readonly meta?: Meta
}

/** What became of an item, in the order of the items. */
export type PutResult =
  | { readonly kind: 'put'; readonly path: string; readonly info: BlobInfo }
  | { readonly kind: 'skipped'; readonly path: string; readonly reason: string }
  | { readonly kind: 'failed'; readonly path: string; readonly error: unknown }

const BATCH_BYTES = 8 * 1024 * 1024
const BATCH_ITEMS = 1000
const BATCHES_AT_ONCE = 3

/**
 * Puts items into a bucket: small ones share their round trips, large ones stream, three batches are under way at a time. An item that
 * fails does not stop the others; what concerns them all (unreachable, not signed in, no space) is thrown, after the results so far.
 */
export async function* putItems(
  context: TransferContext,
  items: Iterable<PutItem>,
  options: PutOptions,
): AsyncGenerator<PutResult> {
  const slabs = stagingSlabs()
  const results = ordered(batches(items, context), BATCHES_AT_ONCE, (batch) => putBatch(context, slabs, batch, options))
  for await (const batch of results) yield* batch
}

/** Tells how much there is to put, for a progress that knows its end; `items` are used up. */
export function measureItems(context: TransferContext, items: Iterable<PutItem>): void {
  let [bytes, count] = [0, 0]
  for (const item of items) {
    context.signal.throwIfAborted()
    if (item.kind === 'file') bytes += item.stat.size
    count += 1
  }
  context.progress.expect({ bytes, items: count })
}

function* batches(items: Iterable<PutItem>, context: TransferContext): Generator<readonly PutItem[]> {
  let batch: PutItem[] = []
  let bytes = 0
  for (const item of items) {
    const size = item.kind === 'file' ? item.stat.size : item.kind === 'stream' ? Infinity : 0
    if (batch.length > 0 && (bytes + size > BATCH_BYTES || batch.length >= BATCH_ITEMS)) {
      yield batch
      batch = []
      bytes = 0
    }
    context.signal.throwIfAborted()
    batch.push(item)
    bytes += size
  }
  if (batch.length > 0) yield batch
}

type Prepared = { readonly path: string; readonly change: PutChange } | Exclude<PutResult, { kind: 'put' }>

async function putBatch(
  context: TransferContext,
  slabs: Slabs,
  batch: readonly PutItem[],
  options: PutOptions,
): Promise<PutResult[]> {
  const staging = openStaging(context.store, { slabs, onBytes: (bytes) => context.progress.add(bytes, 0) })
  const prepared: Prepared[] = []
  for (const item of batch) {
    prepared.push(await unlessAborted(prepare(context, staging, item, options), context.signal))
  }
  await unlessAborted(staging.flush(), context.signal)
  context.signal.throwIfAborted()
  const committed = await commitEach(
    context,
    prepared.flatMap((item) => ('change' in item ? [item.change] : [])),
  )
  context.progress.add(0, committed.length)
  const outcomes = committed.values()
  return prepared.map((item) => {
    if (!('change' in item)) return item
    const outcome = outcomes.next().value
    if (outcome && 'info' in outcome && outcome.info) return { kind: 'put', path: item.path, info: outcome.info }
    return {
      kind: 'failed',
      path: item.path,
      error: outcome && 'error' in outcome ? outcome.error : new Error('no outcome'),
    }
  })
}

async function prepare(
  context: TransferContext,
  staging: Staging,
  item: PutItem,
  options: PutOptions,
): Promise<Prepared> {
  switch (item.kind) {
    case 'skipped':
    case 'failed':
      return item
    case 'folder':
      return { path: item.path, change: folderChange(item, options) }
    case 'stream': {
      const staged = await staging.add(until(item.source, context.signal))
      return { path: item.path, change: change(item.key, staged, {}, options) }
    }
    case 'file':
      return prepareFile(context, staging, item, options)
  }
}

async function prepareFile(
  context: TransferContext,
  staging: Staging,
  item: Extract<PutItem, { kind: 'file' }>,
  options: PutOptions,
): Promise<Prepared> {
  let stat: FileStat = item.stat
  let ofDisk: unknown
  // A file that fails leaves its neighbours alone; a store that fails does not, and throws through here.
  const source = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* readFile(context.fs, item.path, context.signal, (seen) => {
        stat = seen
      })
    } catch (error) {
      if (!context.signal.aborted) ofDisk = error
      throw error
    }
  }
  try {
    const staged = await staging.add(source())
    return { path: item.path, change: change(item.key, staged, metaOf(stat), options) }
  } catch (error) {
    if (ofDisk === undefined || ofDisk !== error) throw error
    return { kind: 'failed', path: item.path, error }
  }
}

function change(
  key: string,
  staged: Pick<PutChange, 'hash' | 'size' | 'body'>,
  meta: Meta,
  options: PutOptions,
): PutChange {
  const contentType = options.contentType ?? contentTypeOf(key)
  return { type: 'put', key, expect: options.expect, ...staged, contentType, meta: { ...meta, ...options.meta } }
}

function folderChange(item: Extract<PutItem, { kind: 'folder' }>, options: PutOptions): PutChange {
  const body = { depth: 0, refs: [] }
  return { ...change(item.key, { hash: EMPTY_HASH, size: 0, body }, {}, options), contentType: FOLDER_TYPE }
}
