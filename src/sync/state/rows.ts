import type { Database } from '../../platform/sqlite.ts'
import { unfit, type NameTraits } from '../core/names.ts'
import { needsFolder } from '../core/reconcile.ts'
import type { Path, Row } from '../core/types.ts'
import { baseOf, hashToBytes, localOf, placeOf, remoteOf, type Columns } from './encode.ts'
import type { Extra } from './remote.ts'
import { rangeBelow } from './tree.ts'

/** A row of the plan and what the steps for it need besides. */
export interface PlanRow extends Row {
  readonly identity: string
  readonly localMtimeNs: bigint | null
  readonly remoteMtime: string | null
  readonly extra: Extra | null
  /** The bucket's history was asked about these bytes at this version. */
  readonly historyAsked: boolean
}

/** Rows in which the trees differ, in the table's order, after `after`; at most `limit`. */
export function differing(db: Database, traits: NameTraits, after: Path | null, limit: number): PlanRow[] {
  const { parent, name } = placeOf(after ?? '')
  // Nothing has the empty place, so that everything is behind it.
  const found = db.iterate<Columns & { readonly below: number }>(
    `SELECT *, ${SOMETHING_BELOW} AS below FROM paths p WHERE differs AND (parent, name) > (?, ?) ORDER BY parent, name LIMIT ${limit}`,
    parent,
    name,
  )
  // One by one: the columns of a whole window take more room than its rows.
  const rows: PlanRow[] = []
  for (const row of found) rows.push(planRow(db, traits, row, row.below === 1))
  return rows
}

/** Whether there is any row below the name of `p`: asked within the statement, because for a file the answer is nearly always no. */
const SOMETHING_BELOW = `CASE name WHEN '' THEN 1 ELSE
  EXISTS (SELECT 1 FROM paths q WHERE q.parent >= p.parent || p.name || '/' AND q.parent < p.parent || p.name || '0') END`

export function rowAt(db: Database, traits: NameTraits, path: Path): PlanRow | null {
  const { parent, name } = placeOf(path)
  const row = db.get<Columns & { readonly below: number }>(
    `SELECT *, ${SOMETHING_BELOW} AS below FROM paths p WHERE parent = ? AND name = ?`,
    parent,
    name,
  )
  return row === undefined ? null : planRow(db, traits, row, row.below === 1)
}

/** True if all that differs is on one side alone, and was never agreed on: nothing of it can be deleted, nothing was moved. */
export function isOneSided(db: Database): boolean {
  const otherwise = 'b_kind IS NOT NULL OR (l_kind IS NOT NULL AND r_kind IS NOT NULL)'
  return db.get(`SELECT 1 FROM paths WHERE differs AND (${otherwise}) LIMIT 1`) === undefined
}

/** True before anything was seen on either side. */
export function isEmpty(db: Database): boolean {
  return db.get('SELECT 1 FROM paths LIMIT 1') === undefined
}

function planRow(db: Database, traits: NameTraits, row: Columns, below: boolean): PlanRow {
  const path = row.parent + row.name
  const folder = path.endsWith('/') ? path.slice(0, -1) : path
  const asked =
    row.h_local !== null && row.l_hash !== null && sameBytes(row.h_local, row.l_hash) && row.h_version === row.r_version
  return {
    path,
    base: baseOf(row),
    local: localOf(row),
    remote: remoteOf(row),
    remoteBelow: below && hasRemoteBelow(db, traits, folder, path),
    localFolder: below && hasLocalBelow(db, folder),
    unfit: unfit(path, traits),
    localIsOldVersion: asked && row.h_old === 1,
    identity: row.l_identity ?? '',
    localMtimeNs: row.l_mtime === null ? null : BigInt(row.l_mtime),
    remoteMtime: row.r_mtime,
    extra: row.r_extra === null ? null : (JSON.parse(row.r_extra) as Extra),
    historyAsked: asked,
  }
}

/** True if a file stands at the path, as last seen, and the rules do not leave it alone. */
export function isFileOnDisk(db: Database, path: Path): boolean {
  const { parent, name } = placeOf(path)
  return (
    db.get(`SELECT 1 FROM paths WHERE parent = ? AND name = ? AND l_kind = 'f' AND ignored = 0`, parent, name) !==
    undefined
  )
}

function hasRemoteBelow(db: Database, traits: NameTraits, folder: Path, self: Path): boolean {
  const [from, to] = rangeBelow(folder)
  let [parent, name] = [from, '']
  let first = true
  for (;;) {
    const rows = db.all<Columns>(
      `SELECT * FROM paths WHERE (parent, name) ${first ? '>=' : '>'} (?, ?) AND parent < ? AND ignored = 0 AND r_kind IN ('f', 'd')
      AND NOT (l_kind IS NULL AND b_kind IS r_kind AND b_hash IS r_hash AND b_exec IS r_exec AND r_version >= b_version) ORDER BY parent, name LIMIT 16`,
      parent,
      name,
      to,
    )
    first = false
    for (const row of rows) {
      const path = row.parent + row.name
      if (path === self) continue
      if (needsFolder({ base: baseOf(row), local: localOf(row), remote: remoteOf(row), unfit: unfit(path, traits) }))
        return true
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < 16) return false
    ;[parent, name] = [last.parent, last.name]
  }
}

