import { dirname, join } from 'node:path'
import type { Body } from '../../content/body.ts'
import type { Clock, Ids } from '../../platform/ports.ts'
import { patiently, sqliteProblem, transact, type Database } from '../../platform/sqlite.ts'
import { systemStoreDisk, type StoreDisk } from '../../platform/store-disk.ts'
import type { BlobInfo, Conflict, Cursor, Outcome, Page } from '../contract/types.ts'
import { formatCursor, type Place } from '../cursor.ts'
import { NEVER_WAS, type Standing } from '../expectation.ts'
import type { Position } from '../ports.ts'
import { applyEntries, type PlacedEntry, type Refusal } from './apply.ts'
import { listPage, type Query } from './list.ts'
import { findOperation, madeBy } from './operations.ts'
import { INFO_COLUMNS, toBody, toInfo, type InfoRow } from './rows.ts'
import { APPLIED, isCurrent, readState, REPEATED, reset, type State } from './schema.ts'

export interface BlobVersion {
  readonly info: BlobInfo
  readonly body: Body
}
/** Where a reader of the history stands: what it was told last, and the first serial that it was not told. */
export interface Mark {
  readonly generation: string
  readonly told: Place | null
  readonly serial: number
}
interface HistoryPage {
  readonly items: readonly BlobInfo[]
  readonly mark: Mark
  /** The head, when nothing follows the items. */
  readonly head: Cursor | null
}

/** What a log's entries up to a position amount to. Reads are synchronous, each from one state; several processes may share one. */
export interface View {
  state(): State
  /** The cursor of the last entry that was read. */
  head(): Cursor
  find(key: string, version?: number): BlobInfo | null
  /** Null also for a tombstone. */
  findBlob(key: string, version?: number): BlobVersion | null
  standing(key: string): Standing
  list(query: Query): Page
  /** What happened to each entry; null for one that was not read. */
  outcomes(ids: readonly string[]): readonly (Outcome | null)[]
  /** Behind this place (or the start); null if the entry there is another one. */
  mark(place: Place | null): Mark | null
  /** At most `limit` versions behind the mark; null if the history before it is another one. */
  history(mark: Mark, limit: number): HistoryPage | null
  /** Looks for the newest operation whose id begins with `start` among some of the entries before a position; see `findOperation`. */
  operation(start: string, before: Position): ReturnType<typeof findOperation>
  /** The versions that an operation made with some of the entries behind a position, in order; `after` null: there are no more. */
  operationItems(
    operation: string,
    after: Position,
  ): { readonly items: readonly BlobInfo[]; readonly after: Position | null }
  apply(entries: readonly PlacedEntry[]): Promise<void>
  /** Forgets everything. */
  reset(): Promise<void>
  /** May be called again. */
  close(): void
}

export interface ViewOptions {
  /** File, made with its folder when missing; null: in memory. A file of another format is emptied, a damaged one replaced. */
  readonly path: string | null
  /** Name that the infos carry. */
  readonly bucket: string
  readonly clock: Clock
  readonly ids: Ids
  /** Of the file; this machine's unless given. */
  readonly disk?: StoreDisk
}

export async function openView(options: ViewOptions): Promise<View> {
  const { clock, ids } = options
  const db = await openFile(options)
  try {
    await transact(db, clock, () => {
      if (!isCurrent(db)) reset(db, ids.next())
    })
  } catch (error) {
    db.close()
    throw error
  }
  return view(db, options)
}

/** The file of a log's view in a directory of views. */
export function viewPath(directory: string, epoch: string): string {
  return join(directory, `${epoch}.db`)
}

/** Deletes the file of a view; nothing is lost. */
export function removeView(path: string, disk: StoreDisk = systemStoreDisk): void {
  for (const suffix of ['-wal', '-shm', '']) disk.remove(`${path}${suffix}`)
}

async function openFile({ path, clock, disk = systemStoreDisk }: ViewOptions): Promise<Database> {
  if (path === null) return disk.openDatabase(':memory:', { synchronous: 'normal' })
  try {
    disk.makeFolder(dirname(path))
    disk.create(path)
    return await patiently(clock, () => openChecked(disk, path))
  } catch (error) {
    if (sqliteProblem(error) !== 'corrupt') throw error
    removeView(path, disk)
    disk.create(path)
    return patiently(clock, () => openChecked(disk, path))
  }
}

