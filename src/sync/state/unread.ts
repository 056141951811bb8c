import type { Database } from '../../platform/sqlite.ts'
import type { Cursor } from '../../store/contract/types.ts'
import { getMeta } from './open.ts'

/** The bucket took writes of ours: its history has to tell of each, unless it did already. Inside a transaction. */
export function awaitRead(db: Database, writes: readonly { readonly entry: string; readonly at: Cursor }[]): void {
  const read = positionOf(getMeta(db, 'cursor') ?? '')
  const entries = writes.flatMap(({ entry, at }) => (positionOf(at) > read ? [entry] : []))
  if (entries.length > 0) db.run('INSERT OR IGNORE INTO unread SELECT value FROM json_each(?)', JSON.stringify(entries))
}

function positionOf(cursor: Cursor): number {
  return Number(cursor.split(':')[1] ?? 0)
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
