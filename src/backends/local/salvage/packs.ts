import { join } from 'node:path'
import type { Hash } from '../../../content/hash.ts'
import { inTransaction, type Database } from '../../../platform/sqlite.ts'
import type { Backend, Content } from '../../../store/ports.ts'
import { PACK_HEAD, packName, packOfName } from '../pack-format.ts'
import { isGap, openPackFile, type PackFile, type PackRecord } from '../pack-walk.ts'
import type { StorePaths } from '../store-file.ts'
import { packSum } from '../sums.ts'

export interface PackSalvage {
  /** Of the new store: buckets are there, `packs` and `placed` hold what the old database said. */
  readonly db: Database
  readonly paths: StorePaths
  readonly backend: Backend
  readonly pace: (bytes: number) => Promise<void>
  /** Highest number of an old pack. */
  readonly last: number
}

interface Placed {
  readonly bucket: number
  readonly hash: Hash
  readonly size: number
  readonly place: number
}

/**
 * Makes the index of the packs anew from their records. A pack that is whole as far as it is used stays as it is; of any other, what
 * is right is copied into new packs, and it is given up.
 */
export async function fillPacks(salvage: PackSalvage): Promise<void> {
  const { db, paths, last } = salvage
  const contents = new Map<number, Content>()
  for (const { id, name } of db.all<{ id: number; name: string }>(
    'SELECT id, name FROM buckets WHERE name IS NOT NULL',
  )) {
    const ports = await salvage.backend.open(name)
    if (ports !== null) contents.set(id, ports.content)
  }
  const highest = Math.max(last, db.get<{ id: number | null }>('SELECT max(id) AS id FROM packs')?.id ?? 0)
  for (let pack = 1; pack <= highest; pack++) {
    const row = db.get<{ used: number | null }>('SELECT used FROM packs WHERE id = ?', pack)
    const file = await openPackFile(paths.disk, join(paths.packs, packName(pack)))
    try {
      await fillPack(salvage, contents, pack, row === undefined ? 'unknown' : row.used, file)
    } finally {
      await file?.close()
    }
  }
}

async function fillPack(
  { db, pace }: PackSalvage,
  contents: ReadonlyMap<number, Content>,
  pack: number,
  known: number | null | 'unknown',
  file: PackFile | null,
): Promise<void> {
  const sql = 'SELECT bucket, lower(hex(hash)) AS hash, size, place FROM placed WHERE pack = ?'
  const rows = db.all<Placed>(sql, pack)
  // One that was deleted is given up for good, even if its file is there still.
  if (file === null || known === null) return setPack(db, pack, known === 0 ? 0 : null)
  const { records, end, whole } = await readPack(file, known === 'unknown' ? file.size : known, pace)
  const sound = records.filter((record) => record.sound && contents.has(record.bucket))
  const used = known === 'unknown' ? end : known
  const rescued = await besides(file, rows, sound, contents, pace)
  // Behind the last record there may be the tail of a write that was cut off, but not before `used`.
  const keeps =
    whole && (end >= used || used <= PACK_HEAD.length) && file.headed && records.every((record) => record.sound)
  if (keeps && rescued.length === 0) {
    index(db, pack, sound)
    return setPack(db, pack, used)
  }
  setPack(db, pack, null)
  for (const { bucket, hash, size, place } of [...sound, ...rescued]) {
    await contents.get(bucket)?.put([{ hash, bytes: await file.read(place, size) }])
  }
}

interface ReadPack {
  readonly records: readonly PackRecord[]
  /** Where the last record ends. */
  readonly end: number
  /** Nothing but records is before it. */
  readonly whole: boolean
}

async function readPack(file: PackFile, until: number, pace: (bytes: number) => Promise<void>): Promise<ReadPack> {
  const records: PackRecord[] = []
  let end = PACK_HEAD.length
  let whole = true
  let gap = false
  for await (const found of file.walk(until, pace)) {
    if (isGap(found)) {
      gap = true
      continue
    }
    whole &&= !gap
    records.push(found)
    end = found.place + found.size
  }
  return { records, end, whole }
}

/** Chunks that the old index names, and whose bytes are right, though no record says so. */
async function besides(
  file: PackFile,
  rows: readonly Placed[],
  sound: readonly PackRecord[],
  contents: ReadonlyMap<number, Content>,
  pace: (bytes: number) => Promise<void>,
): Promise<readonly Placed[]> {
  const known = new Set(sound.map(({ bucket, hash }) => `${bucket} ${hash}`))
  const found: Placed[] = []
  for (const row of rows) {
    if (known.has(`${row.bucket} ${row.hash}`) || !contents.has(row.bucket)) continue
    if (await file.holds(row.hash, row.place, row.size, pace)) found.push(row)
  }
  return found
}

function index(db: Database, pack: number, records: readonly PackRecord[]): void {
  const sql = 'INSERT OR IGNORE INTO chunks (bucket, hash, size, pack, place) VALUES (?, ?, ?, ?, ?)'
  inTransaction(db, () => {
    for (const { bucket, hash, size, place } of records)
      db.run(sql, bucket, Buffer.from(hash, 'hex'), size, pack, place)
  })
}

function setPack(db: Database, pack: number, used: number | null): void {
  db.run('INSERT OR REPLACE INTO packs (id, used, sum) VALUES (?, ?, ?)', pack, used, packSum(pack, used))
}

/** Every record of every pack file, also those that are used by nobody: gives the wanted ones with true bytes to `bring`. */
export async function searchPacks(
  paths: StorePaths,
  hashes: ReadonlySet<Hash>,
  bring: (chunk: { hash: Hash; bytes: Uint8Array }) => Promise<void>,
  pace: (bytes: number) => Promise<void>,
): Promise<void> {
  for (const name of paths.disk.names(paths.packs)) {
    const file = packOfName(name) === null ? null : await openPackFile(paths.disk, join(paths.packs, name))
    if (file === null) continue
    try {
      for await (const found of file.walk(file.size, pace)) {
        if (isGap(found) || !found.sound || !hashes.has(found.hash)) continue
        await bring({ hash: found.hash, bytes: await file.read(found.place, found.size) })
      }
    } finally {
      await file.close()
    }
  }
}
