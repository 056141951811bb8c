import { encodeList } from '../../content/body.ts'
import type { Database } from '../../platform/sqlite.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Expectation } from '../contract/types.ts'
import { keyOf, type Drop, type Entry, type EntryChange } from '../entry.ts'
import { holds, NEVER_WAS } from '../expectation.ts'
import type { Position } from '../ports.ts'
import { boundOf } from './bounds.ts'
import { LATEST, openWants, wantEntries } from './gaps.ts'
import { standingOf, type Found } from './standing.ts'
import { APPLIED, DROPPED, readState, REPEATED, VOID } from './schema.ts'

/** How far back, in positions, an entry may be based, and its id is looked for. Part of the format. */
const REACH = 100_000

export interface PlacedEntry {
  readonly position: Position
  readonly entry: Entry
}
/** A change whose expectation did not hold; `version` is what stood there, 0 for nothing. */
export interface Refusal {
  readonly key: string
  readonly expected: Expectation
  readonly version: number
}

/** What changes while a batch is applied; written back once. */
interface Tally {
  blobs: number
  bytes: number
  serial: number
  options: string
  created: string
  epoch: string
  dropped: number
}

/** As `applyEntries`, if the view has read up to this position and no further; else it is left as it is. */
export function applyBehind(db: Database, position: Position, entries: readonly PlacedEntry[]): void {
  if (position > 0 && readState(db).position === position) applyEntries(db, entries)
}

/**
 * Reads entries into the view, in log order; those that it has are passed over. Inside a transaction. What it makes of an entry
 * depends on the entries before it alone (docs/entry-format.md).
 */
export function applyEntries(db: Database, entries: readonly PlacedEntry[]): void {
  const state = readState(db)
  const fresh = entries.filter(({ position }) => position > state.position)
  const last = fresh.at(-1)
  if (last === undefined) return
  const { blobs, bytes, options, created, epoch, serial, dropped } = state
  const tally: Tally = { blobs, bytes, options, created, epoch, serial, dropped }
  if (state.root !== '') wantFor(db, fresh)
  for (const placed of fresh) applyOne(db, tally, placed)
  db.run(
    `UPDATE state SET epoch = ?, position = ?, entry = ?, created = ?, options = ?, blobs = ?, bytes = ?, serial = ?, dropped = ?`,
    tally.epoch,
    last.position,
    last.entry.id,
    tally.created,
    tally.options,
    tally.blobs,
    tally.bytes,
    tally.serial,
    tally.dropped,
  )
}

/** All that the entries touch, at once: a page at a time would be a round trip each. */
function wantFor(db: Database, entries: readonly PlacedEntry[]): void {
  const ids = entries.map(({ entry }) => entry.id)
  wantEntries(
    db,
    ids,
    entries.flatMap(({ entry }) => entry.changes.map(keyOf)),
  )
  const wants = openWants(db)
  for (const [key] of entries.flatMap(({ entry }) => dropsOf(entry))) {
    wants.range({ tree: 'keys', low: boundOf([key, 0]), high: boundOf([key, LATEST]) })
  }
  wants.settle()
}

/** Of an entry of format 1 the field means nothing. */
function dropsOf({ v, drop }: Entry): readonly Drop[] {
  return v === 2 && drop !== undefined ? drop : []
}

function applyOne(db: Database, tally: Tally, { position, entry }: PlacedEntry): void {
  if (tally.epoch === '') startEpoch(tally, entry)
  else if (isRepeat(db, position, entry.id)) return record(db, position, entry, REPEATED, tally.serial, null)
  const first = tally.serial
  const standings = entry.changes.map((change) => standingOf(db, keyOf(change)))
  const refusals = refusalsOf(entry, position, standings)
  if (refusals !== null) return record(db, position, entry, VOID, first, JSON.stringify(refusals))
  for (const [index, change] of entry.changes.entries()) {
    applyChange(db, tally, { position, entry }, change, standings[index] ?? null)
  }
  for (const drop of dropsOf(entry)) tally.dropped += dropVersions(db, drop)
  if (entry.bucket !== undefined) tally.options = JSON.stringify(entry.bucket.options)
  record(db, position, entry, APPLIED, first, null, tally.serial - first)
}

