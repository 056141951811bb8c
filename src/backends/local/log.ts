import { BlobsError } from '../../store/contract/errors.ts'
import type { Log, Placed, Position, RawEntry } from '../../store/ports.ts'
import { remembering } from '../../platform/sqlite.ts'
import type { BucketRow } from './bucket.ts'
import { headProblem, openHeadNote, readHead, type Head } from './heads.ts'
import { damaged } from './problems.ts'
import type { StoreFile } from './store-file.ts'
import { entrySum } from './sums.ts'
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
  /** Reads on where entries are missing. */
  readonly lenient: boolean
}

interface LogRow extends Placed {
  readonly sum: number
}

/**
 * Throws `Corrupt` if an entry of the bucket that was acknowledged is not in the log: a damaged WAL, or a database that was put back
 * from a backup without the rest of its folder.
 */
export async function checkHead(bucket: BucketRow, store: StoreFile, transactions: Transactions): Promise<void> {
  const { db, directory } = store
  // The note first: the log only grows.
  const head = readHead(store, bucket.id)
  if (head === null || head === 'unreadable') return
  const problem = await transactions.read(() => headProblem(db, bucket.id, head))
  if (problem !== null) throw damaged(directory, problem)
}

/** The log of one bucket. */
export function localLog(bucket: BucketRow, { store, transactions, waiters, lenient }: LogParts): Log {
  const { db } = store
  const closed = new AbortController()
  const note = openHeadNote(store, bucket.id)
  const head = (): Position =>
    db.get<{ head: number | null }>('SELECT max(position) AS head FROM log WHERE bucket = ?', bucket.id)?.head ?? 0

  /** The same for readers, who ask often; of a bucket that is there. */
  const end = remembering(db, () => {
    bucket.check()
    return head()
  })
  const insert = (entries: readonly RawEntry[]): Head[] => {
    bucket.check()
    const first = head() + 1
    return entries.map(({ id, data }, index) => {
      const position = first + index
      const sum = entrySum(bucket.id, position, id, data)
      db.run(
        'INSERT INTO log (bucket, position, id, data, sum) VALUES (?, ?, ?, ?, ?)',
        bucket.id,
        position,
        id,
        data,
        sum,
      )
      return { position, sum }
    })
  }
  const batch = (after: Position, end: Position): Placed[] => {
    const sql = `SELECT position, id, data, sum FROM log WHERE bucket = ? AND position > ? AND position <= ? ORDER BY position LIMIT ${BATCH_ENTRIES}`
    const found: Placed[] = []
    let size = 0
    for (const { position, id, data, sum } of db.iterate<LogRow>(sql, bucket.id, after, end)) {
      if (sum !== entrySum(bucket.id, position, id, data)) throw altered(bucket, position)
      found.push({ position, id, data })
      size += data.length
      if (size >= BATCH_BYTES) break
    }
    // A removed bucket loses its rows piece by piece: if it is there still, what was read is whole.
    bucket.check()
    if (!lenient) checkNext(bucket, found, after, end)
    return found
  }
  return {
    append: async (entries) => {
      if (entries.length === 0) return []
      const large = entries.find((entry) => entry.data.length > MAX_ENTRY_BYTES)
      if (large !== undefined) throw new BlobsError('TooLarge', `entry ${large.id} has ${large.data.length} bytes`)
      const size = entries.reduce((sum, entry) => sum + entry.data.length, 0)
      const heads = await transactions.write(size, () => insert(entries))
      const last = heads.at(-1)
      if (last !== undefined) note.write(last)
      return heads.map(({ position }) => position)
    },
    read: async function* ({ after }) {
      const last = await transactions.read(end)
      if (after >= last) return
      for (let at = after; ;) {
        const from = at
        const entries = await transactions.read(() => batch(from, last))
        const newest = entries.at(-1)
        if (newest === undefined) return
        // SQLite trusts the order of a page; in one that lies this would go around.
        if (!(newest.position > at)) throw altered(bucket, at + 1)
        yield entries
        at = newest.position
      }
    },
    wait: ({ after, signal }) =>
      waiters.wait(() => head() > after || isRemoved(bucket), AbortSignal.any([signal, closed.signal])),
    close: async () => {
      closed.abort()
      note.close()
    },
  }
}

/** No position is ever left out: where SQLite gives no row for one, its page is damaged. */
function checkNext(bucket: BucketRow, found: readonly Placed[], after: Position, end: Position): void {
  const wrong = found.findIndex(({ position }, index) => position !== after + 1 + index)
  if (wrong !== -1) throw altered(bucket, after + 1 + wrong)
  if (found.length === 0 && after < end) throw altered(bucket, after + 1)
}

function altered(bucket: BucketRow, position: Position): BlobsError {
  return new BlobsError('Corrupt', `entry ${position} in the log of bucket ${bucket.name} was altered on the disk`, {
    bucket: bucket.name,
    hint: 'stop every blobs process, then: blobs doctor --repair',
  })
}

function isRemoved(bucket: BucketRow): boolean {
  try {
    bucket.check()
    return false
  } catch {
    return true
  }
}
