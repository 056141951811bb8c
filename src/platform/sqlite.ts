import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import type { Clock } from './ports.ts'

/** Milliseconds that opening may wait for another process which is just creating, recovering or closing the same file. */
const OPEN_PATIENCE = 5_000
/** Milliseconds that a statement is tried again while other processes hold the lock. */
const BUSY_PATIENCE = 30_000
const LONGEST_PAUSE = 20

export type Value = SQLInputValue

/**
 * An open SQLite file. Statements are prepared once and kept: a `LIMIT` belongs into the text, because SQLite plans a statement anew for each
 * value of a bound one. Everything is synchronous and may throw SQLite's errors, see `sqliteProblem`.
 */
export interface Database {
  /** Runs statements that give no rows and take no values. */
  exec(sql: string): void
  /** Runs one statement; gives the number of changed rows and the last row id. */
  run(sql: string, ...values: Value[]): { readonly changes: number; readonly rowid: number }
  get<Row>(sql: string, ...values: Value[]): Row | undefined
  all<Row>(sql: string, ...values: Value[]): Row[]
  /** Rows one by one. While it runs, do not run the same SQL text again. */
  iterate<Row>(sql: string, ...values: Value[]): IterableIterator<Row>
  /** Changes when another connection (of any process) has committed since the last call. */
  dataVersion(): number
  /** Changes when this connection has written, or taken back what it had. */
  ownVersion(): number
  /** True between BEGIN and COMMIT or ROLLBACK. */
  inTransaction(): boolean
  close(): void
}

