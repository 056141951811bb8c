import { BlobsError } from '../../store/contract/errors.ts'
import type { Log, Placed, Position, RawEntry } from '../../store/ports.ts'
import type { BucketRow } from './bucket.ts'
import type { StoreFile } from './store-file.ts'
import type { Transactions } from './transactions.ts'
import type { Waiters } from './waiters.ts'

/** Largest entry, in bytes. */
export const MAX_ENTRY_BYTES = 1024 * 1024
/** A batch that is read ends at this many entries or bytes. */
const BATCH_ENTRIES = 1000
const BATCH_BYTES = 4 * 1024 * 1024

export interface LogParts {
  readonly store: StoreFile
  readonly transactions: Transactions
  readonly waiters: Waiters
}

/** The log of one bucket. */
export function localLog(bucket: BucketRow, { store, transactions, waiters }: LogParts): Log {
  const { db } = store
  const closed = new AbortController()
  const head = (): Position =>
    db.get<{ head: number | null }>('SELECT max(position) AS head FROM log WHERE bucket = ?', bucket.id)?.head ?? 0

  const insert = (entries: readonly RawEntry[]): Position[] => {
    bucket.check()
    const first = head() + 1
    return entries.map(({ id, data }, index) => {
      const position = first + index
      db.run('INSERT INTO log (bucket, position, id, data) VALUES (?, ?, ?, ?)', bucket.id, position, id, data)
      return position
    })
  }
  const batch = (after: Position, end: Position): Placed[] => {
    const sql = `SELECT position, id, data FROM log WHERE bucket = ? AND position > ? AND position <= ? ORDER BY position LIMIT ${BATCH_ENTRIES}`
    const found: Placed[] = []
    let size = 0
    for (const row of db.iterate<Placed>(sql, bucket.id, after, end)) {
      found.push({ position: row.position, id: row.id, data: row.data })
      size += row.data.length
      if (size >= BATCH_BYTES) break
    }
    // A removed bucket loses its rows piece by piece: if it is there still, what was read is whole.
    bucket.check()
    return found
  }
  return {
    append: async (entries) => {
      if (entries.length === 0) return []
      const large = entries.find((entry) => entry.data.length > MAX_ENTRY_BYTES)
      if (large !== undefined) throw new BlobsError('TooLarge', `entry ${large.id} has ${large.data.length} bytes`)
      const size = entries.reduce((sum, entry) => sum + entry.data.length, 0)
      return transactions.write(size, () => insert(entries))
    },
    read: async function* ({ after }) {
      const end = await transactions.read(head)
      for (let at = after; ;) {
        const from = at
        const entries = await transactions.read(() => batch(from, end))
        const last = entries.at(-1)
        if (last === undefined) return
        yield entries
        at = last.position
      }
    },
    wait: ({ after, signal }) =>
      waiters.wait(() => head() > after || isRemoved(bucket), AbortSignal.any([signal, closed.signal])),
    close: async () => closed.abort(),
  }
}

function isRemoved(bucket: BucketRow): boolean {
  try {
    bucket.check()
    return false
  } catch {
    return true
  }
}
