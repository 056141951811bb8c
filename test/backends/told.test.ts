import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findRows } from '../../src/backends/local/salvage/found.ts'
import { storePaths } from '../../src/backends/local/store-file.ts'
import { openPages } from '../../src/backends/local/salvage/pages.ts'
import { packSum, bucketSum, entrySum } from '../../src/backends/local/sums.ts'
import { commit, deleteChange, entry, put, putChange } from '../store/acts.ts'
import { noise } from '../store/noise.ts'
import { alter, contents, copyStore, examine, openSample, repair, scratch } from './sample-store.ts'

/** Each kind of damage to a row is told as what it is, and rows of what was removed stay removed. */

let folder: string
let whole: string
let data: string

beforeAll(async () => {
  folder = await scratch()
  whole = join(folder, 'whole')
  data = join(folder, 'data')
  const buckets = await openSample(whole)
  for (const name of ['team', 'gone']) {
    await buckets.create(name)
    const store = await buckets.open(name)
    for (let n = 0; n < 9; n++) await put(store, `k${n % 4}`, noise(n % 3 === 0 ? 70_000 : 500 + n, n + name.length))
    await commit(store, entry(deleteChange('k1')))
    await store.close()
  }
  await buckets.remove('gone')
  await buckets.close()
})
beforeEach(() => copyStore(whole, data))
afterAll(() => rm(folder, { recursive: true }))

const told = async (): Promise<string[]> => (await examine(data)).damage.map(({ message }) => message)

function rows<Row>(sql: string): Row[] {
  const db = new DatabaseSync(join(data, 'store.db'), { readOnly: true })
  try {
    return db.prepare(sql).all() as Row[]
  } finally {
    db.close()
  }
}

describe('doctor tells', () => {
  test.each<[string, string, RegExp]>([
    [
      'a bucket',
      'UPDATE buckets SET sum = sum + 1 WHERE id = 1',
      /^store\.db: the row of bucket 1 \(team\) was altered$/,
    ],
    [
      'a removed bucket',
      `UPDATE buckets SET sum = ${bucketSum(2, 'gone')} WHERE id = 2`,
      /bucket 2 \(removed\) was altered$/,
    ],
    ['a pack', 'UPDATE packs SET sum = sum + 1 WHERE id = 1', /^store\.db: the row of pack 1 was altered$/],
    [
      'an entry, by its checksum',
      'UPDATE log SET sum = sum + 1 WHERE position = 4',
      /^entry 4 of the log of bucket team was altered$/,
    ],
    [
      'an entry, by its id',
      "UPDATE log SET id = replace(id, substr(id, 1, 1), 'g') WHERE position = 4",
      /^entry 4 .* was altered$/,
    ],
    [
      'an entry, by its bytes',
      "UPDATE log SET data = CAST(replace(CAST(data AS TEXT), 'k', 'l') AS BLOB) WHERE position = 4",
      /^entry 4 .* was altered$/,
    ],
    [
      'an entry, by its position',
      'UPDATE log SET position = 40 WHERE position = 4',
      /^the log of bucket team lacks entry 4$/,
    ],
    ['a missing entry', 'DELETE FROM log WHERE position = 4', /^the log of bucket team lacks entry 4$/],
    [
      'missing entries',
      'DELETE FROM log WHERE position BETWEEN 4 AND 6',
      /^the log of bucket team lacks entries 4 to 6$/,
    ],
    [
      'a missing end',
      'DELETE FROM log WHERE position = 11',
      /^the log of bucket team lacks entry 11, which was acknowledged$/,
    ],
    ['a missing row of a bucket', 'DELETE FROM buckets WHERE id = 1', /^store\.db: the row of bucket 1 is missing$/],
    ['a chunk', 'UPDATE chunks SET bytes = zeroblob(length(bytes)) WHERE bytes IS NOT NULL', /cannot be read: chunk/],
    ['the size of a chunk', 'UPDATE chunks SET size = size + 1 WHERE bytes IS NOT NULL', /cannot be read: chunk/],
    ['the place of a chunk', 'UPDATE chunks SET place = place + 1 WHERE pack IS NOT NULL', /cannot be read: chunk/],
    ['the pack of a chunk', 'UPDATE chunks SET pack = 77 WHERE pack IS NOT NULL', /cannot be read: chunk/],
    ['another table', 'CREATE TABLE more (id INTEGER PRIMARY KEY)', /its tables are not those of a store$/],
  ])('%s', async (_name, sql, message) => {
    expect(await told()).toEqual([])
    alter(data, sql)
    expect(await told()).toContainEqual(expect.stringMatching(message))
  })

  test('an end that is another one than was acknowledged', async () => {
    const [last] = rows<{ id: string; data: Uint8Array }>('SELECT id, data FROM log WHERE position = 11')
    const id = last?.id.replaceAll(/./g, '0') ?? ''
    alter(
      data,
      `UPDATE log SET id = '${id}', sum = ${entrySum(1, 11, id, last?.data ?? new Uint8Array())} WHERE position = 11`,
    )
    expect(await told()).toContainEqual(
      expect.stringMatching(/^the log of bucket team lacks entry 11, which was acknowledged$/),
    )
  })
})

