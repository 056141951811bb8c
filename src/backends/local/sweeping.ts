import { setImmediate } from 'node:timers/promises'
import type { Hash } from '../../content/hash.ts'
import type { Removed, StoredChunk, Sweeping } from '../../store/ports.ts'
import { forgetAge, forgetOld, readAges } from './ages.ts'
import type { BucketRow } from './bucket.ts'
import { compactPacks } from './compact.ts'
import type { ContentParts } from './content.ts'

/** Chunks listed at once, and removed in one transaction. */
const LISTED = 1000
const REMOVED = 500

interface ChunkRow {
  readonly id: number
  readonly hash: Uint8Array
  readonly size: number
}

/** Whether a chunk was put or asked for since it was listed is looked at in the transaction that removes it. */
export function localSweeping(bucket: BucketRow, parts: ContentParts): Sweeping {
  const { transactions, clock } = parts
  const { db } = parts.store
  const list = (after: number): readonly (StoredChunk & { readonly id: number })[] => {
    const ageOf = readAges(db)
    return db
      .all<ChunkRow>(
        `SELECT id, hash, size FROM chunks WHERE id > ? AND bucket = ? ORDER BY id LIMIT ${LISTED}`,
        after,
        bucket.id,
      )
      .map(({ id, hash, size }) => ({ id, hash: Buffer.from(hash).toString('hex'), size, modified: ageOf(id) }))
  }
  const removeOne = ({ hash, modified }: StoredChunk): number => {
    const row = findChunk(hash)
    if (row === undefined || readAges(db)(row.id) > modified) return -1
    db.run('DELETE FROM chunks WHERE id = ?', row.id)
    forgetAge(db, row.id)
    return row.size
  }
  const findChunk = (hash: Hash): ChunkRow | undefined =>
    db.get('SELECT id, hash, size FROM chunks WHERE bucket = ? AND hash = ?', bucket.id, Buffer.from(hash, 'hex'))
  return {
    now: async () => clock.now(),
    chunks: async function* () {
      for (let after = Number.MIN_SAFE_INTEGER; ;) {
        const from = after
        const batch = await transactions.read(() => list(from))
        const last = batch.at(-1)
        // SQLite trusts the order of a page; in one that lies this would go around.
        if (last === undefined || !(last.id > after)) return
        after = last.id
        yield batch
      }
    },
    remove: async (chunks) => {
      const removed: Removed = { chunks: 0, bytes: 0 }
      let sum = removed
      for (let at = 0; at < chunks.length; at += REMOVED) {
        const some = chunks.slice(at, at + REMOVED)
        const sizes = await transactions.write(0, () => {
          bucket.check()
          return some.map(removeOne).filter((size) => size >= 0)
        })
        sum = { chunks: sum.chunks + sizes.length, bytes: sum.bytes + sizes.reduce((all, size) => all + size, 0) }
        await setImmediate()
      }
      return sum
    },
    compact: async (pace) => {
      while (await transactions.write(0, () => forgetOld(db, clock.now()))) await setImmediate()
      await compactPacks(parts, pace)
    },
  }
}
