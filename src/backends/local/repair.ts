import { join } from 'node:path'
import { sha256, type Hash } from '../../content/hash.ts'
import type { Clock } from '../../platform/ports.ts'
import { inTransaction, type Database } from '../../platform/sqlite.ts'
import { systemStoreDisk, type StoreDisk } from '../../platform/store-disk.ts'
import type { Backend, Placed, Position } from '../../store/ports.ts'
import { asideName } from './aside.ts'
import { readHeads } from './heads.ts'
import { localBackend, PACK_BYTES } from './local.ts'
import { takeStore } from './lock.ts'
import { packName, packOfName } from './pack-format.ts'
import { explain } from './problems.ts'
import { findRows } from './salvage/found.ts'
import { openPages } from './salvage/pages.ts'
import { fillBuckets } from './salvage/buckets.ts'
import { fillPacks, searchPacks } from './salvage/packs.ts'
import { keepAll } from './ages.ts'
import { createTables, storePaths, type StorePaths } from './store-file.ts'
import { entrySum } from './sums.ts'
import { decideRepair, finishRepair, isRepaired } from './swap.ts'

const WORK = 'repair'

export interface RepairOptions {
  readonly directory: string
  readonly clock: Clock
  /** Reads a bucket's name out of the first entry of its log; null if it does not tell. */
  readonly nameOf: (data: Uint8Array) => string | null
  readonly pace: (bytes: number) => Promise<void>
  /** This machine's unless given. */
  readonly disk?: StoreDisk
}

type Bring = (chunk: { readonly hash: Hash; readonly bytes: Uint8Array }) => Promise<void>

/**
 * A new store.db in the making, from what can be read in the files of the old one, which are not touched. Its buckets are open to be
 * completed. Either `commit` or `abandon` ends it.
 */
export interface Repair {
  /** The store as it will be; new chunks go into new packs. */
  readonly backend: Backend
  /** Of the old store. */
  readonly views: string
  /** Positions up to the last one that is known of at which the log has no entry. */
  gaps(bucket: string): readonly Position[]
  /** Puts entries at their positions, also in the place of others. */
  putEntries(bucket: string, entries: readonly Placed[]): void
  /** Looks through all there is in the old files for chunks; gives those of `hashes` it finds, with true bytes, to `bring`. */
  give(hashes: ReadonlySet<Hash>, _lost: unknown, bring: Bring): Promise<void>
  /** Makes it the store; gives the folder that the replaced files were moved to. */
  commit(): Promise<string>
  /** Leaves the store as it was. */
  abandon(): Promise<void>
}

/** Takes what can be read out of a store, damaged as it may be. Throws `Refused` while others use it, `QuotaExceeded` for lack of room. */
export async function openRepair(options: RepairOptions): Promise<Repair> {
  const { directory, disk = systemStoreDisk } = options
  const paths = storePaths(directory, disk)
  const release = takeStore(paths)
  let site: Site | undefined
  try {
    if (isRepaired(paths)) finishRepair(paths)
    site = openSite(paths, options.clock, release)
    await fillBuckets(site.db, site.paths, { ...options, acknowledged: site.acknowledged })
    await fillPacks({ ...site, pace: options.pace, last: site.last })
    return repairOn(site, options)
  } catch (error) {
    if (site === undefined) release()
    else await site.abandon()
    throw explain(error, directory)
  }
}

/** Where a new database is built. */
interface Site {
  /** Of the old store. */
  readonly paths: StorePaths
  readonly work: string
  /** The new one. */
  readonly db: Database
  readonly backend: Backend
  /** Highest number of an old pack. */
  readonly last: number
  /** Last position, by bucket, that is known to have been acknowledged. */
  readonly acknowledged: ReadonlyMap<number, Position>
  /** Puts what was built in the place of the old; then there is no way back. */
  commit(): Promise<string>
  /** Takes away what was built. */
  abandon(): Promise<void>
}

