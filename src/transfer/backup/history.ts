import { BlobsError } from '../../store/contract/errors.ts'
import type { BlobInfo, Cursor, FeedItem } from '../../store/contract/types.ts'

/** An entry of a bucket's history, as its versions tell of it. */
export interface PastEntry {
  readonly id: string
  /** Milliseconds since 1970. */
  readonly time: number
  readonly author: string
  readonly device: string
  /** What it made, in order; of each key one. */
  readonly versions: readonly BlobInfo[]
}
/** Entries that follow each other. */
export interface Stretch {
  readonly entries: readonly PastEntry[]
  /** Everything up to here is in this stretch and those before. */
  readonly through: Cursor
  /** The history has been told to its end. */
  readonly end: boolean
}

const STRETCH_BYTES = 8 * 1024 * 1024
const STRETCH_VERSIONS = 1000

/**
 * Gathers a feed that is not live into stretches of whole entries; the last one, which may be without entries, ends it. With `until`
 * (milliseconds since 1970) it ends before the first entry that was written later. Throws `Unavailable` for a feed that ends without telling
 * that it was all.
 */
export async function* stretches(feed: AsyncIterable<FeedItem>, until = Infinity): AsyncGenerator<Stretch> {
  let gathered = nothing()
  let through: Cursor | null = null
  for await (const item of entriesOf(feed)) {
    if ('cursor' in item) {
      yield { entries: gathered.entries, through: item.cursor, end: true }
      return
    }
    const { entry, position } = item
    if (entry.time > until) {
      if (through !== null) yield { entries: gathered.entries, through, end: true }
      return
    }
    const bytes = entry.versions.reduce((sum, { size }) => sum + size, 0)
    const full = gathered.bytes + bytes > STRETCH_BYTES || gathered.versions >= STRETCH_VERSIONS
    if (full && through !== null && gathered.entries.length > 0) {
      yield { entries: gathered.entries, through, end: false }
      gathered = nothing()
    }
    gathered.entries.push(entry)
    gathered.bytes += bytes
    gathered.versions += entry.versions.length
    through = position
  }
  throw new BlobsError('Unavailable', 'the history of the bucket was cut short', { hint: 'go on by the same command' })
}

function nothing(): { readonly entries: PastEntry[]; bytes: number; versions: number } {
  return { entries: [], bytes: 0, versions: 0 }
}

type Told = { readonly entry: PastEntry; readonly position: Cursor } | { readonly cursor: Cursor }

/** Versions of one entry share its cursor, and follow each other. */
async function* entriesOf(feed: AsyncIterable<FeedItem>): AsyncGenerator<Told> {
  let versions: BlobInfo[] = []
  for await (const item of feed) {
    const [first] = versions
    if (first !== undefined && (item.type === 'bookmark' || item.position !== first.position)) {
      yield { entry: entryOf(first, versions), position: first.position }
      versions = []
    }
    if (item.type === 'bookmark') yield { cursor: item.cursor }
    else versions.push(item)
  }
}

function entryOf({ entry: id, modified, author, device }: BlobInfo, versions: readonly BlobInfo[]): PastEntry {
  return { id, time: Date.parse(modified), author, device, versions }
}

/** What comes behind the entry with this id. Throws `Refused` if it is not told of. */
export async function* behind(feed: AsyncIterable<FeedItem>, id: string): AsyncGenerator<FeedItem> {
  let met = false
  for await (const item of feed) {
    if (item.type !== 'bookmark' && item.entry === id) met = true
    else if (met) yield item
    else if (item.type === 'bookmark') throw anotherHistory()
  }
}

export function anotherHistory(cause?: unknown): BlobsError {
  return new BlobsError('Refused', 'the bucket does not have the history that its copy has: it went back in time', {
    cause,
    hint: 'the copy stays as it is; make a new one elsewhere',
  })
}
