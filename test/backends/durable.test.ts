import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { openDatabase, type Database, type Value } from '../../src/platform/sqlite.ts'
import { systemStoreDisk, type StoreDisk, type StoreHandle } from '../../src/platform/store-disk.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import type { Backend } from '../../src/store/ports.ts'
import { entries, present, someChunk } from './conformance.ts'

/** The order in which a store makes things durable: what is named is there before it is named, and what is acknowledged is named. */

let directory: string
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'blobs-durable-')), 'store')
})
afterEach(() => rmSync(dirname(directory), { recursive: true }))

interface Watched {
  readonly disk: StoreDisk
  /** Rows that named what a power cut would have taken. */
  readonly early: string[]
  /** Rows of the index of the packs so far. */
  rows(): number
  readonly synchronous: string[]
}

/** The disk of this machine, and what on it would outlive a power cut. */
function watchDisk(): Watched {
  /** By path: the end of what is durable, and of what is not yet. */
  const files = new Map<string, { durable: number; written: number }>()
  const synced = new Set<string>()
  const early: string[] = []
  const synchronous: string[] = []
  let rows = 0

  const watchHandle = (path: string, handle: StoreHandle): StoreHandle => {
    const file = files.get(path) ?? { durable: 0, written: 0 }
    files.set(path, file)
    return {
      ...handle,
      write: async (buffers, place) => {
        const count = await handle.write(buffers, place)
        file.written = Math.max(file.written, place + count)
        file.durable = Math.min(file.durable, place)
        return count
      },
      sync: async () => {
        const { written } = file
        await handle.sync()
        file.durable = written
      },
    }
  }
  const look = (pack: number, end: number): void => {
    const path = join(directory, 'packs', `${String(pack).padStart(6, '0')}.pack`)
    const { durable } = files.get(path) ?? { durable: 0 }
    if (durable < end) early.push(`byte ${end} of ${basename(path)} is named, ${durable} are durable`)
    if (!synced.has(path)) early.push(`${basename(path)} is named, its name in the folder is not durable`)
  }
  const watchRows = (db: Database): Database => ({
    ...db,
    run: (sql: string, ...values: Value[]) => {
      if (/^INSERT INTO chunks .*pack/.test(sql)) {
        const [, , size, pack, place] = values.map(Number)
        rows++
        look(pack ?? 0, (place ?? 0) + (size ?? 0))
      }
      const [used, , pack] = values.map(Number)
      if (sql.startsWith('UPDATE packs SET used = ?')) look(pack ?? 0, used ?? 0)
      return db.run(sql, ...values)
    },
  })
  const disk: StoreDisk = {
    ...systemStoreDisk,
    create: (path) => {
      const made = systemStoreDisk.create(path)
      if (made) synced.delete(path)
      return made
    },
    open: async (path, use) => {
      const handle = await systemStoreDisk.open(path, use)
      return handle === null || use === 'read' ? handle : watchHandle(path, handle)
    },
    sync: (path) => {
      systemStoreDisk.sync(path)
      for (const name of systemStoreDisk.names(path)) synced.add(join(path, name))
    },
    openDatabase: (path, options) => {
      if (basename(path) === 'store.db') synchronous.push(options.synchronous)
      return watchRows(systemStoreDisk.openDatabase(path, options))
    },
  }
  return { disk, early, rows: () => rows, synchronous }
}

async function write(backend: Backend, count: number): Promise<void> {
  const { content } = present(await backend.open('one'))
  await Promise.all(
    Array.from({ length: count }, (_, n) => content.put([someChunk(66_000 + n), someChunk(70_000 + n)])),
  )
}

test('a chunk is in the index only once its bytes and the name of its pack are durable', async () => {
  const watched = watchDisk()
  const backend = await openLocal({ directory, clock, packBytes: 500_000, disk: watched.disk })
  await backend.create('one')
  for (let turn = 0; turn < 4; turn++) await write(backend, 4)
  await backend.close()
  // A pack that was begun by another goes on.
  const again = await openLocal({ directory, clock, packBytes: 500_000, disk: watched.disk })
  await write(again, 2)
  await again.close()
  expect(watched.rows()).toBe(36)
  expect(watched.early).toEqual([])
})

test('what is acknowledged is committed, and a commit is synced', async () => {
  const watched = watchDisk()
  const backend = await openLocal({ directory, clock, disk: watched.disk })
  await backend.create('one')
  const { log, content } = present(await backend.open('one'))
  const other = openDatabase(join(directory, 'store.db'), { synchronous: 'full' })
  const count = (table: string): number => other.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)?.n ?? 0
  for (let turn = 1; turn <= 20; turn++) {
    await log.append(entries(1))
    expect(count('log')).toBe(turn)
    await content.put([someChunk(turn), someChunk(70_000 + turn)])
    expect(count('chunks')).toBe(2 * turn)
  }
  expect(watched.synchronous).toEqual(['full'])
  // 2 is FULL: SQLite syncs the WAL with each commit.
  const mine = openDatabase(join(directory, 'store.db'), { synchronous: 'full' })
  expect(mine.get('PRAGMA synchronous')).toEqual({ synchronous: 2 })
  mine.close()
  other.close()
  await backend.close()
})
