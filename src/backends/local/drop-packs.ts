import { join } from 'node:path'
import { packName } from './pack-format.ts'
import { lockPath } from './pack-writer.ts'
import type { StoreFile } from './store-file.ts'
import { packSum } from './sums.ts'
import type { Transactions } from './transactions.ts'

/** Deletes the packs that hold nothing and that nobody writes to. */
export async function dropEmptyPacks(store: StoreFile, transactions: Transactions): Promise<void> {
  const { db } = store
  const empty = 'used IS NOT NULL AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.pack = packs.id)'
  const packs = await transactions.read(() => db.all<{ id: number }>(`SELECT id FROM packs WHERE ${empty}`))
  for (const { id } of packs) {
    store.disk.create(lockPath(store, id))
    const release = store.disk.tryLock(lockPath(store, id))
    if (release === null) continue
    try {
      const dropped = await transactions.write(0, () =>
        db.run(`UPDATE packs SET used = NULL, sum = ? WHERE id = ? AND ${empty}`, packSum(id, null), id),
      )
      if (dropped.changes > 0) {
        for (const path of [join(store.packs, packName(id)), lockPath(store, id)]) store.disk.remove(path)
      }
    } finally {
      release()
    }
  }
}
