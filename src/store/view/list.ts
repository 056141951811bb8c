import type { Database } from '../../platform/sqlite.ts'
import { compareKeys } from '../contract/keys.ts'
import type { ListOptions } from '../contract/types.ts'
import { boundOf, prefixEnd, textOf } from './bounds.ts'
import { firstGap, PagesWanted } from './gaps.ts'
import { INFO_COLUMNS, type InfoRow } from './rows.ts'

const MAX_HISTORY = 100
/** Hidden keys (not yet there at the time asked for) looked at for one page. */
const PATIENCE = 50_000
/** Between key and version in a `next` that stops within a key: no key holds a NUL, and it sorts before all that follows the key. */
const WITHIN = '\0'
const LATEST = Number.MAX_SAFE_INTEGER

/** `ListOptions`, checked; `at` in milliseconds. */
export interface Query extends Omit<ListOptions, 'at' | 'limit' | 'prefix'> {
  readonly prefix: string
  readonly limit: number
  readonly at?: number
}
export interface Listed {
  readonly items: readonly ListedRow[]
  readonly prefixes: readonly string[]
  /** Null when the listing is complete. */
  readonly next: string | null
}
interface ListedRow extends InfoRow {
  readonly history?: readonly string[]
}

/** Reads one page, in UTF-8 order; touches what the page shows and not the rest of the bucket. Inside a transaction. */
export function listPage(db: Database, query: Query): Listed {
  const items: ListedRow[] = []
  const prefixes: string[] = []
  let next = ''
  let hidden = 0
  const isFull = (): boolean => items.length + prefixes.length >= query.limit
  for (const name of names(db, query)) {
    if (name.rows.length === 0) {
      if (++hidden > PATIENCE && name.folder === null) return { items, prefixes, next: name.key }
      continue
    }
    if (name.folder !== null) {
      if (isFull()) return { items, prefixes, next }
      prefixes.push(name.folder)
      next = name.folder
      continue
    }
    for (const row of name.rows) {
      if (isFull()) return { items, prefixes, next }
      items.push(query.digests === true ? { ...row, history: historyOf(db, row) } : row)
      next = query.versions === true ? `${name.key}${WITHIN}${row.version}` : name.key
    }
  }
  return { items, prefixes, next: null }
}

/** A key with its versions to be shown (none: it is hidden), or the folder that it is folded into. */
interface Name {
  readonly key: string
  readonly folder: string | null
  readonly rows: readonly InfoRow[]
}
/** Where to go on; of the key itself, if it is there, only versions below `below`. */
interface Bound {
  readonly key: string
  readonly inclusive: boolean
  readonly below?: number
}

type Candidates = (db: Database, query: Query, from: Bound) => Iterable<InfoRow | KeyRow>

function* names(db: Database, query: Query): Generator<Name, void> {
  const { prefix, delimiter } = query
  const candidates: Candidates = query.versions === true || query.at !== undefined ? everyKey : currentRows
  let bound: Bound | null = startOf(query)
  while (bound !== null) {
    const from: Bound = bound
    bound = null
    const unread = unreadFrom(db, query, from)
    for (const row of candidates(db, query, from)) {
      if (unread !== null && compareKeys(row.key, unread.key) >= 0) throw unread.wanted
      if (!row.key.startsWith(prefix)) return
      const folder = folderOf(row.key, prefix, delimiter)
      const below = row.key === from.key ? from.below : undefined
      const rows = row.serial === undefined ? visibleRows(db, query, row, below) : [row]
      yield { key: row.key, folder, rows }
      if (folder !== null && rows.length > 0) {
        bound = after(folder)
        break
      }
    }
    if (bound === null && unread !== null) throw unread.wanted
  }
}

