import { randomBytes } from 'node:crypto'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import type {
  BlobInfo,
  ChangeInput,
  EntryInput,
  Expectation,
  FeedItem,
  ListOptions,
  Outcome,
  Page,
  PutChange,
} from '../../src/store/contract/types.ts'
import { stageStream } from '../../src/store/contract/upload.ts'

/** What the tests do to a store, in one line each. */
export function newId(): string {
  return randomBytes(16).toString('hex')
}

export interface PutOptions {
  readonly expect?: Expectation
  readonly contentType?: string
  readonly meta?: Record<string, string>
}

/** Stages the bytes; gives the change that names them. */
export async function putChange(
  store: BlobStore,
  key: string,
  bytes: string | Uint8Array,
  { expect = 'any', contentType = 'text/plain', meta = {} }: PutOptions = {},
): Promise<PutChange> {
  const staged = await stageStream(store, once(typeof bytes === 'string' ? Buffer.from(bytes) : bytes))
  return { type: 'put', key, expect, ...staged, contentType, meta }
}

export function deleteChange(key: string, expect: Expectation = 'any'): ChangeInput {
  return { type: 'delete', key, expect }
}

export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes
}

export function entry(...changes: readonly ChangeInput[]): EntryInput {
  return { id: newId(), changes }
}

export async function commit(store: BlobStore, input: EntryInput): Promise<Outcome> {
  const [outcome] = await store.commit([input])
  if (outcome === undefined) throw new Error('commit gave no outcome')
  return outcome
}

/** Commits one change; throws unless it took effect. */
export async function act(store: BlobStore, change: ChangeInput): Promise<BlobInfo> {
  const outcome = await commit(store, entry(change))
  const [info] = outcome.ok ? outcome.blobs : []
  if (info === undefined) throw new Error(`${change.type} of ${change.key} made no version: ${JSON.stringify(outcome)}`)
  return info
}

export async function put(
  store: BlobStore,
  key: string,
  bytes: string | Uint8Array,
  options?: PutOptions,
): Promise<BlobInfo> {
  return act(store, await putChange(store, key, bytes, options))
}

export async function remove(store: BlobStore, key: string): Promise<BlobInfo> {
  return act(store, deleteChange(key))
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export async function bytesOf(
  store: BlobStore,
  key: string,
  options: Parameters<BlobStore['get']>[1] = {},
): Promise<Buffer | null> {
  const blob = await store.get(key, options)
  return blob === null ? null : Buffer.concat(await collect(blob.stream))
}

export async function textOf(
  store: BlobStore,
  key: string,
  options: Parameters<BlobStore['get']>[1] = {},
): Promise<string | null> {
  return (await bytesOf(store, key, options))?.toString() ?? null
}

/** All pages of a listing; stops if a page neither ends it nor leads on. */
export async function listAll(store: BlobStore, options: ListOptions): Promise<Page[]> {
  const pages: Page[] = []
  let after = options.after
  for (;;) {
    const page = await store.list({ ...options, ...(after === undefined ? {} : { after }) })
    pages.push(page)
    if (page.complete) return pages
    if (page.next === undefined || page.next === after) throw new Error('an incomplete page does not lead on')
    after = page.next
  }
}

/** `put k 2`, `delete k 3` or `bookmark`. */
export function told(item: FeedItem): string {
  return item.type === 'bookmark' ? 'bookmark' : `${item.type} ${item.key} ${item.version}`
}
