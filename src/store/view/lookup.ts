import type { Body } from '../../content/body.ts'
import type { Database } from '../../platform/sqlite.ts'
import type { BlobInfo, Conflict, Cursor, Outcome } from '../contract/types.ts'
import { formatCursor, type Place } from '../cursor.ts'
import { NEVER_WAS, type Standing } from '../expectation.ts'
import type { Refusal } from './apply.ts'
import { openWants, wantEntries, wantSerials, type Part } from './gaps.ts'
import { INFO_COLUMNS, toBody, type InfoRow } from './rows.ts'
import { standingOf } from './standing.ts'
import { APPLIED, REPEATED, type State } from './schema.ts'

export type ToInfo = (row: InfoRow) => BlobInfo

/** Where a reader of the history stands: what it was told last, and the first serial that it was not told. */
export interface Mark {
  readonly generation: string
  readonly told: Place | null
  readonly serial: number
}
export interface HistoryPage {
  readonly items: readonly BlobInfo[]
  readonly mark: Mark
  /** The head, when nothing follows the items. */
  readonly head: Cursor | null
}

/** What stands at each key. */
export function findStandings(db: Database, keys: readonly string[], { root }: State): ReadonlyMap<string, Standing> {
  if (root !== '') wantHeads(db, keys)
  return new Map(
    keys.map((key) => {
      return [key, standingOf(db, key) ?? NEVER_WAS]
    }),
  )
}

function wantHeads(db: Database, keys: readonly string[]): void {
  const wants = openWants(db)
  for (const key of keys) wants.head(key)
  wants.settle()
}

/** A version of a key; the newest unless said. */
export interface Which {
  readonly key: string
  readonly version?: number | undefined
}

/** In the order of what is asked for. */
export function findRows(db: Database, which: readonly Which[], { root }: State): readonly (InfoRow | undefined)[] {
  if (root !== '') {
    const wants = openWants(db)
    for (const { key, version } of which) if (version === undefined) wants.head(key)
    for (const { key, version } of which) if (version !== undefined) wants.version(key, version)
    wants.settle()
  }
  return which.map(({ key, version }) => rowOf(db, key, version))
}

function rowOf(db: Database, key: string, version?: number): InfoRow | undefined {
  const rows = `SELECT ${INFO_COLUMNS} FROM keys k CROSS JOIN versions v CROSS JOIN entries e ON e.position = v.position WHERE k.key = ?`
  if (version === undefined) return db.get<InfoRow>(`${rows} AND v.serial = k.head`, key)
  return db.get<InfoRow>(`${rows} AND v.number = k.number AND v.version = ?`, key, version)
}

export function bodyOf(db: Database, { serial, hash }: InfoRow): Body {
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

/** What happened to each entry; null for one that is not there. */
export function findOutcomes(
  db: Database,
  ids: readonly string[],
  info: ToInfo,
  state: State,
): readonly (Outcome | null)[] {
  if (state.root !== '') wantEntries(db, ids)
  const sql = `SELECT position, outcome, first, made, conflicts FROM entries WHERE id = ? AND outcome <> ${REPEATED} ORDER BY position DESC`
  const entries = ids.map((id) => db.get<EntryRow>(sql, id))
  if (state.root !== '') wantSerials(db, entries.flatMap(partOf))
  return ids.map((id, index) => {
    const entry = entries[index]
    return entry === undefined ? null : toOutcome(db, id, entry, info, state)
  })
}

function partOf(entry: EntryRow | undefined): readonly Part[] {
  if (entry?.outcome !== APPLIED) return []
  return [{ first: entry.first, end: entry.first + entry.made }]
}

function toOutcome(db: Database, id: string, entry: EntryRow, info: ToInfo, state: State): Outcome {
  if (entry.outcome === APPLIED) {
    const blobs = rowsBySerial(db, entry.first, entry.first + entry.made).map(info)
    return { id, ok: true, cursor: formatCursor({ epoch: state.epoch, position: entry.position, entry: id }), blobs }
  }
  const refusals = JSON.parse(entry.conflicts ?? '[]') as readonly Refusal[]
  const rows = findRows(db, refusals, state)
  const conflicts = refusals.map(({ key, expected }, index): Conflict => {
    const row = rows[index]
    return { key, expected, current: row === undefined ? null : info(row) }
  })
  return { id, ok: false, conflicts }
}

/** Versions by serial: those of each part, `end` not included. */
export function versionsOf(db: Database, parts: readonly Part[], { root, serial }: State): readonly InfoRow[] {
  if (root !== '')
    wantSerials(
      db,
      parts.map(({ first, end }) => ({ first, end: Math.min(end, serial) })),
    )
  return parts.flatMap(({ first, end }) => rowsBySerial(db, first, end))
}

/** Not by `LIMIT`: that would take several times as long for few rows. */
function rowsBySerial(db: Database, first: number, end: number): readonly InfoRow[] {
  return db.all<InfoRow>(VERSIONS_BY_SERIAL, first, end)
}

export function findMark(db: Database, place: Place | null, { epoch, generation, root }: State): Mark | null {
  if (place === null) return { generation, told: null, serial: 1 }
  if (place.epoch !== epoch) return null
  if (root !== '') {
    const wants = openWants(db)
    wants.entry(place.position)
    wants.settle()
  }
  const sql = 'SELECT first + made AS serial FROM entries WHERE position = ? AND id = ?'
  const found = db.get<{ serial: number }>(sql, place.position, place.entry)
  return found === undefined ? null : { generation, told: place, serial: found.serial }
}

interface HistoryQuery {
  readonly mark: Mark
  readonly limit: number
}

export function readHistory(
  db: Database,
  { mark, limit }: HistoryQuery,
  info: ToInfo,
  state: State,
): HistoryPage | null {
  const { generation, epoch } = state
  // A view made anew from the same log has the same serials; from another log it lacks the place.
  if (generation !== mark.generation && findMark(db, mark.told, state) === null) return null
  const rows = versionsOf(db, [{ first: mark.serial, end: mark.serial + limit }], state)
  const last = rows.at(-1)
  const told = last === undefined ? mark.told : { epoch, position: last.position, entry: last.entry }
  return {
    items: rows.map(info),
    mark: { generation, told, serial: last === undefined ? mark.serial : last.serial + 1 },
    head: rows.length < limit ? formatCursor(state) : null,
  }
}
