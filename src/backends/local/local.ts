import { unlinkSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { join } from 'node:path'
import type { Clock } from '../../platform/ports.ts'
import { tryLock } from '../../platform/sqlite.ts'
import type { Backend } from '../../store/ports.ts'
import { findBucket, type BucketRow } from './bucket.ts'
import { localContent } from './content.ts'
import { localLog, MAX_ENTRY_BYTES } from './log.ts'
import { packName } from './pack-format.ts'
import { openPackReader } from './pack-reader.ts'
import { lockPath, openPackWriter } from './pack-writer.ts'
import { createPrivate, openStoreFile, type StoreFile } from './store-file.ts'
import { openTransactions, type Transactions } from './transactions.ts'
import { openWaiters } from './waiters.ts'

/** A pack that has grown to this size gets no more records. */
const PACK_BYTES = 256 * 1024 * 1024
/** Rows of a removed bucket deleted in one transaction. */
const REMOVE_ROWS = 2000

export interface LocalOptions {
  /** Made if it is not there, readable by its owner only. */
  readonly directory: string
  readonly clock: Clock
  /** Size at which a new pack is begun, in bytes; 256 MiB unless given. */
  readonly packBytes?: number
}

/**
 * Opens the embedded store: any number of processes may have it open. Durable by fsync; concurrent writes of one process
 * share a transaction. Throws `NotSupported` for the store of a newer program, `Corrupt` for a damaged one, `QuotaExceeded`
 * when the disk is full, and Node's errors when the directory cannot be used.
 */
export async function openLocal({ directory, clock, packBytes = PACK_BYTES }: LocalOptions): Promise<Backend> {
  const store = await openStoreFile(directory, clock)
  const transactions = openTransactions(store, clock)
  const writer = openPackWriter(store, transactions, packBytes)
  const reader = openPackReader(store)
  const waiters = openWaiters(store, transactions, clock)
  const { db } = store
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    waiters.close()
    await writer.close()
    await transactions.drain()
    await reader.close()
    db.close()
  }

  return {
    promises: { name: 'local', durability: 'fsync', maxEntryBytes: MAX_ENTRY_BYTES },
    viewDirectory: store.views,
    create: (name) =>
      transactions.write(
        0,
        () => db.run('INSERT INTO buckets (name) VALUES (?) ON CONFLICT DO NOTHING', name).changes > 0,
      ),
    names: async () => {
      const rows = await transactions.read(() =>
        db.all<{ name: string }>('SELECT name FROM buckets WHERE name IS NOT NULL ORDER BY name'),
      )
      return rows.map((row) => row.name)
    },
    remove: async (name) => {
      const unnamed = await transactions.write(0, () => db.run('UPDATE buckets SET name = NULL WHERE name = ?', name))
      await clearRemoved(store, transactions)
      return unnamed.changes > 0
    },
    open: async (name) => {
      const bucket: BucketRow | null = await transactions.read(() => findBucket(db, name))
      if (bucket === null) return null
      return {
        log: localLog(bucket, { store, transactions, waiters }),
        content: localContent(bucket, { store, transactions, writer, reader }),
      }
    },
    close: () => (closing ??= close()),
  }
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
    const chunks = db.run(`DELETE FROM chunks WHERE id IN (SELECT id FROM chunks WHERE bucket = ? ${some})`, bucket)
    if (entries.changes + chunks.changes > 0) return false
    db.run('DELETE FROM buckets WHERE id = ?', bucket)
    return true
  }
  const removed = await transactions.read(() => db.all<{ id: number }>('SELECT id FROM buckets WHERE name IS NULL'))
  for (const { id } of removed) {
    while (!(await transactions.write(0, () => clear(id)))) await setImmediate()
  }
  if (removed.length > 0) await dropEmptyPacks(store, transactions)
}

/** Deletes the packs that hold nothing and that nobody writes to. */
async function dropEmptyPacks(store: StoreFile, transactions: Transactions): Promise<void> {
  const { db } = store
  const empty = 'NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.pack = packs.id)'
  const packs = await transactions.read(() => db.all<{ id: number }>(`SELECT id FROM packs WHERE ${empty}`))
  for (const { id } of packs) {
    createPrivate(lockPath(store, id))
    const release = tryLock(lockPath(store, id))
    if (release === null) continue
    try {
      const dropped = await transactions.write(0, () => db.run(`DELETE FROM packs WHERE id = ? AND ${empty}`, id))
      if (dropped.changes > 0) {
        for (const path of [join(store.packs, packName(id)), lockPath(store, id)]) unlinkSync(path)
      }
    } finally {
      release()
    }
  }
}
