import type { Database, Value } from '../../platform/sqlite.ts'
import type { Cursor } from '../../store/contract/types.ts'
import type { Content, Path } from '../core/types.ts'
import { contentValues, hashToBytes, placeOf } from './encode.ts'
import { hasIntents, settleIntents } from './intents.ts'
import { SWEEP } from './local.ts'
import { unparkAbove, unparkAll } from './parking.ts'
import { awaitRead, forgetUnread, wereRead } from './unread.ts'

/** A version of a path as the bucket tells it. */
export type RemoteItem = RemoteLive | RemoteTombstone
interface RemoteLive {
  readonly path: Path
  readonly content: Content
  readonly version: number
  readonly entry: string
  /** Decimal seconds since 1970, or null. */
  readonly mtime: string | null
  /** Content type and metadata that are not ours, to be kept when we write; null: nothing of the kind. */
  readonly extra: Extra | null
}
export interface Extra {
  readonly type?: string
  readonly meta?: Readonly<Record<string, string>>
}
interface RemoteTombstone {
  readonly path: Path
  readonly content: null
  readonly version: number
  readonly entry: string
}

const SET_REMOTE = `r_kind = ?, r_hash = ?, r_size = ?, r_exec = ?, r_version = ?, r_entry = ?, r_mtime = ?, r_extra = ?, parked = NULL`
const INSERT_REMOTE = `INSERT INTO paths (parent, name, r_kind, r_hash, r_size, r_exec, r_version, r_entry, r_mtime, r_extra, ignored)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
const SET_BOTH = `UPDATE paths SET ${SET_REMOTE}, b_kind = ?, b_hash = ?, b_size = ?, b_exec = ?, b_version = ?
WHERE parent = ? AND name = ? AND coalesce(r_version, 0) < ?`
/** A delete that the bucket took, of what is not on disk: nothing is left to be known. */
const FORGET_GONE = 'DELETE FROM paths WHERE parent = ? AND name = ? AND l_kind IS NULL AND coalesce(r_version, 0) < ?'
const SET_BASE =
  'UPDATE paths SET b_kind = ?, b_hash = ?, b_size = ?, b_exec = ?, b_version = ?, parked = NULL WHERE parent = ? AND name = ?'

/** Writes down what the bucket tells, in order. An older version than the known one is old news. Inside a transaction. */
export function applyRemote(db: Database, items: readonly RemoteItem[], ignores: (path: Path) => boolean): void {
  const mine = hasIntents(db)
  for (const item of items) {
    setRemote(db, item, ignores, true)
    // Afterwards: of a path that is gone from disk there may have been no row.
    if (mine) settleIntent(db, item)
  }
  wereRead(
    db,
    items.map((item) => item.entry),
  )
  unparkAbove(
    db,
    items.map((item) => item.path),
  )
}

/** Writes down what stands in the bucket instead of what was expected there; the bucket's word counts even if it went back in time. */
export function correctRemote(db: Database, path: Path, item: RemoteItem | null): void {
  if (item !== null) setRemote(db, item, () => false, false)
  else {
    const { parent, name } = placeOf(path)
    db.run(
      `UPDATE paths SET r_kind = NULL, r_hash = NULL, r_size = NULL, r_exec = NULL, r_version = NULL, r_entry = NULL, r_mtime = NULL,
      r_extra = NULL, parked = NULL WHERE parent = ? AND name = ?`,
      parent,
      name,
    )
    db.run(SWEEP, parent, name)
  }
  unparkAbove(db, [path])
}

function setRemote(db: Database, item: RemoteItem, ignores: (path: Path) => boolean, onlyNewer: boolean): void {
  const { parent, name } = placeOf(item.path)
  const values = remoteValues(item)
  const newer = onlyNewer ? ' AND coalesce(r_version, 0) < ?' : ''
  const bound: Value[] = onlyNewer ? [parent, name, item.version] : [parent, name]
  const { changes } = db.run(
    `UPDATE paths SET ${SET_REMOTE} WHERE parent = ? AND name = ?${newer}`,
    ...values,
    ...bound,
  )
  if (item.content === null) db.run(SWEEP, parent, name)
  else if (changes === 0) db.run(INSERT_REMOTE, parent, name, ...values, ignores(item.path) ? 1 : 0)
}

function remoteValues(item: RemoteItem): Value[] {
  if (item.content === null) return ['x', null, null, null, item.version, item.entry, null, null]
  const extra = item.extra === null ? null : JSON.stringify(item.extra)
  return [...contentValues(item.content), item.version, item.entry, item.mtime, extra]
}

/** Our own write comes back: whatever happened to its answer, it is what both sides agreed on. */
function settleIntent(db: Database, item: RemoteItem): void {
  const { parent, name } = placeOf(item.path)
  const { changes } = db.run(
    'DELETE FROM intents WHERE parent = ? AND name = ? AND entry = ?',
    parent,
    name,
    item.entry,
  )
  if (changes > 0) setBase(db, item.path, item.content === null ? null : { ...item.content, version: item.version })
}

/** What both sides agree on from now on (null: nothing is there). Inside a transaction. */
export function setBase(db: Database, path: Path, base: (Content & { readonly version: number }) | null): void {
  const { parent, name } = placeOf(path)
  const values = base === null ? [null, null, null, null, null] : [...contentValues(base), base.version]
  db.run(SET_BASE, ...values, parent, name)
  if (base === null) db.run(SWEEP, parent, name)
}

/** A write that the bucket took. */
export interface Taken {
  readonly path: Path
  /** What was sent; null for a delete. */
  readonly content: Content | null
  /** The version that it became; null if the delete had nothing to delete. */
  readonly item: RemoteItem | null
  /** Where it is in the bucket's history. */
  readonly at: Cursor | null
}

/** Writes down that these are what both sides agreed on, whatever the disk holds by now. Inside a transaction. */
export function applyTaken(db: Database, taken: readonly Taken[], ignores: (path: Path) => boolean): void {
  for (const one of taken) if (!setBoth(db, one)) setApart(db, one, ignores)
  const paths = taken.map(({ path }) => path)
  unparkAbove(db, paths)
  settleIntents(db, paths)
  awaitRead(
    db,
    taken.flatMap(({ item, at }) => (item === null || at === null ? [] : [{ entry: item.entry, at }])),
  )
}

/** The usual cases in one statement; false where it is another one. */
function setBoth(db: Database, { path, content, item }: Taken): boolean {
  if (item === null) return false
  const { parent, name } = placeOf(path)
  if (content === null) return db.run(FORGET_GONE, parent, name, item.version).changes > 0
  if (item.content === null) return false
  const base = [...contentValues(content), item.version]
  return db.run(SET_BOTH, ...remoteValues(item), ...base, parent, name, item.version).changes > 0
}

function setApart(db: Database, { path, content, item }: Taken, ignores: (path: Path) => boolean): void {
  if (item === null) correctRemote(db, path, null)
  else setRemote(db, item, ignores, true)
  setBase(db, path, content === null || item === null ? null : { ...content, version: item.version })
}

/** Begins a complete listing, or begins it anew. */
export function beginListing(db: Database): void {
  db.run('DELETE FROM incoming')
}

export interface ListedItem extends RemoteLive {
  /** Hashes of older versions, newest first, without the current one. */
  readonly history: readonly string[]
}

/** Takes a page in. It counts for nothing until `finishListing`. Inside a transaction. */
export function addListed(db: Database, items: readonly ListedItem[], ignores: (path: Path) => boolean): void {
  for (const item of items) {
    const { parent, name } = placeOf(item.path)
    const local =
      db.get<{ l_hash: Uint8Array | null }>('SELECT l_hash FROM paths WHERE parent = ? AND name = ?', parent, name)
        ?.l_hash ?? null
    const old = local === null ? null : item.history.some((hash) => hashToBytes(hash).equals(local))
    db.run(
      'INSERT OR REPLACE INTO incoming VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      parent,
      name,
      ...contentValues(item.content),
      item.version,
      item.entry,
      item.mtime,
      item.extra === null ? null : JSON.stringify(item.extra),
      local,
      old === null ? null : Number(old),
      ignores(item.path) ? 1 : 0,
    )
  }
}

/**
 * Makes the complete listing the remote tree. A base stands only where the bucket still has exactly that version; so nothing can count
 * as deleted because of the listing. Inside a transaction.
 */
export function finishListing(db: Database): void {
  db.run(
    `UPDATE paths SET r_kind = NULL, r_hash = NULL, r_size = NULL, r_exec = NULL, r_version = NULL, r_entry = NULL, r_mtime = NULL, r_extra = NULL
    WHERE r_kind IS NOT NULL`,
  )
  db.run(`INSERT INTO paths (parent, name, r_kind, r_hash, r_size, r_exec, r_version, r_entry, r_mtime, r_extra, h_local, h_version, h_old, ignored)
    SELECT parent, name, kind, hash, size, exec, version, entry, mtime, extra, h_local, version, h_old, ignored FROM incoming WHERE true
    ON CONFLICT DO UPDATE SET r_kind = excluded.r_kind, r_hash = excluded.r_hash, r_size = excluded.r_size, r_exec = excluded.r_exec,
    r_version = excluded.r_version, r_entry = excluded.r_entry, r_mtime = excluded.r_mtime, r_extra = excluded.r_extra,
    h_local = excluded.h_local, h_version = excluded.h_version, h_old = excluded.h_old`)
  db.run(`UPDATE paths SET b_kind = r_kind, b_hash = r_hash, b_size = r_size, b_exec = r_exec, b_version = r_version
    WHERE (parent, name, r_entry) IN (SELECT parent, name, entry FROM intents)`)
  db.run('DELETE FROM intents')
  forgetUnread(db)
  db.run(`UPDATE paths SET b_kind = NULL, b_hash = NULL, b_size = NULL, b_exec = NULL, b_version = NULL
    WHERE b_kind IS NOT NULL AND NOT (b_kind IS r_kind AND b_hash IS r_hash AND b_version IS r_version)`)
  db.run('DELETE FROM paths WHERE b_kind IS NULL AND l_kind IS NULL AND r_kind IS NULL')
  unparkAll(db)
  beginListing(db)
}
