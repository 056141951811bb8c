import { existsSync, readdirSync } from 'node:fs'
import { sha256 } from '../../content/hash.ts'
import type { Clock } from '../../platform/ports.ts'
import { openDatabase, patiently, sqliteProblem, type Database } from '../../platform/sqlite.ts'
import { SMALL } from '../../content/chunker.ts'
import type { Finding, Inspection } from '../../store/contract/findings.ts'
import { headProblem, readHead } from './heads.ts'
import { REPAIR, type Damage } from './damage.ts'
import { createTables, formatOf, type StoreFile } from './store-file.ts'
import { ageSum, bucketSum, entrySum, packSum } from './sums.ts'

/** Faults of the database that are told one by one. */
const MOST_FAULTS = 100
/** Rows read at once. */
const ROWS = 250

export interface DatabaseCheck {
  readonly store: StoreFile
  readonly clock: Clock
  readonly inspection: Inspection
  readonly damage: Damage
}

/** Reads the whole database: its pages, the checksums of its rows, and the bytes of the chunks in it. */
export async function checkDatabase(check: DatabaseCheck): Promise<void> {
  const { store, clock, inspection } = check
  // What cannot be read is told once, however many steps meet it.
  const told = new Set<string>()
  for (const step of [checkPages, checkSchema, checkBuckets, checkLogs, checkPackRows, checkAges, checkSmallChunks]) {
    try {
      await step({ ...check, read: (look) => patiently(clock, look) })
    } catch (error) {
      if (sqliteProblem(error) !== 'corrupt') throw error
      const message = `store.db cannot be read everywhere: ${(error as Error).message}`
      if (!told.has(message)) inspection.report(damage({ code: 'database', message }))
      told.add(message)
    }
  }
  await inspection.pace(
    store.db.get<{ bytes: number }>('SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size')
      ?.bytes ?? 0,
  )
}

type Step = DatabaseCheck & { readonly read: <T>(look: () => T) => Promise<T> }

function damage(found: Omit<Finding, 'severity' | 'remedy'>): Finding {
  return { ...found, severity: 'damage', remedy: REPAIR }
}

async function checkPages({ store, inspection, read }: Step): Promise<void> {
  const rows = await read(() => store.db.all<{ integrity_check: string }>(`PRAGMA integrity_check(${MOST_FAULTS})`))
  for (const { integrity_check: fault } of rows) {
    if (fault !== 'ok')
      inspection.report(damage({ code: 'database', message: `store.db: ${fault.replaceAll('\n', ' ')}` }))
  }
}

async function checkSchema({ store, inspection, read }: Step): Promise<void> {
  const described = (db: Database): string =>
    JSON.stringify([
      db.all('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name'),
      db.get('SELECT * FROM pragma_encoding, pragma_page_size, pragma_auto_vacuum'),
    ])
  const model = openDatabase(':memory:', { synchronous: 'normal' })
  try {
    createTables(model, formatOf(store.db))
    if ((await read(() => described(store.db))) === described(model)) return
  } finally {
    model.close()
  }
  inspection.report(damage({ code: 'format', message: 'store.db: its tables are not those of a store' }))
}

interface BucketRow {
  readonly id: number
  readonly name: string | null
  readonly sum: number
}

async function checkBuckets({ store, inspection, read }: Step): Promise<void> {
  const rows = await read(() => store.db.all<BucketRow>('SELECT id, name, sum FROM buckets'))
  for (const { id, name, sum } of rows) {
    if (sum === bucketSum(id, name)) continue
    inspection.report(
      damage({ code: 'row', message: `store.db: the row of bucket ${id} (${name ?? 'removed'}) was altered` }),
    )
  }
}

async function checkPackRows({ store, inspection, read }: Step): Promise<void> {
  const rows = await read(() =>
    store.db.all<{ id: number; used: number | null; sum: number }>('SELECT id, used, sum FROM packs'),
  )
  for (const { id, used, sum } of rows) {
    if (sum !== packSum(id, used))
      inspection.report(damage({ code: 'row', message: `store.db: the row of pack ${id} was altered` }))
  }
}

/** An age that is too great would let a chunk go that is just being put. */
async function checkAges({ store, inspection, read }: Step): Promise<void> {
  if (formatOf(store.db) < 2) return
  const sql = `SELECT chunk, time, sum FROM ages WHERE chunk > ? ORDER BY chunk LIMIT ${ROWS}`
  for (let after = -1; ;) {
    const from = after
    const rows = await read(() => store.db.all<{ chunk: number; time: number; sum: number }>(sql, from))
    if (rows.length === 0) return
    for (const { chunk, time, sum } of rows) {
      if (!(chunk > after))
        return inspection.report(damage({ code: 'database', message: 'store.db: ages out of order' }))
      after = chunk
      if (sum !== ageSum(chunk, time))
        inspection.report(damage({ code: 'row', message: `store.db: the age of chunk number ${chunk} was altered` }))
    }
  }
}

interface LogRow {
  readonly bucket: number
  readonly position: number
  readonly id: string
  readonly data: Uint8Array
  readonly sum: number
}

