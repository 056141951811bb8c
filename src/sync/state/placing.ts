import type { Database } from '../../platform/sqlite.ts'
import type { Base, Path } from '../core/types.ts'
import { contentOf, contentValues, hashFromBytes, placeOf } from './encode.ts'
import { setBase } from './remote.ts'

/** A download that is about to get its name. */
export interface Placing {
  readonly path: Path
  /** Names its file in the temporary folder. */
  readonly op: string
  /** What both sides agree on once it has its name. */
  readonly base: Base
}

interface Row {
  readonly parent: string
  readonly name: string
  readonly op: string
  readonly kind: string
  readonly hash: Uint8Array
  readonly size: number
  readonly exec: number
  readonly version: number
  readonly before: Uint8Array | null
}

/** Writes down what is about to happen: what became of it is found out even after a crash. Inside a transaction. */
export function beginPlacing(db: Database, placings: readonly Placing[]): void {
  for (const { path, op, base } of placings) {
    const { parent, name } = placeOf(path)
    db.run(
      'INSERT OR REPLACE INTO placing VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      parent,
      name,
      op,
      ...contentValues(base),
      base.version,
    )
  }
}

/** It is known what became of it. Inside a transaction. */
export function endPlacing(db: Database, path: Path): void {
  const { parent, name } = placeOf(path)
  db.run('DELETE FROM placing WHERE parent = ? AND name = ?', parent, name)
}

/** Those of which nobody knows yet, with the SHA-256 of what the disk held before, as last seen; null: nothing. */
export function unclearPlacings(db: Database): (Placing & { readonly before: string | null })[] {
  return db
    .all<Row>(
      `SELECT placing.*, paths.l_hash AS before FROM placing
      LEFT JOIN paths ON paths.parent = placing.parent AND paths.name = placing.name`,
    )
    .map(({ parent, name, op, kind, hash, size, exec, version, before }) => ({
      path: parent + name,
      op,
      base: { ...contentOf(kind, hash, size, exec), version },
      before: before === null ? null : hashFromBytes(before),
    }))
}

/** It got its name: both sides have agreed on it, unless the rules leave the path alone by now. Inside a transaction. */
export function adoptPlaced(db: Database, { path, base }: Placing): void {
  const { parent, name } = placeOf(path)
  const left = db.get('SELECT 1 FROM paths WHERE parent = ? AND name = ? AND ignored = 1', parent, name)
  if (left === undefined) setBase(db, path, base)
}
