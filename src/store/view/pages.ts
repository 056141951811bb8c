import { encodeList } from '../../content/body.ts'
import type { Database } from '../../platform/sqlite.ts'
import { BlobsError } from '../contract/errors.ts'
import { boundOf, type Bound, type SortKey, type Tree } from './bounds.ts'
import type { Gap } from './gaps.ts'
import { APPLIED, readState } from './schema.ts'

/** A row of a checkpoint's page: its sort key, then what docs/entry-format.md says. */
export type PageRow = readonly (string | number | null)[]

/** Where a view was when a checkpoint of it was begun: what came later is left out. */
export interface Until {
  readonly generation: string
  readonly position: number
  /** Of the first version that came later. */
  readonly serial: number
  readonly dropped: number
}

/** Length of the sort key in a row. */
const SORTED_BY: Readonly<Record<Tree, number>> = { keys: 2, serials: 1, entries: 1, ids: 2 }
const COLUMNS: Readonly<Record<Tree, number>> = { keys: 19, serials: 3, entries: 10, ids: 2 }

export function sortKeyOf(tree: Tree, row: PageRow): SortKey {
  return row.slice(0, SORTED_BY[tree]) as unknown as SortKey
}

/** Puts what a page says in the place of its gap. Inside a transaction. A gap that was filled meanwhile is left alone. */
export function fillGap(db: Database, gap: Gap, rows: readonly PageRow[]): void {
  const { tree, low, level, hash } = gap
  if (db.run('DELETE FROM gaps WHERE tree = ? AND low = ? AND hash = ?', tree, low, hash).changes === 0) return
  if (level > 0) divide(db, gap, rows)
  else {
    for (const row of rows) {
      if (row.length !== COLUMNS[tree]) throw notRows(hash)
      INSERT[tree](db, row)
    }
  }
  if (db.get('SELECT 1 FROM gaps LIMIT 1') !== undefined) return
  db.exec(`UPDATE state SET root = ''; DELETE FROM told_ids; DELETE FROM told_serials`)
}

function divide(db: Database, { tree, low, high, level, hash }: Gap, rows: readonly PageRow[]): void {
  const lows = rows.map((row, index): Bound => (index === 0 ? low : boundOf(sortKeyOf(tree, row))))
  for (const [index, row] of rows.entries()) {
    const child = row[SORTED_BY[tree]]
    if (typeof child !== 'string' || row.length !== SORTED_BY[tree] + 1) throw notRows(hash)
    db.run(
      'INSERT INTO gaps VALUES (?, ?, ?, ?, ?)',
      tree,
      lows[index] ?? low,
      lows[index + 1] ?? high,
      child,
      level - 1,
    )
  }
}

function notRows(hash: string): BlobsError {
  return new BlobsError('Corrupt', `page ${hash} of a checkpoint does not hold what it should`, {
    hint: 'another program wrote it: install the newest version of blobs here',
  })
}

const INSERT: Readonly<Record<Tree, (db: Database, row: PageRow) => void>> = {
  keys: insertVersion,
  serials: (db, row) => void db.run('INSERT OR IGNORE INTO told_serials VALUES (?, ?, ?)', ...row),
  entries: (db, row) => void db.run('INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', ...row),
  ids: (db, row) => void db.run('INSERT OR IGNORE INTO told_ids VALUES (?, ?)', ...row),
}

function insertVersion(db: Database, row: PageRow): void {
  const [key, version, serial, number, position, time, deleted, size, hash, type, meta, depth, refs, ...made] = row
  const [id, author, device, operation, first, count] = made
  const bytes = decodeRefs(refs ?? null, String(hash), Number(size))
  const values = [serial, number, version, position, time, deleted, size, hash, type, meta, depth] as (
    | string
    | number
  )[]
  db.run('INSERT OR IGNORE INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', ...values, bytes)
  db.run(
    `INSERT INTO keys VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET head = excluded.head, deleted = excluded.deleted
     WHERE excluded.head > head`,
    ...([number, key, serial, deleted] as (string | number)[]),
  )
  const entry = [position, id, APPLIED, time, author, device, operation, first, count, null] as PageRow
  INSERT.entries(db, entry)
}