/** The first key from a bound on that the view may lack; null if it has all that start with the prefix. */
function unreadFrom(
  db: Database,
  { prefix, delimiter }: Query,
  { key }: Bound,
): { readonly key: string; readonly wanted: PagesWanted } | null {
  const range = { tree: 'keys', low: boundOf([key, 0]), high: prefixEnd(prefix) } as const
  const gap = firstGap(db, range)
  if (gap === null) return null
  // Where folders are passed over, the next page is rarely the one that is needed next.
  const scan = delimiter === undefined ? 'growing' : 'one by one'
  return { key: textOf(gap.low), wanted: new PagesWanted([{ ...range, scan }]) }
}

function startOf({ prefix, delimiter, after: start }: Query): Bound | null {
  if (start === undefined || compareKeys(start, prefix) < 0) return { key: prefix, inclusive: true }
  const cut = start.indexOf(WITHIN)
  if (cut >= 0) return { key: start.slice(0, cut), inclusive: true, below: Number(start.slice(cut + 1)) }
  const folder = start.startsWith(prefix) ? folderOf(start, prefix, delimiter) : null
  return folder === null ? { key: start, inclusive: false } : after(folder)
}

function folderOf(key: string, prefix: string, delimiter: '/' | undefined): string | null {
  if (delimiter === undefined) return null
  const end = key.indexOf(delimiter, prefix.length)
  return end < 0 ? null : key.slice(0, end + 1)
}

/** Behind all keys of a folder: `/` is followed by `0`. */
function after(folder: string): Bound {
  return { key: `${folder.slice(0, -1)}0`, inclusive: true }
}

interface KeyRow {
  readonly key: string
  readonly number: number
  readonly serial?: undefined
}

function currentRows(db: Database, query: Query, { key, inclusive }: Bound): Iterable<InfoRow> {
  const keys = query.deleted === true ? 'keys k' : 'keys k INDEXED BY live_keys'
  const live = query.deleted === true ? '' : 'k.deleted = 0 AND'
  return db.iterate<InfoRow>(
    `SELECT ${INFO_COLUMNS} FROM ${keys} CROSS JOIN versions v ON v.serial = k.head CROSS JOIN entries e ON e.position = v.position
     WHERE ${live} k.key ${inclusive ? '>=' : '>'} ? ORDER BY k.key`,
    key,
  )
}

function everyKey(db: Database, _query: Query, { key, inclusive }: Bound): Iterable<KeyRow> {
  return db.iterate<KeyRow>(`SELECT key, number FROM keys WHERE key ${inclusive ? '>=' : '>'} ? ORDER BY key`, key)
}

function visibleRows(db: Database, query: Query, { number }: KeyRow, below: number = LATEST): readonly InfoRow[] {
  const { at = LATEST, versions = false, deleted = false } = query
  const rows = `SELECT ${INFO_COLUMNS} FROM versions v CROSS JOIN keys k ON k.number = v.number CROSS JOIN entries e ON e.position = v.position
    WHERE v.number = ? AND v.version < ? AND v.time <= ?`
  if (versions) {
    const sql = `${rows} AND v.deleted <= ? ORDER BY v.version DESC`
    return first(db.iterate<InfoRow>(sql, number, below, at, deleted ? 1 : 0), query.limit + 1)
  }
  const row = db.get<InfoRow>(`${rows} ORDER BY v.version DESC`, number, below, at)
  return row === undefined || (row.deleted === 1 && !deleted) ? [] : [row]
}

/** Not by LIMIT: for few rows a statement with it takes several times as long. */
function first<Row>(rows: Iterable<Row>, most: number): readonly Row[] {
  const found: Row[] = []
  for (const row of rows) if (found.push(row) >= most) break
  return found
}

function historyOf(db: Database, { number, version, hash }: InfoRow): readonly string[] {
  if (version === 1) return []
  const found = new Set<string>()
  const sql = 'SELECT hash FROM versions WHERE number = ? AND version < ? AND deleted = 0 ORDER BY version DESC'
  for (const older of db.iterate<{ hash: string }>(sql, number, version)) {
    if (older.hash !== hash) found.add(older.hash)
    if (found.size === MAX_HISTORY) break
  }
  return [...found]
}