function openChecked(disk: StoreDisk, path: string): Database {
  const db = disk.openDatabase(path, { synchronous: 'normal' })
  try {
    // A damaged file shows itself only when it is read.
    if (isCurrent(db)) readState(db)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

type ToInfo = (row: InfoRow) => BlobInfo

function view(db: Database, { bucket, clock, ids }: ViewOptions): View {
  let open = true
  const atOnce = <T>(read: (info: ToInfo, state: State) => T): T => {
    db.exec('BEGIN')
    try {
      const state = readState(db)
      return read((row) => toInfo(bucket, state.epoch, row), state)
    } finally {
      db.exec('COMMIT')
    }
  }
  return {
    state: () => readState(db),
    head: () => formatCursor(readState(db)),
    find: (key, version) =>
      atOnce((info) => {
        const row = findRow(db, key, version)
        return row === undefined ? null : info(row)
      }),
    findBlob: (key, version) =>
      atOnce((info) => {
        const row = findRow(db, key, version)
        return row === undefined || row.deleted === 1 ? null : { info: info(row), body: bodyOf(db, row) }
      }),
    standing: (key) => findStanding(db, key),
    list: (query) =>
      atOnce((info, state) => {
        const { items, prefixes, next } = listPage(db, query)
        const listed = items.map((row) => ({ ...info(row), ...(row.history ? { history: row.history } : {}) }))
        const rest = next === null ? { complete: true } : { complete: false, next }
        return { items: listed, prefixes, ...rest, cursor: formatCursor(state) }
      }),
    outcomes: (ids) => atOnce((info, state) => ids.map((id) => findOutcome(db, id, info, state))),
    mark: (place) => atOnce((_, state) => findMark(db, place, state)),
    history: (mark, limit) => atOnce((info, state) => readHistory(db, { mark, limit }, info, state)),
    operation: (start, before) => atOnce(() => findOperation(db, start, before)),
    operationItems: (operation, position) =>
      atOnce((info) => {
        const { entries, after } = madeBy(db, operation, position)
        return { items: entries.flatMap(({ first, made }) => versionsFrom(db, first, first + made).map(info)), after }
      }),
    apply: (entries) => transact(db, clock, () => applyEntries(db, entries)),
    reset: () => transact(db, clock, () => reset(db, ids.next())),
    close: () => {
      if (open) db.close()
      open = false
    },
  }
}

function findStanding(db: Database, key: string): Standing {
  const row = findRow(db, key)
  if (row === undefined) return NEVER_WAS
  const deleted = row.deleted === 1
  return { version: row.version, deleted, stamp: deleted ? row.entry : row.hash }
}

function findRow(db: Database, key: string, version?: number): InfoRow | undefined {
  const rows = `SELECT ${INFO_COLUMNS} FROM keys k CROSS JOIN versions v CROSS JOIN entries e ON e.position = v.position WHERE k.key = ?`
  if (version === undefined) return db.get<InfoRow>(`${rows} AND v.serial = k.head`, key)
  return db.get<InfoRow>(`${rows} AND v.number = k.number AND v.version = ?`, key, version)
}

function bodyOf(db: Database, { serial, hash }: InfoRow): Body {
  const found = db.get<{ depth: number; refs: Uint8Array }>('SELECT depth, refs FROM versions WHERE serial = ?', serial)
  if (found === undefined) throw new Error(`the view lost version ${serial}`)
  return toBody(hash, found.depth, found.refs)
}

const VERSIONS_BY_SERIAL = `SELECT ${INFO_COLUMNS} FROM versions v
  CROSS JOIN keys k ON k.number = v.number CROSS JOIN entries e ON e.position = v.position
  WHERE v.serial >= ? AND v.serial < ? ORDER BY v.serial`

interface EntryRow {
  readonly position: number
  readonly outcome: number
  readonly first: number
  readonly made: number
  readonly conflicts: string | null
}

function findOutcome(db: Database, id: string, info: ToInfo, state: State): Outcome | null {
  const entry = db.get<EntryRow>(
    `SELECT position, outcome, first, made, conflicts FROM entries WHERE id = ? AND outcome <> ${REPEATED} ORDER BY position DESC`,
    id,
  )
  if (entry === undefined) return null
  if (entry.outcome === APPLIED) {
    const blobs = versionsFrom(db, entry.first, entry.first + entry.made).map(info)
    return { id, ok: true, cursor: formatCursor({ epoch: state.epoch, position: entry.position, entry: id }), blobs }
  }
  const refusals = JSON.parse(entry.conflicts ?? '[]') as readonly Refusal[]
  const conflicts = refusals.map(({ key, expected, version }): Conflict => {
    const row = findRow(db, key, version)
    return { key, expected, current: row === undefined ? null : info(row) }
  })
  return { id, ok: false, conflicts }
}

/** Versions by serial, `end` not included; `LIMIT` would take several times as long for few rows. */
function versionsFrom(db: Database, first: number, end: number): InfoRow[] {
  return db.all<InfoRow>(VERSIONS_BY_SERIAL, first, end)
}

function findMark(db: Database, place: Place | null, { epoch, generation }: State): Mark | null {
  if (place === null) return { generation, told: null, serial: 1 }
  if (place.epoch !== epoch) return null
  const sql = 'SELECT first + made AS serial FROM entries WHERE position = ? AND id = ?'
  const found = db.get<{ serial: number }>(sql, place.position, place.entry)
  return found === undefined ? null : { generation, told: place, serial: found.serial }
}

interface HistoryQuery {
  readonly mark: Mark
  readonly limit: number
}

function readHistory(db: Database, { mark, limit }: HistoryQuery, info: ToInfo, state: State): HistoryPage | null {
  const { generation, epoch } = state
  // A view made anew from the same log has the same serials; from another log it lacks the place.
  if (generation !== mark.generation && findMark(db, mark.told, state) === null) return null
  const rows = versionsFrom(db, mark.serial, mark.serial + limit)
  const last = rows.at(-1)
  const told = last === undefined ? mark.told : { epoch, position: last.position, entry: last.entry }
  return {
    items: rows.map(info),
    mark: { generation, told, serial: last === undefined ? mark.serial : last.serial + 1 },
    head: rows.length < limit ? formatCursor(state) : null,
  }
}
