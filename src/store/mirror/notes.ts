import { join } from 'node:path'
import type { Hash } from '../../content/hash.ts'
import type { Clock } from '../../platform/ports.ts'
import { patiently, sqliteProblem, transact, type Database } from '../../platform/sqlite.ts'
import type { StoreDisk } from '../../platform/store-disk.ts'
import type { Cursor, EntryInput } from '../contract/types.ts'

const FORMAT = 1
const FILE = 'mirror.db'

/** What the mirror knows of a key there: at this tag it has the bytes of this hash. */
export interface Known {
  readonly tag: string
  readonly hash: Hash
}
/** What was about to be written there: the outcome is unknown until somebody has looked. */
export interface Intent {
  readonly number: number
  readonly entry: EntryInput
  /** Of each key of the entry the tag that it was to replace; null if nothing was there. */
  readonly before: ReadonlyMap<string, string | null>
}
/** What one step of the mirror has done. */
interface Step {
  readonly known?: readonly (readonly [key: string, known: Known])[]
  readonly gone?: readonly string[]
  /** Intents whose outcome is known now. */
  readonly settled?: readonly number[]
  /** The shadow's head: what is known is what stands there. Unless given, nothing is said of it. */
  readonly cursor?: Cursor
}

/**
 * What a mirror remembers beside its shadow; durable. Losing it costs that everything is read and compared again, no bytes: the shadow and the
 * place itself are the truth. To be used by who holds the mirror's lock.
 */
export interface Notes {
  known(): Promise<Map<string, Known>>
  /** The shadow's head when `known` was what stands there; null if that was never so. */
  cursor(): Promise<Cursor | null>
  /** The oldest first. */
  intents(): Promise<readonly Intent[]>
  /** Gives their numbers, in the same order. */
  intend(intents: readonly Omit<Intent, 'number'>[]): Promise<readonly number[]>
  record(step: Step): Promise<void>
  close(): void
}

/** Opens or makes the notes in a folder that is there; those that are damaged, or of another format, are begun anew. */
export async function openNotes(directory: string, disk: StoreDisk, clock: Clock): Promise<Notes> {
  const path = join(directory, FILE)
  const db = await openGood(path, disk, clock)
  return {
    known: () =>
      patiently(clock, () => {
        const rows = db.all<{ key: string; tag: string; hash: string }>('SELECT key, tag, hash FROM known')
        return new Map(rows.map(({ key, tag, hash }) => [key, { tag, hash }]))
      }),
    cursor: () => patiently(clock, () => db.get<{ cursor: string | null }>('SELECT cursor FROM state')?.cursor ?? null),
    intents: () =>
      patiently(clock, () =>
        db.all<IntentRow>('SELECT number, entry, before FROM intents ORDER BY number').map(intentOf),
      ),
    intend: (intents) =>
      transact(db, clock, () =>
        intents.map(
          ({ entry, before }) =>
            db.run(
              'INSERT INTO intents (entry, before) VALUES (?, ?)',
              JSON.stringify(entry),
              JSON.stringify([...before]),
            ).rowid,
        ),
      ),
    record: (step) => transact(db, clock, () => recordStep(db, step)),
    close: () => db.close(),
  }
}

async function openGood(path: string, disk: StoreDisk, clock: Clock): Promise<Database> {
  try {
    return await openSchema(path, disk, clock)
  } catch (error) {
    if (sqliteProblem(error) !== 'corrupt' && !(error instanceof OtherFormat)) throw error
  }
  for (const end of ['', '-wal', '-shm']) disk.remove(path + end)
  return openSchema(path, disk, clock)
}

class OtherFormat extends Error {}

async function openSchema(path: string, disk: StoreDisk, clock: Clock): Promise<Database> {
  const db = disk.openDatabase(path, { synchronous: 'full' })
  try {
    await transact(db, clock, () => {
      db.exec(`
        CREATE TABLE IF NOT EXISTS state (format INTEGER NOT NULL, cursor TEXT);
        CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, tag TEXT NOT NULL, hash TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS intents (number INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL, before TEXT NOT NULL);
      `)
      const format = db.get<{ format: number }>('SELECT format FROM state')?.format
      if (format === undefined) db.run('INSERT INTO state (format) VALUES (?)', FORMAT)
      else if (format !== FORMAT) throw new OtherFormat()
    })
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

function recordStep(db: Database, { known = [], gone = [], settled = [], cursor }: Step): void {
  for (const [key, { tag, hash }] of known) {
    db.run('INSERT OR REPLACE INTO known (key, tag, hash) VALUES (?, ?, ?)', key, tag, hash)
  }
  for (const key of gone) db.run('DELETE FROM known WHERE key = ?', key)
  for (const number of settled) db.run('DELETE FROM intents WHERE number = ?', number)
  if (cursor !== undefined) db.run('UPDATE state SET cursor = ?', cursor)
}

interface IntentRow {
  readonly number: number
  readonly entry: string
  readonly before: string
}

function intentOf({ number, entry, before }: IntentRow): Intent {
  return {
    number,
    entry: JSON.parse(entry) as EntryInput,
    before: new Map(JSON.parse(before) as [string, string | null][]),
  }
}
