import type { Body } from '../../content/body.ts'
import type { Database } from '../../platform/sqlite.ts'
import type { Drop } from '../entry.ts'
import { toBody } from './rows.ts'
import { readState } from './schema.ts'

/** A version with bytes, and where it stands in the history. */
export interface KeptBody {
  readonly serial: number
  readonly key: string
  readonly version: number
  readonly body: Body
}

/**
 * The next versions with bytes, in the order in which they were made. Null unless the view is complete and of that generation: then it does
 * not tell of all.
 */
export function keptBodies(db: Database, generation: string, after: number, limit: number): readonly KeptBody[] | null {
  if (!isWhole(db, generation)) return null
  const sql = `SELECT serial, key, version, hash, depth, refs FROM versions v CROSS JOIN keys k ON k.number = v.number
    WHERE serial > ? AND v.deleted = 0 AND depth >= 0 ORDER BY serial`
  const found: KeptBody[] = []
  for (const row of db.iterate<BodyRow>(sql, after)) {
    const { serial, key, version } = row
    found.push({ serial, key, version, body: toBody(row.hash, row.depth, row.refs) })
    if (found.length === limit) break
  }
  return found
}

interface BodyRow {
  readonly serial: number
  readonly key: string
  readonly version: number
  readonly hash: string
  readonly depth: number
  readonly refs: Uint8Array
}

/** Which versions a bucket need not keep: beyond both limits where there are two. */
export interface Retention {
  /** The newest so many of each key stay, the current one, or the tombstone, among them. */
  readonly keepVersions?: number | undefined
  /** What was replaced, or deleted, at this time or later stays, in milliseconds since 1970. */
  readonly replacedSince?: number | undefined
}
export interface Excess {
  readonly drops: readonly Drop[]
  /** How many versions these are. */
  readonly versions: number
  /** Number of the last key that was looked at; null: there are no more. */
  readonly after: number | null
}

/** Looks at the versions of some keys with more than one. Null as `keptBodies`. */
export function excessVersions(
  db: Database,
  generation: string,
  retention: Retention,
  after: number,
  limit: number,
): Excess | null {
  if (!isWhole(db, generation)) return null
  const keys: { readonly number: number; readonly key: string; readonly head: number }[] = []
  const sql = 'SELECT number, key, head FROM keys WHERE number > ? AND head <> number ORDER BY number'
  for (const row of db.iterate<(typeof keys)[number]>(sql, after)) if (keys.push(row) === limit) break
  const drops: Drop[] = []
  let versions = 0
  for (const { number, key } of keys) {
    const found = excessOf(db, number, retention)
    if (found.through > 0) drops.push([key, found.through])
    versions += found.versions
  }
  return { drops, versions, after: keys.length < limit ? null : (keys.at(-1)?.number ?? null) }
}

/** Versions go from the oldest on: none goes before one that is older. */
function excessOf(
  db: Database,
  number: number,
  { keepVersions = 0, replacedSince = Number.POSITIVE_INFINITY }: Retention,
): { readonly through: number; readonly versions: number } {
  const newest = db.get<{ version: number }>('SELECT max(version) AS version FROM versions WHERE number = ?', number)
  const last = (newest?.version ?? 0) - keepVersions
  const sql = `SELECT v.version AS version, n.time AS replaced FROM versions v CROSS JOIN versions n
    ON n.number = v.number AND n.version = v.version + 1 WHERE v.number = ? AND v.deleted = 0 AND v.depth >= 0 ORDER BY v.version`
  let through = 0
  let versions = 0
  for (const { version, replaced } of db.iterate<{ version: number; replaced: number }>(sql, number)) {
    if (version > last || replaced >= replacedSince) break
    through = version
    versions += 1
  }
  return { through, versions }
}

function isWhole(db: Database, generation: string): boolean {
  const state = readState(db)
  return state.root === '' && state.generation === generation
}
