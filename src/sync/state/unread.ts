import type { Database } from '../../platform/sqlite.ts'
import type { Cursor } from '../../store/contract/types.ts'
import { getMeta, setMeta } from './open.ts'

/**
 * The bucket took writes of ours: its history has to tell of each, unless it did already, or they are what comes next in it: then so much
 * more of it is known. Inside a transaction.
 */
export function awaitRead(db: Database, writes: readonly { readonly entry: string; readonly at: Cursor }[]): void {
  const cursor = getMeta(db, 'cursor')
  const { known, rest } = readOn(cursor, writes)
  if (known !== null && known !== cursor) setMeta(db, 'cursor', known)
  const entries = rest.map(({ entry }) => entry)
  if (entries.length > 0) db.run('INSERT OR IGNORE INTO unread SELECT value FROM json_each(?)', JSON.stringify(entries))
}

/** How far the history is known with these writes in it, and those of them that are beyond, with something unknown before them. */
function readOn<W extends { readonly at: Cursor }>(
  cursor: Cursor | null,
  writes: readonly W[],
): { readonly known: Cursor | null; readonly rest: readonly W[] } {
  if (cursor === null) return { known: null, rest: writes }
  const beyond = writes.filter(({ at }) => !isKnown(cursor, at)).sort((a, b) => positionOf(a.at) - positionOf(b.at))
  let known = cursor
  const gap = beyond.findIndex(({ at }) => {
    const next = isSameEpoch(at, known) && positionOf(at) <= positionOf(known) + 1
    if (next) known = at
    return !next
  })
  return { known, rest: gap === -1 ? [] : beyond.slice(gap) }
}

/** True if what is at this place of the history was told, or written by us: all up to it is known. */
export function isKnown(cursor: Cursor | null, at: Cursor): boolean {
  return cursor !== null && isSameEpoch(at, cursor) && positionOf(at) <= positionOf(cursor)
}

/** Positions of a history are whole numbers: between one and the next there is nothing. */
function positionOf(cursor: Cursor): number {
  return Number(cursor.split(':')[1] ?? 0)
}

function isSameEpoch(a: Cursor, b: Cursor): boolean {
  return a.split(':', 1)[0] === b.split(':', 1)[0]
}

/** The history of the bucket told of entries. Inside a transaction. */
export function wereRead(db: Database, entries: readonly string[]): void {
  if (!hasUnread(db)) return
  db.run('DELETE FROM unread WHERE entry IN (SELECT value FROM json_each(?))', JSON.stringify(entries))
}

/** True while a write that the bucket took was not met in its history. Once that was read to its end, the bucket has lost the write. */
export function hasUnread(db: Database): boolean {
  return db.get('SELECT 1 FROM unread LIMIT 1') !== undefined
}

/** Inside a transaction. */
export function forgetUnread(db: Database): void {
  db.run('DELETE FROM unread')
}
