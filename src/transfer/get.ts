import { join } from 'node:path'
import { writeAtomically } from '../platform/atomic-write.ts'
import { sha256 } from '../content/hash.ts'
import { MAX_FETCH_BYTES } from '../store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../store/contract/errors.ts'
import { free } from '../store/contract/slabs.ts'
import type { BlobInfo } from '../store/contract/types.ts'
import { unlessAborted, until, type TransferContext } from './context.ts'
import {
  attributesOf,
  concernsAll,
  openFolders,
  openLanding,
  refuseFolder,
  segmentsOf,
  withPath,
  type Landing,
  type SmallFile,
} from './landing.ts'
import { folderOf, listAll } from './listing.ts'
import { ordered } from './pool.ts'

/** A version of a blob, and the file that it shall become. */
export interface GetItem {
  readonly info: BlobInfo
  readonly path: string
}
export type GetResult =
  | { readonly kind: 'got'; readonly path: string; readonly info: BlobInfo }
  | { readonly kind: 'failed'; readonly path: string; readonly error: unknown }

export type Range = readonly [first: number, last: number]

const BATCH_BYTES = 8 * 1024 * 1024
const BATCH_ITEMS = 1000
const BATCHES_AT_ONCE = 3

/**
 * Gets everything in the folder `key` ('' is the whole bucket) into the local folder `destination`, which is made when missing. What
 * cannot be a file there is told and does not stop the others; what concerns all is thrown.
 */
export async function* getFolder(
  context: TransferContext,
  key: string,
  destination: string,
): AsyncGenerator<GetResult> {
  const prefix = folderOf(key)
  const folder = openFolders(context.fs, destination)
  const source = async function* (): AsyncGenerator<GetItem | GetResult> {
    for await (const info of listAll(context, { prefix })) {
      context.signal.throwIfAborted()
      if (info.key === prefix) continue
      yield place(info, prefix, destination, folder)
    }
  }
  makeDestination(context, destination)
  yield* getItems(context, source(), destination)
}

/** Bytes and blobs in a folder, for a progress that knows its end. */
export async function measureFolder(context: TransferContext, key: string): Promise<void> {
  let [bytes, items] = [0, 0]
  for await (const info of listAll(context, { prefix: folderOf(key) })) {
    context.signal.throwIfAborted()
    bytes += info.size
    items += 1
  }
  context.progress.expect({ bytes, items })
}

/** Gets each item into its file; all are durable when it ends. `root` is a folder on the file system of them all. */
export async function* getItems(
  context: TransferContext,
  items: AsyncIterable<GetItem | GetResult> | Iterable<GetItem>,
  root: string,
): AsyncGenerator<GetResult> {
  const landing = openLanding(context.fs, context.ids, root)
  const results = ordered(batches(items), BATCHES_AT_ONCE, (batch) => getBatch(context, batch, landing))
  for await (const batch of results) yield* batch
  await landing.settle()
}

/** One blob, or a part of it, into one file; returns the bytes written. Its file is replaced only once all of it is there. */
export async function getFile(context: TransferContext, item: GetItem, range?: Range): Promise<number> {
  const { info, path } = item
  refuseFolder(context.fs, path)
  const bytes = spent(readBlob(context, info, range))
  const { mode, mtimeNs } = attributesOf(info.meta)
  try {
    return await writeAtomically(context.fs, context.ids, path, bytes, {
      size: info.size,
      ...(range ? {} : { mode, mtimeNs }),
    })
  } catch (error) {
    throw withPath(error, path)
  }
}

/** The verified bytes of a version. Throws `NotFound` when it went away. */
export async function* readBlob(context: TransferContext, info: BlobInfo, range?: Range): AsyncGenerator<Uint8Array> {
  const getting = context.store.get(info.key, { version: info.version, ...(range ? { range } : {}) })
  const blob = await unlessAborted(getting, context.signal)
  if (!blob) throw gone(context, info)
  if (blob.info.hash !== info.hash || blob.info.size !== info.size) {
    await leave(blob.stream)
    throw another(context, info)
  }
  for await (const bytes of until(blob.stream, context.signal)) {
    context.progress.add(bytes.length, 0)
    yield bytes
  }
}

/** Pieces whose memory is given back when the next is asked for: a large file is written with little of it. */
async function* spent(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    yield piece
    free(piece)
  }
}

function makeDestination(context: TransferContext, destination: string): void {
  if (context.fs.lstat(destination) === null) context.fs.mkdir(destination)
}