function openSite(paths: StorePaths, clock: Clock, release: () => void): Site {
  const { disk, directory } = paths
  const work = join(directory, WORK)
  disk.removeTree(work)
  for (const folder of [paths.packs, paths.views, paths.heads, work]) disk.makeFolder(folder)
  const last = Math.max(0, ...packsIn(paths))
  const acknowledged = new Map(readHeads(paths).map(({ bucket, head }) => [bucket, head.position]))
  const own = { database: join(work, 'store.db'), heads: join(work, 'heads'), views: join(work, 'views') }
  disk.create(own.database)
  const db = disk.openDatabase(own.database, { synchronous: 'normal' })
  createTables(db)
  keepAll(db, clock.now())
  const store = { ...paths, ...own, db, close: () => db.close() }
  const backend = localBackend({ store, clock, packs: { limit: PACK_BYTES, after: last }, lenient: true })
  let decided = false
  return {
    paths,
    work,
    db,
    backend,
    last,
    acknowledged,
    commit: async () => {
      const live = new Set(db.all<{ id: number }>('SELECT id FROM packs WHERE used IS NOT NULL').map(({ id }) => id))
      settle(db)
      await backend.close()
      for (const name of disk.names(work)) if (name !== 'store.db') disk.removeTree(join(work, name))
      const aside = freeName(paths, asideName(clock.now()))
      const given = packsIn(paths).filter((pack) => !live.has(pack))
      decideRepair(paths, work, { aside, packs: given.map(packName) })
      decided = true
      finishRepair(paths)
      release()
      return aside
    },
    abandon: async () => {
      await backend.close()
      // What was decided is done by whoever opens the store next.
      if (decided) return release()
      disk.removeTree(work)
      for (const pack of packsIn(paths)) {
        if (pack > last) for (const suffix of ['', '.lock']) disk.remove(join(paths.packs, packName(pack) + suffix))
      }
      release()
    },
  }
}

/** Everything goes into the one file, which then is looked through. */
function settle(db: Database): void {
  const { busy, log } = db.get<{ busy: number; log: number }>('PRAGMA wal_checkpoint(TRUNCATE)') ?? { busy: 1, log: 0 }
  const checked = db.get<{ integrity_check: string }>('PRAGMA integrity_check(1)')?.integrity_check
  if (busy !== 0 || log > 0 || checked !== 'ok')
    throw new Error(`the repaired database is not whole: ${checked ?? 'no answer'}`)
}

function repairOn({ paths, db, backend, acknowledged, commit, abandon }: Site, { pace }: RepairOptions): Repair {
  return {
    backend,
    views: paths.views,
    gaps: (name) => findGaps(db, idOf(db, name), acknowledged.get(idOf(db, name)) ?? 0),
    putEntries: (name, entries) => putEntries(db, idOf(db, name), entries),
    give: async (hashes, _lost, bring) => {
      await searchDatabase(paths, hashes, bring, pace)
      await searchPacks(paths, hashes, bring, pace)
    },
    commit,
    abandon,
  }
}

function packsIn(paths: StorePaths): readonly number[] {
  return paths.disk.names(paths.packs).flatMap((name) => packOfName(name) ?? [])
}

function idOf(db: Database, name: string): number {
  const row = db.get<{ id: number }>('SELECT id FROM buckets WHERE name = ?', name)
  if (row === undefined) throw new Error(`the repaired store has no bucket ${name}`)
  return row.id
}

function findGaps(db: Database, bucket: number, acknowledged: Position): readonly Position[] {
  const gaps: Position[] = []
  let next = 1
  const until = (position: Position): void => {
    for (; next < position; next++) gaps.push(next)
    next = position + 1
  }
  for (const { position } of db.iterate<{ position: number }>(
    'SELECT position FROM log WHERE bucket = ? ORDER BY position',
    bucket,
  )) {
    until(position)
  }
  until(acknowledged + 1)
  return gaps
}

function putEntries(db: Database, bucket: number, entries: readonly Placed[]): void {
  const sql = 'INSERT OR REPLACE INTO log (bucket, position, id, data, sum) VALUES (?, ?, ?, ?, ?)'
  inTransaction(db, () => {
    for (const { position, id, data } of entries)
      db.run(sql, bucket, position, id, data, entrySum(bucket, position, id, data))
  })
}

async function searchDatabase(
  paths: StorePaths,
  hashes: ReadonlySet<Hash>,
  bring: Bring,
  pace: (bytes: number) => Promise<void>,
): Promise<void> {
  const pages = openPages(paths)
  try {
    for await (const { found } of findRows(pages, pace)) {
      if (found.table === 'chunks' && hashes.has(found.hash)) await bring(found)
      if (found.table !== 'log') continue
      const hash = sha256(found.data)
      if (hashes.has(hash)) await bring({ hash, bytes: found.data })
    }
  } finally {
    pages.close()
  }
}

function freeName({ disk, directory }: StorePaths, name: string): string {
  for (let turn = 2, free = name; ; turn++) {
    if (disk.size(join(directory, free)) === null) return free
    free = `${name}-${turn}`
  }
}