function hasLocalBelow(db: Database, folder: Path): boolean {
  const [from, to] = rangeBelow(folder)
  return (
    db.get('SELECT 1 FROM paths WHERE parent >= ? AND parent < ? AND l_kind IS NOT NULL LIMIT 1', from, to) !==
    undefined
  )
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Writes down whether the bytes on disk are among the older versions of the bucket. */
export function setHistory(db: Database, row: PlanRow, old: boolean): void {
  const { parent, name } = placeOf(row.path)
  db.run(
    'UPDATE paths SET h_local = l_hash, h_version = r_version, h_old = ? WHERE parent = ? AND name = ?',
    Number(old),
    parent,
    name,
  )
}

/** False when no file on disk has any bytes, as last seen: then `onDiskWith` need not be asked. */
export function hasBytesOnDisk(db: Database): boolean {
  return (
    db.get(`SELECT 1 FROM paths WHERE substr(l_hash, 1, 8) > x'' AND l_kind = 'f' AND l_size > 0 LIMIT 1`) !== undefined
  )
}

const SAME_BYTES = `substr(l_hash, 1, 8) = ? AND l_kind = 'f' AND l_size > 0 AND l_hash = ? AND l_size = ? AND ignored = 0`

/** Paths of files on disk with these bytes, as last seen. */
export function onDiskWith(db: Database, hash: string, size: number, limit: number): Path[] {
  const bytes = hashToBytes(hash)
  return db
    .all<{ parent: string; name: string }>(
      `SELECT parent, name FROM paths WHERE ${SAME_BYTES} LIMIT ${limit}`,
      bytes.subarray(0, 8),
      bytes,
      size,
    )
    .map((row) => row.parent + row.name)
}

/** A version in the bucket that has these bytes and that nobody is about to replace, as far as is known. */
export function inBucketWith(db: Database, hash: string, size: number): { path: Path; version: number } | null {
  const bytes = hashToBytes(hash)
  const row = db.get<{ parent: string; name: string; version: number }>(
    `SELECT parent, name, r_version AS version FROM (SELECT * FROM paths WHERE ${SAME_BYTES} LIMIT 8)
     WHERE r_kind = 'f' AND r_hash = l_hash AND r_version IS NOT NULL LIMIT 1`,
    bytes.subarray(0, 8),
    bytes,
    size,
  )
  return row === undefined ? null : { path: row.parent + row.name, version: row.version }
}

/** Paths, on either side, whose name looks like that of a conflict file. */
export function siblingPaths(db: Database): Path[] {
  return db
    .all<{ parent: string; name: string }>(
      `SELECT parent, name FROM paths WHERE name GLOB '*.conflict-[0-9]*' AND ignored = 0 ORDER BY parent, name`,
    )
    .map((row) => row.parent + row.name)
}

/** True if some path of the bucket has these bytes now, or had them when both sides last agreed. Reads all rows. */
export function inBucket(db: Database, hash: string): boolean {
  const bytes = hashToBytes(hash)
  return db.get('SELECT 1 FROM paths WHERE r_hash = ? OR b_hash = ? LIMIT 1', bytes, bytes) !== undefined
}

export interface Counts {
  readonly synced: number
  readonly pending: { readonly files: number; readonly bytes: number }
}

/** What both sides agreed on once is counted without a look at its columns; what of it is not in sync now is in the small indexes. */
export function counts(db: Database): Counts {
  const count = (where: string): number =>
    db.get<{ n: number }>(`SELECT count(*) AS n FROM paths WHERE ${where}`)?.n ?? 0
  const agreed = count('b_kind IS NOT NULL')
  const differing = count('differs AND b_kind IS NOT NULL')
  const parked = count(`parked IS NOT NULL AND parked <> 'settled' AND b_kind IS NOT NULL`)
  const pending = db.get<{ files: number; bytes: number }>(
    'SELECT count(*) AS files, coalesce(sum(max(coalesce(l_size, 0), coalesce(r_size, 0))), 0) AS bytes FROM paths WHERE differs',
  )
  return { synced: agreed - differing - parked, pending: pending ?? { files: 0, bytes: 0 } }
}

/** Files that both sides once agreed on, below a folder (`''`: all). */
export function filesWithBase(db: Database, folder: Path): number {
  const [from, to] = rangeBelow(folder)
  return (
    db.get<{ n: number }>(`SELECT count(*) AS n FROM paths WHERE parent >= ? AND parent < ? AND b_kind = 'f'`, from, to)
      ?.n ?? 0
  )
}
