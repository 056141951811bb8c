import { join } from 'node:path'
import type { Addressed } from '../../content/body.ts'
import type { Hash } from '../../content/hash.ts'
import type { Database } from '../../platform/sqlite.ts'
import type { StoreHandle } from '../../platform/store-disk.ts'
import { groups } from './group.ts'
import { PACK_HEAD, packName, recordHead, RECORD_HEAD_BYTES } from './pack-format.ts'
import { explain } from './problems.ts'
import type { StoreFile } from './store-file.ts'
import { packSum } from './sums.ts'
import type { Transactions } from './transactions.ts'

/** Bytes written with one fsync. */
const GROUP_BYTES = 16 * 1024 * 1024

/** Where a chunk's content is: `place` is its first byte in the file; `end` the byte after it. */
export interface Place {
  readonly hash: Hash
  readonly size: number
  readonly pack: number
  readonly place: number
  readonly end: number
}
interface Job {
  readonly bucket: number
  readonly chunks: readonly Addressed[]
  readonly index: (places: readonly Place[]) => Promise<void>
}

/** Appends to the one pack that this process has claimed. */
export interface PackWriter {
  /**
   * Makes the chunks durable, then calls `index`, which makes them to be found: it writes their rows and moves the pack's
   * `used` to the last `end`. Resolves when that is done.
   */
  append(job: Job): Promise<void>
  /** Finishes what was begun and gives the claim up. */
  close(): Promise<void>
}

interface Claim {
  readonly pack: number
  readonly file: StoreHandle
  readonly release: () => void
  /** Calls of `index` under way: until they end the next holder of the pack would take their chunks for a torn tail. */
  readonly indexing: Set<Promise<void>>
  /** Where the next record goes. */
  end: number
}

export interface PackWriterOptions {
  /** A pack that has grown to this size gets no more records. */
  readonly limit: number
  /** Packs up to this number are left as they are. */
  readonly after?: number
}

/** Nothing is claimed before the first append. */
export function openPackWriter(store: StoreFile, transactions: Transactions, options: PackWriterOptions): PackWriter {
  const { limit } = options
  let claim: Claim | null = null
  const giveUp = async (): Promise<void> => {
    const held = claim
    claim = null
    if (held === null) return
    await Promise.allSettled(held.indexing)
    await held.file.close().finally(held.release)
  }
  const group = groups<Job, void>(GROUP_BYTES, async (jobs) => {
    try {
      if (claim !== null && claim.end >= limit) await giveUp()
      claim ??= await claimPack(store, transactions, options)
      const places = await writeGroup(claim, jobs)
      const { indexing } = claim
      const done = jobs.map((job, index) => track(indexing, job.index(places[index] ?? [])))
      return done.map((indexed) => () => indexed)
    } catch (error) {
      // What a failed write or fsync left behind is unknown: it goes, for a full disk needs the room, and the next group starts from
      // what the index says.
      await claim?.file.truncate(claim.end).catch(() => undefined)
      await giveUp().catch(() => undefined)
      throw explain(error, store.directory)
    }
  })
  return {
    append: (job) =>
      group.add(
        job,
        job.chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0),
      ),
    close: async () => {
      await group.drain()
      await giveUp()
    },
  }
}

function track(all: Set<Promise<void>>, one: Promise<void>): Promise<void> {
  all.add(one)
  const end = (): void => void all.delete(one)
  one.then(end, end)
  return one
}

async function writeGroup(claim: Claim, jobs: readonly Job[]): Promise<(readonly Place[])[]> {
  const buffers: Uint8Array[] = []
  let end = claim.end
  const places = jobs.map(({ bucket, chunks }) =>
    chunks.map(({ hash, bytes }): Place => {
      buffers.push(recordHead(bucket, hash, bytes.length), bytes)
      const place = end + RECORD_HEAD_BYTES
      end = place + bytes.length
      return { hash, size: bytes.length, pack: claim.pack, place, end }
    }),
  )
  await writeAll(claim.file, buffers, claim.end)
  await claim.file.sync()
  claim.end = end
  return places
}

/** One system call takes at most this many buffers. */
const MAX_BUFFERS = 512

async function writeAll(file: StoreHandle, buffers: readonly Uint8Array[], position: number): Promise<void> {
  let rest = [...buffers]
  let at = position
  while (rest.length > 0) {
    const count = await file.write(rest.slice(0, MAX_BUFFERS), at)
    at += count
    rest = without(rest, count)
  }
}

function without(buffers: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count
  const first = buffers.findIndex((buffer) => {
    if (buffer.length > left) return true
    left -= buffer.length
    return false
  })
  if (first === -1) return []
  const [partial, ...others] = buffers.slice(first)
  return partial === undefined ? [] : [partial.subarray(left), ...others]
}

/** A pack's writer holds the SQLite lock of this file. */
export function lockPath(store: StoreFile, pack: number): string {
  return join(store.packs, `${packName(pack)}.lock`)
}

/** The first pack with room that no other process has claimed; a new one if there is none. */
async function claimPack(
  store: StoreFile,
  transactions: Transactions,
  { limit, after = 0 }: PackWriterOptions,
): Promise<Claim> {
  const { db } = store
  const open = await transactions.read(() =>
    db.all<{ id: number }>('SELECT id FROM packs WHERE used < ? AND id > ? ORDER BY id', limit, after),
  )
  for (const { id } of open) {
    const claim = await tryClaim(store, transactions, id, limit)
    if (claim !== null) return claim
  }
  for (;;) {
    const id = await transactions.write(0, () => addPack(db, after))
    // Another process may be faster: to everyone it looks like any pack with room.
    const claim = await tryClaim(store, transactions, id, limit)
    if (claim !== null) return claim
  }
}

function addPack(db: Database, after: number): number {
  const last = db.get<{ id: number | null }>('SELECT max(id) AS id FROM packs')?.id ?? 0
  const id = Math.max(last, after) + 1
  db.run('INSERT INTO packs (id, used, sum) VALUES (?, 0, ?)', id, packSum(id, 0))
  return id
}

async function tryClaim(
  store: StoreFile,
  transactions: Transactions,
  pack: number,
  limit: number,
): Promise<Claim | null> {
  store.disk.create(lockPath(store, pack))
  const release = store.disk.tryLock(lockPath(store, pack))
  if (release === null) return null
  let file: StoreHandle | null = null
  try {
    // Only now nobody else moves it.
    const row = await transactions.read(() =>
      store.db.get<{ used: number | null }>('SELECT used FROM packs WHERE id = ?', pack),
    )
    const used = row?.used ?? null
    if (used !== null && used < limit) file = await openPack(store, pack, used)
    if (file === null) release()
    const end = Math.max(used ?? 0, PACK_HEAD.length)
    return file === null ? null : { pack, file, release, indexing: new Set(), end }
  } catch (error) {
    await file?.close()
    release()
    throw error
  }
}

/** Null if the file is shorter than what the index says is in it: a damaged pack is left as it is. */
async function openPack(store: StoreFile, pack: number, used: number): Promise<StoreHandle | null> {
  const path = join(store.packs, packName(pack))
  if (used === 0) store.disk.create(path)
  const file = await store.disk.open(path, 'write')
  if (file === null) return null
  try {
    if (used === 0) await writeAll(file, [PACK_HEAD], 0)
    if ((await file.size()) < used) {
      await file.close()
      return null
    }
    // What a process that died had not finished.
    await file.truncate(Math.max(used, PACK_HEAD.length))
    if (used === 0) store.disk.sync(store.packs)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}