/** Opens or creates the file (or `:memory:`): WAL, foreign keys off, and from then on no waiting for locks (busy timeout 0). */
export function openDatabase(path: string, options: { readonly synchronous: 'full' | 'normal' }): Database {
  const connection = new DatabaseSync(path, { timeout: OPEN_PATIENCE, enableForeignKeyConstraints: false })
  try {
    connection.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${options.synchronous}; PRAGMA busy_timeout = 0`)
  } catch (error) {
    connection.close()
    throw error
  }
  return wrap(connection)
}

/** Opens a file that is there to be read only. Closing it leaves its WAL as it is, also as the last one. */
export function readDatabase(path: string): Database {
  const connection = new DatabaseSync(path, { timeout: OPEN_PATIENCE, readOnly: true })
  try {
    connection.exec('PRAGMA busy_timeout = 0')
  } catch (error) {
    connection.close()
    throw error
  }
  return wrap(connection)
}

/**
 * A database in memory that starts as `image` (null: empty); `image()` gives one of what is committed. To keep, copy and bring back what a
 * simulated disk holds.
 */
export function openImage(image: Uint8Array | null): { readonly db: Database; image(): Uint8Array } {
  const connection = new DatabaseSync(':memory:', { enableForeignKeyConstraints: false })
  if (image !== null) connection.deserialize(image)
  return { db: wrap(connection), image: () => connection.serialize() }
}

const BEGIN = 'BEGIN'
const COMMIT = 'COMMIT'

function wrap(connection: DatabaseSync): Database {
  const statements = new Map<string, StatementSync>()
  const prepared = (sql: string): StatementSync => {
    let statement = statements.get(sql)
    if (statement === undefined) statements.set(sql, (statement = connection.prepare(sql)))
    return statement
  }
  let writes = 0
  return {
    exec: (sql) => {
      // As a prepared statement it need not be read each time.
      if (sql === BEGIN || sql === COMMIT) return void prepared(sql).run()
      writes++
      connection.exec(sql)
    },
    run: (sql, ...values) => {
      writes++
      const { changes, lastInsertRowid } = prepared(sql).run(...values)
      return { changes: Number(changes), rowid: Number(lastInsertRowid) }
    },
    get: <Row>(sql: string, ...values: Value[]) => prepared(sql).get(...values) as Row | undefined,
    all: <Row>(sql: string, ...values: Value[]) => prepared(sql).all(...values) as Row[],
    iterate: <Row>(sql: string, ...values: Value[]) => prepared(sql).iterate(...values) as IterableIterator<Row>,
    dataVersion: () => Number(prepared('PRAGMA data_version').get()?.['data_version']),
    ownVersion: () => writes,
    inTransaction: () => connection.isTransaction,
    close: () => {
      statements.clear()
      connection.close()
    },
  }
}

/**
 * Looks again only after the database was written to, by whomever: to look is many times as dear as to find that out. What `look` throws is not
 * remembered.
 */
export function remembering<T>(db: Database, look: () => T): () => T {
  let known: { readonly value: T; readonly own: number; readonly others: number } | null = null
  return () => {
    const own = db.ownVersion()
    const others = db.dataVersion()
    if (known === null || known.own !== own || known.others !== others) known = { value: look(), own, others }
    return known.value
  }
}

/** What SQLite complains about, or null if the error is not SQLite's. */
export type SqliteProblem = 'busy' | 'corrupt' | 'full' | 'io' | 'readonly' | 'cannot-open' | 'other'

const PROBLEMS = new Map<number, SqliteProblem>([
  [5, 'busy'],
  [6, 'busy'],
  [8, 'readonly'],
  [10, 'io'],
  [11, 'corrupt'],
  [13, 'full'],
  [14, 'cannot-open'],
  [26, 'corrupt'],
])

/**
 * Classes an error by SQLite's primary result code; `corrupt` is SQLITE_CORRUPT or SQLITE_NOTADB, and a number that is larger than any that
 * was written.
 */
export function sqliteProblem(error: unknown): SqliteProblem | null {
  if (error instanceof RangeError && /too large to be represented/.test(error.message)) return 'corrupt'
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null
  return PROBLEMS.get(error.errcode & 0xff) ?? 'other'
}

/** Calls `fn` again, without freezing the process, while it throws SQLITE_BUSY; after 30 s throws an error with code `SQLITE_BUSY`. */
export async function patiently<T>(clock: Clock, fn: () => T): Promise<T> {
  const start = clock.elapsed()
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      return fn()
    } catch (error) {
      if (sqliteProblem(error) !== 'busy') throw error
      if (clock.elapsed() - start > BUSY_PATIENCE) {
        const message = `the database is still locked by another process after ${BUSY_PATIENCE / 1000} s`
        throw Object.assign(new Error(message, { cause: error }), { code: 'SQLITE_BUSY' })
      }
    }
    await clock.sleep(pause)
  }
}

/**
 * Runs `fn` inside BEGIN IMMEDIATE … COMMIT; rolls back and rethrows if it throws. Waits for other writers up to 30 s without
 * freezing the process, then throws an error with code `SQLITE_BUSY`. `fn` runs once, and nothing of this process runs in between.
 */
export function transact<T>(db: Database, clock: Clock, fn: () => T): Promise<T> {
  return patiently(clock, () => inTransaction(db, fn))
}

/** Runs `fn` inside BEGIN IMMEDIATE … COMMIT; rolls back and rethrows if it throws. Throws SQLITE_BUSY at once while another writes. */
export function inTransaction<T>(db: Database, fn: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = fn()
    db.exec('COMMIT')
    return result
  } catch (error) {
    if (db.inTransaction()) db.exec('ROLLBACK')
    throw error
  }
}

/**
 * Takes the lock of this file (made if needed, left empty) for as long as the process lives, or null if another holder,
 * in this process or another, has it. Gives the function that releases it. The system releases it when the process dies.
 */
export function tryLock(path: string): (() => void) | null {
  return lockBy(path, 'BEGIN EXCLUSIVE')
}

/** As `tryLock`, but any number may share the lock: null only while someone has taken it with `tryLock`. */
export function tryShare(path: string): (() => void) | null {
  return lockBy(path, 'BEGIN; SELECT count(*) FROM sqlite_schema')
}

function lockBy(path: string, sql: string): (() => void) | null {
  const connection = new DatabaseSync(path, { timeout: 0 })
  try {
    connection.exec(sql)
    return () => connection.close()
  } catch (error) {
    connection.close()
    if (sqliteProblem(error) === 'busy') return null
    throw error
  }
}