function place(
  info: BlobInfo,
  prefix: string,
  destination: string,
  folder: (segments: readonly string[]) => string,
): GetItem | GetResult {
  const relative = info.key.slice(prefix.length)
  const segments = segmentsOf(relative)
  const name = `${info.bucket}/${info.key}`
  if (typeof segments === 'string') {
    const error = new BlobsError('InvalidKey', `${name} cannot be a file here: ${segments}`, {
      key: info.key,
      hint: 'get it alone under another name: blobs get SOURCE FILE',
    })
    return { kind: 'failed', path: name, error }
  }
  const path = join(destination, ...segments)
  try {
    const isFolder = relative.endsWith('/')
    folder(isFolder ? segments : segments.slice(0, -1))
    return isFolder ? { kind: 'got', path, info } : { info, path }
  } catch (error) {
    if (concernsAll(error)) throw error
    return { kind: 'failed', path, error }
  }
}

async function* batches(
  items: AsyncIterable<GetItem | GetResult> | Iterable<GetItem>,
): AsyncGenerator<readonly (GetItem | GetResult)[]> {
  let batch: (GetItem | GetResult)[] = []
  let bytes = 0
  for await (const item of items) {
    const size = isItem(item) ? item.info.size : 0
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

async function getBatch(
  context: TransferContext,
  batch: readonly (GetItem | GetResult)[],
  landing: Landing,
): Promise<readonly GetResult[]> {
  const items = batch.filter(isItem)
  const small = items.filter((item) => item.info.size <= MAX_FETCH_BYTES)
  const results = new Map<GetItem, GetResult>()
  const bytesOf = small.length > 1 ? await fetchTogether(context, small) : new Map<GetItem, Uint8Array>()
  const files = small.flatMap((item): SmallFile[] => {
    const bytes = bytesOf.get(item)
    return bytes ? [{ path: item.path, bytes, meta: item.info.meta }] : []
  })
  const landed = new Map((await landing.land(files)).map((one) => [one.path, one]))
  for (const item of items) {
    const one = bytesOf.has(item) ? landed.get(item.path) : undefined
    const result = one ? toResult(item, one.error) : await getAlone(context, item)
    context.progress.add(0, 1)
    results.set(item, result)
  }
  return batch.flatMap((item) => (isItem(item) ? (results.get(item) ?? []) : [item]))
}

function isItem(item: GetItem | GetResult): item is GetItem {
  return !('kind' in item)
}

function toResult(item: GetItem, error: unknown): GetResult {
  return error === undefined ? { kind: 'got', ...item } : { kind: 'failed', path: item.path, error }
}

async function getAlone(context: TransferContext, item: GetItem): Promise<GetResult> {
  try {
    await getFile(context, item)
    return { kind: 'got', ...item }
  } catch (error) {
    context.signal.throwIfAborted()
    if (concernsAll(error) || (isBlobsError(error) && !['NotFound', 'Corrupt', 'Refused'].includes(error.code)))
      throw error
    return { kind: 'failed', path: item.path, error }
  }
}

/** The bytes of small blobs. What is left out is to be asked for alone afterwards: there it gets its own error. */
export async function fetchTogether<T extends { readonly info: BlobInfo }>(
  context: TransferContext,
  items: readonly T[],
): Promise<Map<T, Uint8Array>> {
  const wanted = new Map(items.map((item) => [`${item.info.version}/${item.info.key}`, item]))
  const found = new Map<T, Uint8Array>()
  const wants = items.map(({ info }) => ({ key: info.key, version: info.version }))
  try {
    for await (const one of until(context.store.fetch(wants), context.signal)) {
      const item = wanted.get(`${one.version}/${one.key}`)
      // What the listing told of it: the answer only vouches for itself.
      if (!item || one.bytes.length !== item.info.size || sha256(one.bytes) !== item.info.hash) continue
      found.set(item, one.bytes)
      context.progress.add(one.bytes.length, 0)
    }
  } catch (error) {
    if (!isBlobsError(error, 'Corrupt')) throw error
  }
  return found
}

/** Ends a stream that is not wanted: one that nobody reads keeps its connection. */
async function leave(stream: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const _bytes of stream) break
  } catch {
    // It is not wanted in any case.
  }
}

function another(context: TransferContext, { key, version }: BlobInfo): BlobsError {
  return new BlobsError(
    'Corrupt',
    `version ${version} of ${context.bucket}/${key} came as other bytes than were listed`,
    {
      key,
      hint: 'nothing of it was kept: get it again',
    },
  )
}

function gone(context: TransferContext, info: BlobInfo): BlobsError {
  return new BlobsError('NotFound', `version ${info.version} of ${context.bucket}/${info.key} is not there any more`, {
    key: info.key,
  })
}
