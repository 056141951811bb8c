import { decodeList } from '../../content/body.ts'
import { readDatabase, type Database } from '../../platform/sqlite.ts'
import type { Meta } from '../contract/types.ts'
import { formatOf, type Entry, type EntryChange } from '../entry.ts'
import type { Position } from '../ports.ts'
import type { Refusal } from './apply.ts'
import { APPLIED, DROPPED, isCurrent, readState, VOID } from './schema.ts'

/** A view that remembers what entries of its log did. */
export interface Memory {
  /** Last position that the view has read. */
  readonly position: Position
  /** Id of the entry at a position; null if it has none. */
  idAt(position: Position): string | null
  /**
   * An entry that does in its place what the one there did: it makes the same versions, or is void. What it expected, and what it left
   * alone, is not known any more. Null if the view has none there.
   */
  entryAt(position: Position, name: string): Entry | null
  close(): void
}

/** Null if the file is no view of this format that can be read. */
export function openMemory(path: string): Memory | null {
  let db: Database
  try {
    db = readDatabase(path)
  } catch {
    return null
  }
  const attempt = <T>(look: () => T | null): T | null => {
    try {
      return look()
    } catch {
      // A damaged view is no help; where it can be read it may be.
      return null
    }
  }
  const position = attempt(() => (isCurrent(db) ? readState(db).position : null))
  if (position === null) {
    db.close()
    return null
  }
  return {
    position,
    idAt: (at) => attempt(() => db.get<{ id: string }>('SELECT id FROM entries WHERE position = ?', at)?.id ?? null),
    entryAt: (at, name) => attempt(() => recall(db, at, name)),
    close: () => db.close(),
  }
}

interface EntryRow {
  readonly id: string
  readonly outcome: number
  readonly time: number
  readonly author: string
  readonly device: string
  readonly operation: string | null
  readonly first: number
  readonly made: number
  readonly conflicts: string | null
}
interface VersionRow {
  readonly key: string
  readonly deleted: number
  readonly size: number
  readonly hash: string
  readonly type: string
  readonly meta: string
  readonly depth: number
  readonly refs: Uint8Array
}

function recall(db: Database, position: Position, name: string): Entry | null {
  const row = db.get<EntryRow>(
    'SELECT id, outcome, time, author, device, operation, first, made, conflicts FROM entries WHERE position = ?',
    position,
  )
  if (row === undefined) return null
  const { id, time, author, device, operation, outcome } = row
  const changes = outcome === APPLIED ? madeBy(db, row) : outcome === VOID ? refusedOf(row) : []
  const { created, options } = readState(db)
  // An entry that made nothing may have set the options: then it sets those that came of it in the end.
  const bucket = { name, created, options: JSON.parse(options) as object }
  return {
    v: formatOf({ changes }),
    id,
    time,
    author,
    device,
    ...(operation === null ? {} : { operation }),
    changes,
    based: position - 1,
    ...(outcome === APPLIED && changes.length === 0 ? { bucket } : {}),
  }
}

function madeBy(db: Database, { first, made }: EntryRow): readonly EntryChange[] {
  const rows = db.all<VersionRow>(
    `SELECT key, v.deleted AS deleted, size, hash, type, meta, depth, refs FROM versions v JOIN keys USING (number)
     WHERE serial >= ? AND serial < ? ORDER BY serial`,
    first,
    first + made,
  )
  if (rows.length !== made) throw new Error('the view lacks versions of the entry')
  return rows.map(({ key, deleted, size, hash, type, meta, depth, refs }): EntryChange => {
    if (deleted === 1) return { delete: key, expect: 'any' }
    const list = refs.length === 0 ? [] : decodeList(hash, refs)
    return {
      put: key,
      expect: 'any',
      hash,
      size,
      depth: Math.max(0, depth),
      refs: list.map((ref) => [ref.hash, ref.size] as const),
      type,
      meta: JSON.parse(meta) as Meta,
      ...(depth === DROPPED ? { dropped: true } : {}),
    }
  })
}

/** What failed then fails again: the state before the entry is the same. */
function refusedOf({ conflicts }: EntryRow): readonly EntryChange[] {
  const refusals = JSON.parse(conflicts ?? '[]') as readonly Refusal[]
  return refusals.map(({ key, expected }) => ({ delete: key, expect: expected }))
}
