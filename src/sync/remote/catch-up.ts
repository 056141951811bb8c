import type { Database } from '../../platform/sqlite.ts'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { listPages } from '../../store/contract/pages.ts'
import type { FeedItem, ListItem } from '../../store/contract/types.ts'
import type { Path } from '../core/types.ts'
import { getMeta, setMeta, write } from '../state/open.ts'
import {
  addListed,
  applyRemote,
  beginListing,
  finishListing,
  type ListedItem,
  type RemoteItem,
} from '../state/remote.ts'
import { hasUnread, isKnown } from '../state/unread.ts'
import { itemOf } from './mapping.ts'

/** The bucket's side of a pairing. */
export interface Bucket {
  readonly store: BlobStore
  readonly prefix: string
}
export interface CatchUpOptions {
  readonly bucket: Bucket
  readonly db: Database
  readonly ignores: (path: Path) => boolean
  /** Called before the folder is linked anew although it was linked once. */
  readonly onRelink?: (why: string) => void
  readonly signal?: AbortSignal
}

const PAGE = 1000
const BATCH = 1000

/**
 * Brings the remote tree to the bucket's present: by the changes since the last time, or, when there was none or the history does not lead
 * there, by a complete listing. Resolves true if anything was new, having written it all down; a failure on the way counts for nothing.
 */
export async function catchUp(options: CatchUpOptions): Promise<boolean> {
  const cursor = getMeta(options.db, 'cursor')
  if (cursor === null) {
    await link(options)
    return true
  }
  try {
    const news = await follow(options, cursor)
    if (!hasUnread(options.db)) return news
    options.onRelink?.('the bucket lost what it had taken: it went back in time')
    await link(options)
    return true
  } catch (error) {
    const why = forked(error)
    if (why === null) throw error
    options.onRelink?.(why)
    await link(options)
    return true
  }
}

/** Links a folder of which nothing is known, if the bucket has nothing for it; false, with nothing done, if it has. */
export async function linkEmpty({ bucket, db }: CatchUpOptions): Promise<boolean> {
  const { items, complete, cursor } = await bucket.store.list({ prefix: below(bucket), limit: 1 })
  if (items.length > 0 || !complete) return false
  write(db, () => setMeta(db, 'cursor', cursor))
  return true
}

function below({ prefix }: Bucket): string {
  return prefix === '' ? '' : `${prefix}/`
}

function forked(error: unknown): string | null {
  if (isBlobsError(error, 'CursorExpired')) return 'the bucket no longer keeps the history since the last sync'
  if (isBlobsError(error, 'CursorForked')) return 'the bucket went back in time, or is another one of the same name'
  return null
}

async function link(options: CatchUpOptions): Promise<void> {
  const { bucket, db, ignores } = options
  write(db, () => beginListing(db))
  let cursor = ''
  for await (const page of listPages(bucket.store, { prefix: below(bucket), limit: PAGE, digests: true })) {
    // What later pages saw and the first did not is told once more by the changes since the first.
    if (cursor === '') cursor = page.cursor
    write(db, () => addListed(db, listedOf(bucket, page.items), ignores))
    if (options.signal?.aborted && !page.complete) {
      throw new BlobsError('Unavailable', 'stopped while listing the bucket')
    }
  }
  write(db, () => {
    finishListing(db)
    setMeta(db, 'cursor', cursor)
  })
  await follow(options, cursor)
}

function listedOf(bucket: Bucket, items: readonly ListItem[]): ListedItem[] {
  const listed: ListedItem[] = []
  for (const item of items) {
    const mapped = itemOf(bucket.prefix, item)
    if (mapped?.content) listed.push({ ...mapped, history: item.history ?? [] })
  }
  return listed
}

async function follow(options: CatchUpOptions, since: string): Promise<boolean> {
  const { store } = options.bucket
  const feed = store.changes({ since, ...(options.signal === undefined ? {} : { signal: options.signal }) })
  const apply = feedApplier(options)
  let caughtUp = false
  let news = false
  for await (const item of feed) {
    news = apply(item) || news
    caughtUp = item.type === 'bookmark'
  }
  if (caughtUp) return news
  apply(null)
  throw new BlobsError(
    'Unavailable',
    options.signal?.aborted ? 'stopped while reading the bucket' : 'the history of the bucket was cut short',
  )
}

/**
 * Writes feed items down in batches; a bookmark, and `null` for the end of what is at hand, write what is held back. Gives whether
 * anything was news since the last bookmark or `null`.
 */
export function feedApplier(
  options: Pick<CatchUpOptions, 'bucket' | 'db' | 'ignores'>,
): (item: FeedItem | null) => boolean {
  const { bucket, db, ignores } = options
  let held: RemoteItem[] = []
  let news = false
  const save = (cursor: string | null): void => {
    const before = getMeta(db, 'cursor')
    // Forgotten meanwhile: then only a complete listing may set it again.
    const further = cursor !== null && before !== null && !isKnown(before, cursor)
    if (held.length > 0 || further) {
      write(db, () => {
        applyRemote(db, held, ignores)
        if (further) setMeta(db, 'cursor', cursor)
      })
    }
    held = []
  }
  return (item) => {
    if (item !== null && item.type !== 'bookmark') {
      // A write of ours that its answer told before.
      if (isKnown(getMeta(db, 'cursor'), item.position)) return false
      const mapped = itemOf(bucket.prefix, item)
      if (mapped !== null) {
        held.push(mapped)
        news = true
      }
      if (held.length >= BATCH) save(null)
      return false
    }
    save(item === null ? null : item.cursor)
    const told = news
    news = false
    return told
  }
}
