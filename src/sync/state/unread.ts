import type { Database } from '../../platform/sqlite.ts'
import type { Cursor } from '../../store/contract/types.ts'
import { getMeta } from './open.ts'

/** The bucket took a write of ours at this place: its history has to tell of it, unless it did already. Inside a transaction. */
export function awaitRead(db: Database, entry: string, at: Cursor): void {
  if (positionOf(at) > positionOf(getMeta(db, 'cursor') ?? '')) db.run('INSERT OR IGNORE INTO unread VALUES (?)', entry)
}

function positionOf(cursor: Cursor): number {
  return Number(cursor.split(':')[1] ?? 0)
}

/** The history of the bucket told of an entry. Inside a transaction. */
export function wasRead(db: Database, entry: string): void {
  db.run('DELETE FROM unread WHERE entry = ?', entry)
}

/** True while a write that the bucket took was not met in its history. Once that was read to its end, the bucket has lost the write. */
export function hasUnread(db: Database): boolean {
  return db.get('SELECT 1 FROM unread LIMIT 1') !== undefined
}

/** Inside a transaction. */
export function forgetUnread(db: Database): void {
  db.run('DELETE FROM unread')
}
