import { sha256 } from '../../content/hash.ts'
import { dropEmptyPacks } from './drop-packs.ts'
import type { ContentParts } from './content.ts'
import { PACK_HEAD, RECORD_HEAD_BYTES } from './pack-format.ts'
import { lockPath, openPackWriter, type PackWriter, type Place } from './pack-writer.ts'
import { packSum } from './sums.ts'

/** A pack is written anew when so great a part of it is of no use, but not for so few bytes. */
const DEAD_PART = 0.25
const LEAST_DEAD = 64 * 1024
/** Bytes, and chunks, moved at once. */
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH = 64

interface Live {
  readonly id: number
  readonly bucket: number
  readonly hash: Uint8Array
  readonly size: number
  readonly place: number
}

/**
 * Moves what is left in packs that are mostly of no use into new ones, and deletes the old. The bytes are durable in the new pack before a row
 * says that they are there, and the old pack goes when no row names it: who is cut short leaves every chunk where its row says. Packs that
 * some process writes to, and those in which something is damaged, stay as they are.
 */
export async function compactPacks(parts: ContentParts, pace: (bytes: number) => Promise<void>): Promise<void> {
  const { store, transactions } = parts
  const packs = await transactions.read(() =>
    store.db.all<{ id: number; used: number }>('SELECT id, used FROM packs WHERE used IS NOT NULL ORDER BY id'),
  )
  const last = packs.at(-1)?.id ?? 0
  const writer = openPackWriter(store, transactions, { limit: parts.packBytes, after: last })
  try {
    for (const { id } of packs) {
      store.disk.create(lockPath(store, id))
      const release = store.disk.tryLock(lockPath(store, id))
      if (release === null) continue
      try {
        // Only now nobody else appends to it.
        const live = await transactions.read(() => liveOf(parts, id))
        if (live !== null) await moveAll(parts, writer, id, live, pace)
      } finally {
        release()
      }
    }
  } finally {
    await writer.close()
  }
  await dropEmptyPacks(store, transactions)
}

/** The chunks in a pack, if it is worth while to move them; null if not, or if there are none. */
function liveOf({ store: { db } }: ContentParts, pack: number): readonly Live[] | null {
  const used = db.get<{ used: number | null }>('SELECT used FROM packs WHERE id = ?', pack)?.used ?? 0
  const sql = 'SELECT id, bucket, hash, size, place FROM chunks WHERE pack = ? ORDER BY bucket, place'
  const live = db.all<Live>(sql, pack)
  const alive = live.reduce((sum, { size }) => sum + size + RECORD_HEAD_BYTES, PACK_HEAD.length)
  const dead = used - alive
  return live.length > 0 && dead >= LEAST_DEAD && dead >= used * DEAD_PART ? live : null
}

async function moveAll(
  parts: ContentParts,
  writer: PackWriter,
  pack: number,
  live: readonly Live[],
  pace: (bytes: number) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < live.length;) {
    const batch = batchFrom(live, at)
    at += batch.length
    const contents = await Promise.all(batch.map(({ place, size }) => parts.reader.read(pack, place, size)))
    const chunks = batch.map(({ hash }, index) => {
      return { hash: Buffer.from(hash).toString('hex'), bytes: contents[index] ?? new Uint8Array(0) }
    })
    // What is damaged is left where a repair looks for it, and so is the pack.
    if (chunks.some(({ hash, bytes }) => sha256(bytes) !== hash)) return
    await writer.append({
      bucket: batch[0]?.bucket ?? 0,
      chunks,
      index: (places) => index(parts, pack, batch, places),
    })
    await pace(batch.reduce((sum, { size }) => sum + size, 0))
  }
}

/** Chunks of one bucket. */
function batchFrom(live: readonly Live[], start: number): readonly Live[] {
  let bytes = 0
  let end = start
  for (let one = live[end]; one !== undefined && one.bucket === live[start]?.bucket; one = live[++end]) {
    if (end - start >= BATCH || (end > start && bytes + one.size > BATCH_BYTES)) break
    bytes += one.size
  }
  return live.slice(start, end)
}

/** A chunk that was removed meanwhile stays so. */
function index(
  { store: { db }, transactions }: ContentParts,
  from: number,
  moved: readonly Live[],
  places: readonly Place[],
): Promise<void> {
  return transactions.write(0, () => {
    for (const [at, { pack, place }] of places.entries()) {
      const { id, place: before } = moved[at] ?? { id: 0, place: 0 }
      db.run(
        'UPDATE chunks SET pack = ?, place = ? WHERE id = ? AND pack = ? AND place = ?',
        pack,
        place,
        id,
        from,
        before,
      )
    }
    const last = places.at(-1)
    if (last !== undefined) raiseUsed(db, last)
  })
}

function raiseUsed(db: ContentParts['store']['db'], { pack, end }: Place): void {
  const used = Math.max(end, db.get<{ used: number | null }>('SELECT used FROM packs WHERE id = ?', pack)?.used ?? 0)
  db.run('UPDATE packs SET used = ?, sum = ? WHERE id = ?', used, packSum(pack, used), pack)
}
