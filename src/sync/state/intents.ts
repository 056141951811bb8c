import type { Database } from '../../platform/sqlite.ts'
import type { Content, Path } from '../core/types.ts'
import { contentValues, placeOf } from './encode.ts'

/** A write to the bucket that is about to be sent: what happened to it is found out by its entry id, even after a crash. */
export interface Intent {
  readonly path: Path
  /** What would be there: null for a delete. */
  readonly content: Content | null
  /** All that makes it the same intention, as text. */
  readonly wanted: string
}

/** Writes intents down and gives the entry id of each: the old one where the same was intended before. Inside a transaction. */
export function intend(db: Database, intents: readonly Intent[], newId: () => string): string[] {
  const open = hasIntents(db)
  return intents.map((intent) => {
    const { parent, name } = placeOf(intent.path)
    const before = open ? intentAt(db, parent, name) : undefined
    if (before?.wanted === intent.wanted) return before.entry
    const entry = newId()
    const values = intent.content === null ? [null, null, null, null] : contentValues(intent.content)
    db.run(
      'INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      parent,
      name,
      entry,
      intent.wanted,
      ...values,
    )
    return entry
  })
}

function intentAt(db: Database, parent: string, name: string): { entry: string; wanted: string } | undefined {
  return db.get('SELECT entry, wanted FROM intents WHERE parent = ? AND name = ?', parent, name)
}

/** The outcomes are known. Inside a transaction. */
export function settleIntents(db: Database, paths: readonly Path[]): void {
  if (!hasIntents(db)) return
  for (const path of paths) {
    const { parent, name } = placeOf(path)
    db.run('DELETE FROM intents WHERE parent = ? AND name = ?', parent, name)
  }
}

export function hasIntents(db: Database): boolean {
  return db.get('SELECT 1 FROM intents LIMIT 1') !== undefined
}
