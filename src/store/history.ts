import type { ChangesOptions } from './contract/blob-store.ts'
import { BlobsError } from './contract/errors.ts'
import type { Cursor, FeedItem } from './contract/types.ts'
import { parseCursor } from './cursor.ts'
import type { Follower } from './follow.ts'
import type { Position } from './ports.ts'
import type { Mark } from './view/lookup.ts'
import type { View } from './view/view.ts'

/** Versions read from the view at once: a feed that nobody reads holds them. */
const PAGE = 100

/** See `BlobStore.changes`; `closing` ends it as the caller's signal does. */
export async function* readChanges(
  follower: Follower,
  { since, live = false, lastOf, signal }: ChangesOptions,
  closing: AbortSignal,
): AsyncGenerator<FeedItem, void> {
  const ending = signal === undefined ? closing : AbortSignal.any([signal, closing])
  if (ending.aborted) return
  if (lastOf !== undefined) {
    yield* readLast(follower, lastOf, ending)
    return
  }
  let mark = await follower.read((view) => startMark(view, since))
  let bookmark: Cursor | null = null
  while (!ending.aborted) {
    const page = await follower.peek((view) => view.history(mark, PAGE))
    if (page === null) throw forked(since ?? '')
    for (const info of page.items) {
      if (ending.aborted) return
      yield { type: info.deleted ? 'delete' : 'put', ...info }
    }
    mark = page.mark
    if (page.head === null) continue
    if (page.head !== bookmark && !ending.aborted) yield { type: 'bookmark', cursor: (bookmark = page.head) }
    if (!live) return
    await follower.passed(parseCursor(page.head).position, ending)
  }
}

/** What the newest operation made whose id begins with the device's. */
async function* readLast(follower: Follower, device: string, ending: AbortSignal): AsyncGenerator<FeedItem, void> {
  const start = `${device}.`
  const head = await follower.read((view) => view.head())
  let found = await follower.peek((view) => view.operation(start, Number.MAX_SAFE_INTEGER))
  while (found.operation === null && found.before > 0 && !ending.aborted) {
    const { before } = found
    found = await follower.peek((view) => view.operation(start, before))
  }
  if (found.operation !== null) yield* madeBy(follower, found.operation, ending)
  if (!ending.aborted) yield { type: 'bookmark', cursor: head }
}

async function* madeBy(follower: Follower, operation: string, ending: AbortSignal): AsyncGenerator<FeedItem, void> {
  let after: Position | null = 0
  while (after !== null) {
    const from: Position = after
    const page = await follower.peek((view) => view.operationItems(operation, from))
    for (const info of page.items) {
      if (ending.aborted) return
      yield { type: info.deleted ? 'delete' : 'put', ...info, operation }
    }
    after = page.after
  }
}

function startMark(view: View, since: Cursor | undefined): Mark {
  const place = since === undefined ? null : parseCursor(since)
  const { epoch, floor } = view.state()
  if (place !== null && place.epoch === epoch && place.position > 0 && place.position < floor)
    throw expired(place.position, floor)
  const mark = view.mark(place)
  if (mark === null) throw forked(since ?? '')
  return mark
}

function expired(position: Position, floor: Position): BlobsError {
  return new BlobsError(
    'CursorExpired',
    `the bucket's history is followed from position ${floor} on: ${position} is behind that`,
    { hint: 'list the bucket, and go on from the cursor of the listing' },
  )
}

function forked(cursor: Cursor): BlobsError {
  return new BlobsError(
    'CursorForked',
    `the bucket's history does not hold the place ${cursor}: it is another bucket, or was restored from a backup`,
    {
      hint: 'read it from the start',
    },
  )
}