describe('a repair does not bring back', () => {
  const counts = (): unknown => ({
    buckets: rows('SELECT id, name FROM buckets ORDER BY id'),
    log: rows('SELECT bucket, count(*) AS n FROM log GROUP BY bucket'),
    chunks: rows('SELECT bucket, count(*) AS n FROM chunks GROUP BY bucket'),
    packs: rows('SELECT id, used IS NULL AS dropped FROM packs'),
  })

  test('a removed bucket, its log, its chunks, or their places', async () => {
    const live = await openSample(data)
    await live.create('large')
    const large = await live.open('large')
    for (let n = 0; n < 60; n++) {
      const some = Array.from({ length: 5 }, (_, part) =>
        putChange(large, `${n}/${part}`, noise(100 + part, 5 * n + part)),
      )
      await commit(large, entry(...(await Promise.all(some))))
    }
    // In several packs at once, so that their rows in the database are moved about.
    await Promise.all(Array.from({ length: 20 }, (_, n) => put(large, `pack/${n}`, noise(66_000 + n, n + 1))))
    await large.close()
    await live.remove('large')
    await live.close()
    // Rows of it are still in the file, where SQLite no longer counts them.
    const stale = new Set<string>()
    const pages = openPages(storePaths(data))
    for await (const { found } of findRows(pages, async () => undefined))
      if ('bucket' in found && found.bucket === 3) stale.add(found.table)
    pages.close()
    expect([...stale].toSorted()).toEqual(['chunks', 'log', 'placed'])
    const before = counts()
    await repair(data)
    expect(counts()).toEqual(before)
    expect(await told()).toEqual([])
    expect(Object.keys(await contents(data)).filter((name) => name.startsWith('recovered'))).toEqual([])
  })

  test('a name that was given up', async () => {
    const ids = Array.from({ length: 200 }, (_, n) => n + 10)
    const name = (id: number): string => `a-bucket-with-a-long-name-${id}`
    const path = join(data, 'store.db')
    const write = (sql: readonly string[]): void => {
      const db = new DatabaseSync(path)
      db.exec(`BEGIN; ${sql.join(';')}; COMMIT`)
      db.close()
    }
    write(ids.map((id) => `INSERT INTO buckets VALUES (${id}, '${name(id)}', ${bucketSum(id, name(id))})`))
    const before = await readFile(path)
    const gone = ids.filter((id) => id % 3 > 0)
    write(gone.map((id) => `UPDATE buckets SET name = NULL, sum = ${bucketSum(id, null)} WHERE id = ${id}`))
    // Rows with the names are in what SQLite no longer counts of its pages, and in some that it gave up, behind them.
    await appendFile(path, before.subarray(4096))
    const live = rows<{ id: number; name: string | null }>('SELECT id, name FROM buckets ORDER BY id')
    const removed = new Set(live.filter(({ name }) => name === null).map(({ id }) => id))
    let stale = 0
    const pages = openPages(storePaths(data))
    for await (const { found } of findRows(pages, async () => undefined))
      if (found.table === 'buckets' && found.name !== null && removed.has(found.id)) stale++
    pages.close()
    expect(stale).toBeGreaterThan(10)
    await repair(data)
    expect(rows('SELECT id, name FROM buckets ORDER BY id')).toEqual(live)
  })

  test('the one that was removed, where another has its name now', async () => {
    const buckets = await openSample(data)
    await buckets.remove('team')
    await buckets.create('team')
    const store = await buckets.open('team')
    await put(store, 'new', noise(300, 77))
    await store.close()
    await buckets.close()
    const before = await contents(data)
    await repair(data)
    expect(await contents(data)).toEqual(before)
    expect(Object.keys(before).toSorted()).toEqual(['team', 'team/new 1'])
  })

  test('a pack that was dropped, though its file is there still', async () => {
    const pack = join(data, 'packs', '000001.pack')
    const bytes = await readFile(pack)
    const buckets = await openSample(data)
    await buckets.remove('team')
    await buckets.close()
    expect(rows('SELECT id, used, sum FROM packs')).toEqual([{ id: 1, used: null, sum: packSum(1, null) }])
    await writeFile(pack, bytes)
    await repair(data)
    expect(rows('SELECT id, used, sum FROM packs')).toEqual([{ id: 1, used: null, sum: packSum(1, null) }])
    expect(rows('SELECT * FROM chunks')).toEqual([])
  })
})

describe('a repair finds rows', () => {
  /** Offsets of the pages of the file that begin with this. */
  const pagesOf = (bytes: Buffer, kind: number): number[] =>
    Array.from({ length: bytes.length / 4096 }, (_, page) => page * 4096).filter((at) => at > 0 && bytes[at] === kind)

  test.each([
    ['of the logs', 0x0a],
    ['of the other tables', 0x0d],
  ])('where a bit of the kind of a page has flipped: %s', async (_name, kind) => {
    const seen = await contents(whole)
    const path = join(data, 'store.db')
    const bytes = await readFile(path)
    expect(pagesOf(bytes, kind).length).toBeGreaterThan(0)
    for (const bit of [1, 0x10, 0x80]) {
      await copyStore(whole, data)
      const spoilt = Buffer.from(bytes)
      for (const at of pagesOf(bytes, kind)) spoilt[at] = kind ^ bit
      await writeFile(path, spoilt)
      await rm(join(data, 'views'), { recursive: true })
      expect((await repair(data)).lostEntries).toEqual([])
      expect(await told()).toEqual([])
      expect(await contents(data)).toEqual(seen)
    }
  })
})