/** The bytes of a list of refs; null for the list of one that is the blob itself. */
function encodeRefs({ size, hash, refs }: { size: number; hash: string; refs: Uint8Array }): string | null {
  if (size > 0 && Buffer.compare(refs, encodeList([{ hash, size }])) === 0) return null
  return Buffer.from(refs).toString('base64')
}

function decodeRefs(refs: string | number | null, hash: string, size: number): Uint8Array {
  return refs === null ? encodeList([{ hash, size }]) : Buffer.from(String(refs), 'base64')
}

const SLICES: Readonly<Record<Tree, (db: Database, after: SortKey | null, until: Until) => Iterable<PageRow>>> = {
  keys: function* (db, after, { serial }) {
    const [key, version] = pairOf(after)
    const sql = (where: string): string =>
      `SELECT k.key AS key, v.*, e.id AS entry, e.author AS author, e.device AS device, e.operation AS operation, e.first AS first,
         e.made AS made FROM keys k CROSS JOIN versions v ON v.number = k.number CROSS JOIN entries e ON e.position = v.position
       WHERE ${where} AND v.serial < ? ORDER BY k.key, v.version`
    for (const row of db.iterate<VersionRow>(sql('k.key = ? AND v.version > ?'), key, version, serial))
      yield pageRow(row)
    for (const row of db.iterate<VersionRow>(sql('k.key > ?'), key, serial)) yield pageRow(row)
  },
  serials: function* (db, after, { serial }) {
    const sql = `SELECT serial, key, version FROM versions v CROSS JOIN keys k ON k.number = v.number
      WHERE serial > ? AND serial < ? ORDER BY serial`
    for (const row of db.iterate<Record<string, number>>(sql, Number(after?.[0] ?? 0), serial)) yield Object.values(row)
  },
  entries: function* (db, after, { position }) {
    const sql = `SELECT position, id, outcome, time, author, device, operation, first, made, conflicts FROM entries
      WHERE position > ? AND position <= ? ORDER BY position`
    for (const row of db.iterate<Record<string, number>>(sql, Number(after?.[0] ?? 0), position))
      yield Object.values(row)
  },
  ids: function* (db, after, until) {
    const [id, position] = pairOf(after)
    const sql = (where: string): string =>
      `SELECT id, position FROM entries WHERE ${where} AND position <= ? ORDER BY id, position`
    const same = db.iterate<Record<string, number>>(sql('id = ? AND position > ?'), id, position, until.position)
    for (const row of same) yield Object.values(row)
    for (const row of db.iterate<Record<string, number>>(sql('id > ?'), id, until.position)) yield Object.values(row)
  },
}

/**
 * The next rows of a tree behind one, at most `limit`, of a view that is complete. Null if the view was made anew, or versions lost their
 * bytes meanwhile. Nothing else of what is there changes: later entries only add rows that come later, so slices at different times fit together.
 */
export function sliceOf(
  db: Database,
  tree: Tree,
  after: SortKey | null,
  until: Until,
  limit: number,
): readonly PageRow[] | null {
  const { generation, root, dropped } = readState(db)
  if (generation !== until.generation || root !== '' || dropped !== until.dropped) return null
  const rows: PageRow[] = []
  for (const row of SLICES[tree](db, after, until)) if (rows.push(row) >= limit) break
  return rows
}

interface VersionRow {
  readonly key: string
  readonly serial: number
  readonly number: number
  readonly version: number
  readonly position: number
  readonly time: number
  readonly deleted: number
  readonly size: number
  readonly hash: string
  readonly type: string
  readonly meta: string
  readonly depth: number
  readonly refs: Uint8Array
  readonly entry: string
  readonly author: string
  readonly device: string
  readonly operation: string | null
  readonly first: number
  readonly made: number
}

function pageRow(row: VersionRow): PageRow {
  const { key, version, serial, number, position, time, deleted, size, hash, type, meta, depth } = row
  const { entry, author, device, operation, first, made } = row
  const fact = [position, time, deleted, size, hash, type, meta, depth, encodeRefs(row)]
  return [key, version, serial, number, ...fact, entry, author, device, operation, first, made]
}

function pairOf(after: SortKey | null): readonly [string, number] {
  return after?.length === 2 ? after : ['', 0]
}