/** Every entry has its checksum, the positions have no gap, and nothing is missing that was acknowledged. */
async function checkLogs({ store, inspection, read }: Step): Promise<void> {
  const { db } = store
  const sql = `SELECT bucket, position, id, data, sum FROM log WHERE (bucket, position) > (?, ?) ORDER BY bucket, position LIMIT ${ROWS}`
  let [bucket, position] = [0, 0]
  let expected = 1
  for (;;) {
    const after = [bucket, position] as const
    const rows = await read(() => db.all<LogRow>(sql, ...after))
    if (rows.length === 0) break
    for (const row of rows) {
      if (row.bucket < bucket || (row.bucket === bucket && row.position <= position)) {
        inspection.report(damage({ code: 'database', message: 'store.db: entries out of order' }))
        return
      }
      if (row.bucket !== bucket) expected = 1
      ;[bucket, position] = [row.bucket, row.position]
      if (position !== expected && (await isLive(store, read, bucket))) {
        const lost = position - expected === 1 ? `entry ${expected}` : `entries ${expected} to ${position - 1}`
        inspection.report(
          damage({ code: 'log', message: `the log of ${await nameOf(store, read, bucket)} lacks ${lost}` }),
        )
      }
      expected = position + 1
      if (row.sum === entrySum(bucket, position, row.id, row.data)) continue
      inspection.report(
        damage({
          code: 'entry',
          message: `entry ${position} of the log of ${await nameOf(store, read, bucket)} was altered`,
        }),
      )
    }
  }
  await checkUnknown(store, inspection, read)
  await checkHeads(store, inspection, read)
}

async function checkUnknown({ db }: StoreFile, inspection: Inspection, read: Step['read']): Promise<void> {
  const lost = await read(() =>
    db.all<{ bucket: number }>(`SELECT DISTINCT bucket FROM log WHERE bucket NOT IN (SELECT id FROM buckets)
      UNION SELECT DISTINCT bucket FROM chunks WHERE bucket NOT IN (SELECT id FROM buckets)`),
  )
  for (const { bucket } of lost)
    inspection.report(damage({ code: 'row', message: `store.db: the row of bucket ${bucket} is missing` }))
}

async function checkHeads(store: StoreFile, inspection: Inspection, read: Step['read']): Promise<void> {
  for (const name of existsSync(store.heads) ? readdirSync(store.heads) : []) {
    const bucket = Number(name)
    const head = readHead(store, bucket)
    if (head === null) continue
    if (head === 'unreadable') {
      const message = `heads/${name} was altered: it is no note of an entry`
      inspection.report({ code: 'row', severity: 'warning', message, remedy: REPAIR })
      continue
    }
    const problem = await read(() => headProblem(store.db, bucket, head))
    if (problem !== null) inspection.report(damage({ code: 'log', message: problem }))
  }
}

async function isLive({ db }: StoreFile, read: Step['read'], bucket: number): Promise<boolean> {
  return (await read(() => db.get('SELECT 1 FROM buckets WHERE id = ? AND name IS NULL', bucket))) === undefined
}

async function nameOf({ db }: StoreFile, read: Step['read'], bucket: number): Promise<string> {
  const row = await read(() => db.get<{ name: string | null }>('SELECT name FROM buckets WHERE id = ?', bucket))
  return row?.name === undefined || row.name === null ? `bucket ${bucket}` : `bucket ${row.name}`
}

/** Where a page is damaged, any value may be of any type. */
interface ChunkRow {
  readonly id: number
  readonly bucket: unknown
  readonly hash: unknown
  readonly size: unknown
  readonly place: unknown
  readonly bytes: unknown
}

/** The chunks in the database; those in packs are checked with them. */
async function checkSmallChunks({ store, inspection, damage: chunks, read }: Step): Promise<void> {
  const sql = `SELECT id, bucket, hash, size, place, bytes FROM chunks WHERE id > ? AND pack IS NULL ORDER BY id LIMIT ${ROWS}`
  for (let after = Number.MIN_SAFE_INTEGER; ;) {
    const from = after
    const rows = await read(() => store.db.all<ChunkRow>(sql, from))
    if (rows.length === 0) return
    for (const { id, bucket, hash, size, place, bytes } of rows) {
      // SQLite trusts the order of a page; who asks for what follows would go around in one that lies.
      if (!(id > after))
        return inspection.report(damage({ code: 'database', message: 'store.db: chunks out of order' }))
      after = id
      if (typeof bucket !== 'number' || !(hash instanceof Uint8Array)) {
        inspection.report(damage({ code: 'row', message: `store.db: the row of chunk number ${id} was altered` }))
        continue
      }
      const address = Buffer.from(hash).toString('hex')
      const whole =
        bytes instanceof Uint8Array &&
        bytes.length === size &&
        size <= SMALL &&
        place === null &&
        sha256(bytes) === address
      if (!whole) chunks.add(bucket, address)
    }
    await inspection.pace(rows.reduce((sum, { bytes }) => sum + lengthOf(bytes), 0))
  }
}

function lengthOf(bytes: unknown): number {
  return bytes instanceof Uint8Array ? bytes.length : 0
}
