import { INDEX_META, parseRowKey, storePrefix, VALUE_META, VOID_META } from '../../store/contract/changelog-rows.ts'
import { type BlobStore, MAX_FETCH_BYTES } from '../../store/contract/blob-store.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import type { Cursor, FeedItem } from '../../store/contract/types.ts'

/** Which generation's names the columns have. */
export type RowForm = 1 | 2

/** Cursors of rows that clients go on from, so that the log need not be read from its start. */
interface Bookmarks {
  /** The cursor behind which the rows of a store after this one are, if it is known. */
  find(store: string, after: number): Cursor | undefined
  keep(store: string, after: number, cursor: Cursor): void
  forget(): void
}

const KEPT = 10_000

export function openBookmarks(): Bookmarks {
  const known = new Map<string, Cursor>()
  return {
    find: (store, after) => known.get(`${after} ${store}`),
    keep: (store, after, cursor) => {
      known.delete(`${after} ${store}`)
      known.set(`${after} ${store}`, cursor)
      const [oldest] = known.keys()
      if (known.size > KEPT && oldest !== undefined) known.delete(oldest)
    },
    forget: () => known.clear(),
  }
}

interface Wanted {
  readonly form: RowForm
  readonly store: string
  /** Rows with a greater number are told. */
  readonly after: number
  readonly signal: AbortSignal
}

/** Values that are read at once. */
const BATCH = 256
const BATCH_BYTES = 2 * 1024 * 1024

type Version = Exclude<FeedItem, { type: 'bookmark' }>

/** The rows as text of a JSON list. */
export async function* rowsAfter(store: BlobStore, bookmarks: Bookmarks, wanted: Wanted): AsyncGenerator<string> {
  let told = wanted.after
  let [head, comma, bytes] = ['[', '', 0]
  let batch: Version[] = []
  const flush = async (): Promise<string> => {
    const rows = await readRows(store, batch, wanted.form)
    for (const { position } of batch) told = numberOf(position)
    batch = []
    bytes = 0
    const text = rows.map((row) => JSON.stringify(row)).join(',')
    const sent = `${head}${text === '' ? '' : comma}${text}`
    head = ''
    if (text !== '') comma = ','
    return sent
  }
  for await (const item of history(store, bookmarks, wanted)) {
    if (item.type === 'bookmark') {
      yield await flush()
      bookmarks.keep(wanted.store, told, item.cursor)
    } else if (isRow(item, wanted)) {
      batch.push(item)
      bytes += item.size
      if (batch.length >= BATCH || bytes >= BATCH_BYTES) yield await flush()
    }
  }
  yield ']'
}

/** What happened after a row that was told; from the start, where nobody knows any more where that was. */
async function* history(
  store: BlobStore,
  bookmarks: Bookmarks,
  { store: name, after, signal }: Wanted,
): AsyncGenerator<FeedItem> {
  const since = bookmarks.find(name, after)
  if (since !== undefined) {
    try {
      return yield* store.changes({ since, signal })
    } catch (error) {
      // The bucket has another history now, or forgot its beginning.
      if (!isBlobsError(error, 'CursorForked') && !isBlobsError(error, 'CursorExpired')) throw error
      bookmarks.forget()
    }
  }
  yield* store.changes({ signal })
}

/** A number that only grows: the place in the bucket's log, which all changes of one entry have. */
function numberOf(position: Cursor): number {
  return Number(position.split(':')[1])
}

function isRow(item: Version, { store, after }: Wanted): boolean {
  if (numberOf(item.position) <= after || item.meta[VOID_META] !== undefined) return false
  return item.size <= MAX_FETCH_BYTES && item.key.startsWith(storePrefix(store)) && parseRowKey(item.key) !== null
}

async function readRows(store: BlobStore, batch: readonly Version[], form: RowForm): Promise<readonly object[]> {
  const values = new Map<string, string>()
  const wants = batch.filter(({ deleted, size }) => !deleted && size > 0)
  if (wants.length > 0) {
    for await (const { key, version, bytes } of store.fetch(wants)) {
      const text = textOf(bytes)
      if (text !== null) values.set(`${version} ${key}`, text)
    }
  }
  return batch.flatMap((item) => {
    const isNull = item.deleted || item.meta[VALUE_META] === 'null'
    const value = isNull ? null : item.size === 0 ? '' : values.get(`${item.version} ${item.key}`)
    return value === undefined ? [] : [rowOf(item, value, form)]
  })
}

/** Null for bytes that are no text: a row cannot tell them. */
function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

function rowOf({ position, key, deleted, meta }: Version, value: string | null, form: RowForm): object {
  const id = numberOf(position)
  const type = deleted ? 'DELETE' : 'ADD'
  const name = parseRowKey(key)?.key ?? null
  if (form === 1) return { id, key: name, type, value }
  return {
    change_id: id,
    change_type: type,
    record_key: name,
    index_values: indexOf(meta[INDEX_META]),
    record_value: value,
  }
}

function indexOf(text: string | undefined): unknown {
  try {
    return text === undefined || text === '' ? [] : (JSON.parse(text) as unknown)
  } catch {
    return []
  }
}
