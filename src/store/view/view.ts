import { dirname, join } from 'node:path'
import type { Body } from '../../content/body.ts'
import type { Clock, Ids } from '../../platform/ports.ts'
import { patiently, remembering, sqliteProblem, transact, type Database } from '../../platform/sqlite.ts'
import { systemStoreDisk, type StoreDisk } from '../../platform/store-disk.ts'
import type { BlobInfo, Cursor, Outcome, Page } from '../contract/types.ts'
import { formatCursor, type Place } from '../cursor.ts'
import type { Standing } from '../expectation.ts'
import type { Position } from '../ports.ts'
import { applyBehind, applyEntries, type PlacedEntry } from './apply.ts'
import type { SortKey, Tree } from './bounds.ts'
import { gapsIn, type Gap, type Range } from './gaps.ts'
import { excessVersions, keptBodies, type Retention } from './kept.ts'
import { listPage, type Query } from './list.ts'
import {
  bodyOf,
  findMark,
  findOutcomes,
  findRows,
  findStandings,
  readHistory,
  versionsOf,
  type HistoryPage,
  type Mark,
  type ToInfo,
  type Which,
} from './lookup.ts'
import { findOperation, madeBy } from './operations.ts'
import { fillGap, sliceOf, type PageRow, type Until } from './pages.ts'
import { toInfo } from './rows.ts'
import { DROPPED, isCurrent, readState, reset, type State } from './schema.ts'
import { startFrom, type Start } from './start.ts'

export interface BlobVersion {
  readonly info: BlobInfo
  readonly body: Body
}

/**
 * What a log's entries up to a position amount to. Reads are synchronous, each from one state; several processes may share one. Of one that
 * was started from a checkpoint pages may be missing: reads, and `apply`, that touch one throw `PagesWanted`.
 */
export interface View {
  state(): State
  /** Everything that is read within is read from one state. */
  still<T>(look: () => T): T
  /** The cursor of the last entry that was read. */
  head(): Cursor
  find(key: string, version?: number): BlobInfo | null
  /** Null also for a tombstone, and for a version whose bytes were dropped. */
  findBlob(key: string, version?: number): BlobVersion | null
  /** As `findBlob`, in the order asked. */
  findBlobs(which: readonly Which[]): readonly (BlobVersion | null)[]
  standings(keys: readonly string[]): ReadonlyMap<string, Standing>
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
  /** As `apply`, if it has read up to this position and no further; else it is left as it is. */
  applyBehind(position: Position, entries: readonly PlacedEntry[]): Promise<void>
  /** Forgets everything. */
  reset(): Promise<void>
  /** Begins where a checkpoint ends, all of whose pages are missing at first. A view that has read anything is left as it is. */
  start(start: Start): Promise<void>
  /** The first `most` gaps of a range, in order. */
  gaps(range: Range, most: number): readonly Gap[]
  /** Puts what a page says in the place of its gap. */
  fill(gap: Gap, rows: readonly PageRow[]): Promise<void>
  /** See `sliceOf`. */
  slice(tree: Tree, after: SortKey | null, until: Until, limit: number): readonly PageRow[] | null
  /** Position of the first entry up to `through` with a time from `from` to `to`; null if there is none. Of a complete view. */
  firstBetween(from: number, to: number, through: Position): Position | null
  /** See `keptBodies`. */
  keptBodies(generation: string, after: number, limit: number): ReturnType<typeof keptBodies>
  /** See `excessVersions`. */
  excess(generation: string, retention: Retention, after: number, limit: number): ReturnType<typeof excessVersions>
  /** From now on the history behind a position counts as gone. */
  raiseFloor(floor: Position): Promise<void>
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

function view(db: Database, { bucket, clock, ids }: ViewOptions): View {
  let open = true
  const state = remembering(db, () => readState(db))
  let held: State | null = null
  const atOnce = <T>(read: (info: ToInfo, state: State) => T): T => {
    const toOwnInfo = ({ epoch }: State): ToInfo => {
      return (row) => toInfo(bucket, epoch, row)
    }
    if (held !== null) return read(toOwnInfo(held), held)
    db.exec('BEGIN')
    try {
      held = state()
      return read(toOwnInfo(held), held)
    } finally {
      held = null
      db.exec('COMMIT')
    }
  }
  const findBlobs: View['findBlobs'] = (which) =>
    atOnce((info, state) =>
      findRows(db, which, state).map((row) =>
        row === undefined || row.deleted === 1 || row.depth === DROPPED
          ? null
          : { info: info(row), body: bodyOf(db, row) },
      ),
    )
  return {
    state: () => held ?? state(),
    still: (look) => atOnce(look),
    head: () => formatCursor(held ?? state()),
    find: (key, version) =>
      atOnce((info, state) => {
        const [row] = findRows(db, [{ key, version }], state)
        return row === undefined ? null : info(row)
      }),
    findBlob: (key, version) => findBlobs([{ key, version }])[0] ?? null,
    findBlobs,
    standings: (keys) => atOnce((_, state) => findStandings(db, keys, state)),
    list: (query) =>
      atOnce((info, state) => {
        const { items, prefixes, next } = listPage(db, query)
        const listed = items.map((row) => ({ ...info(row), ...(row.history ? { history: row.history } : {}) }))
        const rest = next === null ? { complete: true } : { complete: false, next }
        return { items: listed, prefixes, ...rest, cursor: formatCursor(state) }
      }),
    outcomes: (ids) => atOnce((info, state) => findOutcomes(db, ids, info, state)),
    mark: (place) => atOnce((_, state) => findMark(db, place, state)),
    history: (mark, limit) => atOnce((info, state) => readHistory(db, { mark, limit }, info, state)),
    operation: (start, before) => atOnce(() => findOperation(db, start, before)),
    operationItems: (operation, position) =>
      atOnce((info, state) => {
        const { entries, after } = madeBy(db, operation, position)
        const parts = entries.map(({ first, made }) => ({ first, end: first + made }))
        return { items: versionsOf(db, parts, state).map(info), after }
      }),
    apply: (entries) => transact(db, clock, () => applyEntries(db, entries)),
    applyBehind: (position, entries) => transact(db, clock, () => applyBehind(db, position, entries)),
    reset: () => transact(db, clock, () => reset(db, ids.next())),
    start: (start) => transact(db, clock, () => startFrom(db, start)),
    gaps: (range, most) => gapsIn(db, range, most),
    fill: (gap, rows) => transact(db, clock, () => fillGap(db, gap, rows)),
    slice: (tree, after, until, limit) => atOnce(() => sliceOf(db, tree, after, until, limit)),
    firstBetween: (from, to, through) => {
      const sql = 'SELECT min(position) AS first FROM entries WHERE time BETWEEN ? AND ? AND position <= ?'
      return db.get<{ first: number | null }>(sql, from, to, through)?.first ?? null
    },
    keptBodies: (generation, after, limit) => atOnce(() => keptBodies(db, generation, after, limit)),
    excess: (generation, retention, after, limit) =>
      atOnce(() => excessVersions(db, generation, retention, after, limit)),
    raiseFloor: (floor) => transact(db, clock, () => void db.run('UPDATE state SET floor = max(floor, ?)', floor)),
    close: () => {
      if (open) db.close()
      open = false
    },
  }
}
