import type { Database } from '../../platform/sqlite.ts'
import { boundOf, numberBound, type Bound, type Tree } from './bounds.ts'

/** A part of a tree, `low` to `high`, both included. */
export interface Range {
  readonly tree: Tree
  readonly low: Bound
  readonly high: Bound
  /** A scan from `low` on, whose end is not known: its first pages at first, then more and more. */
  readonly scan?: 'growing' | 'one by one'
}

/** Pages of a checkpoint that are not in the view yet, from `low` up to `high`, which is not included. */
export interface Gap {
  readonly tree: Tree
  readonly low: Bound
  readonly high: Bound
  readonly hash: string
  /** 0: a page of rows; else of pages one level below. */
  readonly level: number
}

/** Thrown by what looks at a view, or changes it, where pages are not there yet: bring them, and look again. */
export class PagesWanted extends Error {
  override readonly name = 'PagesWanted'
  readonly ranges: readonly Range[]

  constructor(ranges: readonly Range[]) {
    super('pages of a checkpoint are not in the view yet')
    this.ranges = ranges
  }
}

/** Above every version and position. */
export const LATEST = Number.MAX_SAFE_INTEGER

/** Collects what a look at the view will touch; for a view that is not complete. */
export interface Wants {
  head(key: string): void
  version(key: string, version: number): void
  id(id: string): void
  entry(position: number): void
  /** Serials, `end` not included. */
  serials(first: number, end: number): void
  range(range: Range): void
  /** Throws `PagesWanted` if anything of it is missing. */
  settle(): void
}

export function openWants(db: Database): Wants {
  const ranges: Range[] = []
  const range = (wanted: Range): void => {
    if (touchesGap(db, wanted)) ranges.push(wanted)
  }
  const point = (tree: Tree, bound: Bound): void => range({ tree, low: bound, high: bound })
  return {
    head: (key) => point('keys', boundOf([key, LATEST])),
    version: (key, version) => point('keys', boundOf([key, version])),
    id: (id) => range({ tree: 'ids', low: boundOf([id, 0]), high: boundOf([id, LATEST]) }),
    entry: (position) => point('entries', numberBound(position)),
    serials: (first, end) => {
      if (end > first) range({ tree: 'serials', low: numberBound(first), high: numberBound(end - 1) })
    },
    range,
    settle: () => {
      if (ranges.length > 0) throw new PagesWanted(ranges)
    },
  }
}

function touchesGap(db: Database, { tree, low, high }: Range): boolean {
  // The last gap that begins before the end of the range reaches farthest.
  const sql = 'SELECT high FROM gaps WHERE tree = ? AND low <= ? ORDER BY low DESC LIMIT 1'
  const found = db.get<{ high: Uint8Array }>(sql, tree, high)
  return found !== undefined && Buffer.compare(found.high, low) > 0
}

/** The gap that is met first from `low` on; null if there is none up to `high`. */
export function firstGap(db: Database, { tree, low, high }: Range): Gap | null {
  const found = db.get<Gap>('SELECT * FROM gaps WHERE tree = ? AND high > ? ORDER BY high LIMIT 1', tree, low)
  return found === undefined || Buffer.compare(found.low, high) > 0 ? null : found
}

/** The gap that is met first from `high` back. */
export function lastGap(db: Database, { tree, high }: Pick<Range, 'tree' | 'high'>): Gap | null {
  return db.get<Gap>('SELECT * FROM gaps WHERE tree = ? AND low <= ? ORDER BY low DESC LIMIT 1', tree, high) ?? null
}

/** The first `most` gaps of a range, in order. */
export function gapsIn(db: Database, { tree, low, high }: Range, most: number): readonly Gap[] {
  const found: Gap[] = []
  for (const gap of db.iterate<Gap>('SELECT * FROM gaps WHERE tree = ? AND high > ? ORDER BY high', tree, low)) {
    if (found.length === most || Buffer.compare(gap.low, high) > 0) break
    found.push(gap)
  }
  return found
}

/** For entries that will be looked up by id, and heads of keys. */
export function wantEntries(db: Database, ids: Iterable<string>, keys: Iterable<string> = []): void {
  const wants = openWants(db)
  const all = [...ids]
  for (const id of all) wants.id(id)
  for (const key of keys) wants.head(key)
  wants.settle()
  const sql = 'SELECT position FROM told_ids WHERE id = ?'
  for (const id of all) for (const { position } of db.all<{ position: number }>(sql, id)) wants.entry(position)
  wants.settle()
}

/** Serials, `end` not included. */
export interface Part {
  readonly first: number
  readonly end: number
}

/** For versions that will be read by serial. */
export function wantSerials(db: Database, parts: readonly Part[]): void {
  const wants = openWants(db)
  for (const { first, end } of parts) wants.serials(first, end)
  wants.settle()
  const sql = 'SELECT key, version FROM told_serials WHERE serial >= ? AND serial < ?'
  for (const { first, end } of parts) {
    for (const { key, version } of db.all<{ key: string; version: number }>(sql, first, end))
      wants.version(key, version)
  }
  wants.settle()
}
