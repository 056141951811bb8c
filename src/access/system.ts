import type { BlobStore, Buckets } from '../store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../store/contract/errors.ts'
import { SYSTEM_BUCKET } from '../store/contract/keys.ts'
import { listPages } from '../store/contract/pages.ts'
import type { Expectation, Page, PutChange } from '../store/contract/types.ts'
import { stageStream } from '../store/contract/upload.ts'

/** Opens the reserved bucket of a place; it is made when it is not there. Close it. */
export async function openSystem(buckets: Pick<Buckets, 'open' | 'create'>): Promise<BlobStore> {
  try {
    return await buckets.open(SYSTEM_BUCKET)
  } catch (error) {
    if (!isBlobsError(error, 'NotFound')) throw error
  }
  await buckets.create(SYSTEM_BUCKET).catch((error: unknown) => {
    if (!isBlobsError(error, 'AlreadyExists')) throw error
  })
  return buckets.open(SYSTEM_BUCKET)
}

/** A record as it lies in the reserved bucket. */
export interface Kept {
  readonly key: string
  readonly version: number
  readonly value: unknown
}

/** Records asked for at once. */
const BATCH = 500

/** The records below a prefix, by key; `onPage` is told of each page before its records. */
export async function* readRecords(
  store: BlobStore,
  prefix: string,
  { after, onPage }: { readonly after?: string; readonly onPage?: (page: Page) => void } = {},
): AsyncGenerator<Kept, void, undefined> {
  const options = { prefix, limit: BATCH, ...(after === undefined ? {} : { after }) }
  for await (const page of listPages(store, options)) {
    onPage?.(page)
    const found = new Map<string, Kept>()
    for await (const { key, version, bytes } of store.fetch(page.items)) {
      found.set(key, { key, version, value: JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown })
    }
    for (const { key } of page.items) {
      const kept = found.get(key)
      if (kept) yield kept
    }
  }
}

/** Null if there is none. */
export async function readRecord(store: BlobStore, key: string): Promise<Kept | null> {
  const info = await store.head(key)
  if (info === null || info.deleted) return null
  for await (const { version, bytes } of store.fetch([{ key, version: info.version }])) {
    return { key, version, value: JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown }
  }
  throw new BlobsError('Unavailable', `the record ${key} could not be read`)
}

export interface NewRecord {
  readonly key: string
  readonly value: unknown
  readonly expect: Expectation
}

/** Writes records, each by itself; tells of each whether what it expected was there. */
export async function writeRecords(
  store: BlobStore,
  records: readonly NewRecord[],
  newId: () => string,
): Promise<readonly boolean[]> {
  const entries = []
  for (const record of records) entries.push({ id: newId(), changes: [await put(store, record)] })
  const outcomes = entries.length === 0 ? [] : await store.commit(entries)
  return outcomes.map((outcome) => outcome.ok)
}

/** Writes all of the records, or none when something else was there than one of them expected; tells which. */
export async function writeTogether(
  store: BlobStore,
  records: readonly NewRecord[],
  newId: () => string,
): Promise<boolean> {
  const changes = []
  for (const record of records) changes.push(await put(store, record))
  const [outcome] = await store.commit([{ id: newId(), changes }])
  return outcome?.ok === true
}

async function put(store: BlobStore, { key, value, expect }: NewRecord): Promise<PutChange> {
  const staged = await stageStream(store, pieces(Buffer.from(JSON.stringify(value))))
  return { type: 'put', key, expect, contentType: 'application/json', meta: {}, ...staged }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}
