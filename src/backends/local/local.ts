import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../platform/ports.ts'
import type { Database } from '../../platform/sqlite.ts'
import type { Backend, BackendPromises } from '../../store/ports.ts'
import { addBucket, findBucket, type BucketRow } from './bucket.ts'
import { localContent } from './content.ts'
import { dropEmptyPacks } from './drop-packs.ts'
import { headPath } from './heads.ts'
import { checkHead, localLog, MAX_ENTRY_BYTES } from './log.ts'
import { openPackReader } from './pack-reader.ts'
import { openPackWriter, type PackWriterOptions } from './pack-writer.ts'
import { openStoreFile, type OpenStoreOptions, type StoreFile } from './store-file.ts'
import { bucketSum } from './sums.ts'
import { openTransactions, type Transactions } from './transactions.ts'
import { openWaiters } from './waiters.ts'

/** A pack that has grown to this size gets no more records. */
export const PACK_BYTES = 256 * 1024 * 1024
/** Rows of a removed bucket deleted in one transaction. */
const REMOVE_ROWS = 2000

/** What the embedded store promises. */
export const LOCAL_PROMISES: BackendPromises = {
  name: 'local',
  durability: 'fsync',
  maxEntryBytes: MAX_ENTRY_BYTES,
  live: 'pushed',
  cannot: {
    trimming: 'the log is kept until its bucket is removed',
  },
}

export interface LocalOptions extends OpenStoreOptions {
  /** Size at which a new pack is begun, in bytes; 256 MiB unless given. */
  readonly packBytes?: number
}

/**
 * Opens the embedded store: any number of processes may have it open. Durable by fsync; concurrent writes of one process
 * share a transaction. Throws `NotSupported` for the store of a newer program, `Corrupt` for one that cannot be trusted, `QuotaExceeded`
 * when the disk is full, `Unavailable` while it is repaired, and Node's errors when the directory cannot be used.
 */
export async function openLocal({ packBytes = PACK_BYTES, ...options }: LocalOptions): Promise<Backend> {
  return localBackend({ store: await openStoreFile(options), clock: options.clock, packs: { limit: packBytes } })
}

export interface LocalBackendOptions {
  /** Closed with the backend. */
  readonly store: StoreFile
  readonly clock: Clock
  readonly packs: PackWriterOptions
  /** Opens also buckets that lack what was acknowledged. */
  readonly lenient?: boolean
}

/** The backend over a store that is open. */
export function localBackend({ store, clock, packs, lenient = false }: LocalBackendOptions): Backend {
  const transactions = openTransactions(store, clock)
  const writer = openPackWriter(store, transactions, packs)
  const reader = openPackReader(store)
  const waiters = openWaiters(store, transactions, clock)
  const { db } = store
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    waiters.close()
    await writer.close()
    await transactions.drain()
    await reader.close()
    store.close()
  }

  return {
    promises: LOCAL_PROMISES,
    viewDirectory: store.views,
    create: (name) => transactions.write(0, () => addBucket(db, name)),
    names: async () => {
      const rows = await transactions.read(() =>
        db.all<{ name: string }>('SELECT name FROM buckets WHERE name IS NOT NULL ORDER BY name'),
      )
      return rows.map((row) => row.name)
    },
    remove: async (name) => {
      const bucket = await transactions.write(0, () => takeName(db, name))
      await clearRemoved(store, transactions)
      return bucket !== null
    },
    open: async (name) => {
      const bucket: BucketRow | null = await transactions.read(() => findBucket(db, name, lenient))
      if (bucket === null) return null
      if (!lenient) await checkHead(bucket, store, transactions)
      return {
        log: localLog(bucket, { store, transactions, waiters, lenient }),
        content: localContent(bucket, {
          store,
          transactions,
          writer,
          reader,
          clock,
          renews: !lenient,
          packBytes: packs.limit,
        }),
      }
    },
    close: () => (closing ??= close()),
  }
}

/** Gives the id of the bucket that had the name; null if none has. */
function takeName(db: Database, name: string): number | null {
  const id = findBucket(db, name)?.id ?? null
  if (id !== null) db.run('UPDATE buckets SET name = NULL, sum = ? WHERE id = ?', bucketSum(id, null), id)
  return id
}

/** Deletes what removed buckets left, a little at a time; what is cut short is done by the next call of any process. */
async function clearRemoved(store: StoreFile, transactions: Transactions): Promise<void> {
  const { db } = store
  const some = `LIMIT ${REMOVE_ROWS}`
  const clear = (bucket: number): boolean => {
    const entries = db.run(
      `DELETE FROM log WHERE bucket = ?1 AND position IN (SELECT position FROM log WHERE bucket = ?1 ${some})`,
      bucket,
    )
    db.run(`DELETE FROM ages WHERE chunk IN (SELECT id FROM chunks WHERE bucket = ? ${some})`, bucket)
    const chunks = db.run(`DELETE FROM chunks WHERE id IN (SELECT id FROM chunks WHERE bucket = ? ${some})`, bucket)
    return entries.changes + chunks.changes === 0
  }
  const removed = await transactions.read(() => db.all<RemovedRow>(REMOVED))
  for (const { id, sum } of removed) {
    // A name that was lost by damage is no order to delete.
    if (sum !== bucketSum(id, null)) continue
    while (!(await transactions.write(0, () => clear(id)))) await setImmediate()
    store.disk.remove(headPath(store, id))
  }
  if (removed.length > 0) await dropEmptyPacks(store, transactions)
}

const REMOVED = `SELECT id, sum FROM buckets WHERE name IS NULL
  AND (EXISTS (SELECT 1 FROM log WHERE bucket = buckets.id) OR EXISTS (SELECT 1 FROM chunks WHERE bucket = buckets.id))`
interface RemovedRow {
  readonly id: number
  readonly sum: number
}