function startEpoch(tally: Tally, entry: Entry): void {
  if (entry.bucket === undefined || entry.changes.length > 0) {
    throw new BlobsError('Corrupt', `the log does not start with the entry of a new bucket, but with ${entry.id}`, {
      hint: 'its start was lost, or it is no log of blobs: restore it from a backup',
    })
  }
  tally.epoch = entry.id
  tally.created = entry.bucket.created
}

function isRepeat(db: Database, position: Position, id: string): boolean {
  return db.get('SELECT 1 FROM entries WHERE id = ? AND position >= ? LIMIT 1', id, position - REACH) !== undefined
}

/** Null if the entry takes effect; else every change that is in the way of it. */
function refusalsOf(entry: Entry, position: Position, standings: readonly (Found | null)[]): readonly Refusal[] | null {
  const keys = new Set(entry.changes.map(keyOf))
  const wrong = position - entry.based > REACH || keys.size < entry.changes.length
  const refusals: Refusal[] = []
  for (const [index, change] of entry.changes.entries()) {
    const standing = standings[index] ?? NEVER_WAS
    if (!wrong && holds(change.expect, standing)) continue
    refusals.push({ key: keyOf(change), expected: change.expect, version: standing.version })
  }
  return wrong || refusals.length > 0 ? refusals : null
}

function applyChange(db: Database, tally: Tally, placed: PlacedEntry, change: EntryChange, found: Found | null): void {
  const isDelete = 'delete' in change
  if (isDelete && (found === null || found.deleted)) return
  const serial = tally.serial++
  const number = place(db, keyOf(change), found, serial, isDelete)
  const version = (found?.version ?? 0) + 1
  if (found !== null && !found.deleted) {
    tally.blobs -= 1
    tally.bytes -= found.size
  }
  const sql = 'INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'
  const { position, entry } = placed
  if (isDelete) {
    db.run(sql, serial, number, version, position, entry.time, 1, 0, '', '', '{}', 0, NOTHING)
    return
  }
  tally.blobs += 1
  tally.bytes += change.size
  const { size, hash, type, meta } = change
  const isDropped = entry.v === 2 && change.dropped === true
  if (isDropped) tally.dropped += 1
  const depth = isDropped ? DROPPED : change.depth
  const refs = isDropped ? NOTHING : encodeList(change.refs.map(([hash, size]) => ({ hash, size })))
  db.run(sql, serial, number, version, position, entry.time, 0, size, hash, type, JSON.stringify(meta), depth, refs)
}

const NOTHING = new Uint8Array(0)

/** Takes the bytes of older versions away; what they were stays known. Gives how many had some. */
function dropVersions(db: Database, [key, through]: Drop): number {
  const sql = `UPDATE versions SET depth = ${DROPPED}, refs = ? WHERE number = ? AND version <= ? AND serial <> ? AND deleted = 0 AND depth >= 0`
  const found = db.get<{ number: number; head: number }>('SELECT number, head FROM keys WHERE key = ?', key)
  return found === undefined ? 0 : db.run(sql, NOTHING, found.number, through, found.head).changes
}

/** Points the key at its new version; gives the key's number. */
function place(db: Database, key: string, found: Found | null, serial: number, deleted: boolean): number {
  const flag = deleted ? 1 : 0
  if (found === null) {
    db.run('INSERT INTO keys (number, key, head, deleted) VALUES (?, ?, ?, ?)', serial, key, serial, flag)
    return serial
  }
  if (found.deleted === deleted) db.run('UPDATE keys SET head = ? WHERE number = ?', serial, found.number)
  else db.run('UPDATE keys SET head = ?, deleted = ? WHERE number = ?', serial, flag, found.number)
  return found.number
}

function record(
  db: Database,
  position: Position,
  entry: Entry,
  outcome: number,
  first: number,
  conflicts: string | null,
  made = 0,
): void {
  const { id, time, author, device, operation } = entry
  const sql = 'INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'
  db.run(sql, position, id, outcome, time, author, device, operation ?? null, first, made, conflicts)
}
