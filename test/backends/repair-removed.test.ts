import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Buckets } from '../../src/store/contract/blob-store.ts'
import { commit, entry, put, putChange } from '../store/acts.ts'
import { noise } from '../store/noise.ts'
import { alter, contents, copyStore, examine, flip, openSample, repair, scratch } from './sample-store.ts'

let folder: string
let live: string
let data: string
beforeEach(async () => {
  folder = await scratch()
  live = join(folder, 'live')
  data = join(folder, 'data')
})
afterEach(() => rm(folder, { recursive: true }))

/** So many entries that whole pages hold nothing else. */
async function fill(buckets: Buckets, name: string): Promise<void> {
  await buckets.create(name)
  const store = await buckets.open(name)
  for (let n = 0; n < 30; n++) {
    const change = await putChange(store, `secret/${n}`, noise(2000, n), { meta: { note: 'n'.repeat(3000) } })
    await commit(store, entry(change))
  }
  await store.close()
}

function rowsOf(directory: string, bucket: number): number {
  const db = new DatabaseSync(join(directory, 'store.db'))
  const sql = `SELECT (SELECT count(*) FROM log WHERE bucket = ?1) + (SELECT count(*) FROM chunks WHERE bucket = ?1) AS rows`
  const { rows } = db.prepare(sql).get(bucket) as { rows: number }
  db.close()
  return rows
}

test('a repair brings nothing of a removed bucket back, though its pages still hold it', async () => {
  const buckets = await openSample(live)
  await fill(buckets, 'team')
  await fill(buckets, 'gone')
  await buckets.remove('gone')
  await buckets.close()
  const before = await contents(live)
  expect((await readFile(join(live, 'store.db'))).includes('secret/7')).toBe(true)
  await repair(live)
  expect(rowsOf(live, 2)).toBe(0)
  expect(await contents(live)).toEqual(before)
})

test('a repair of a damaged WAL gives no name back that was taken away in it', async () => {
  const first = await openSample(live)
  await fill(first, 'team')
  await first.close()
  const buckets = await openSample(live)
  await fill(buckets, 'gone')
  await buckets.remove('gone')
  await copyStore(live, data)
  await buckets.close()
  await rm(join(data, 'store.db-shm'))
  // In the first frame: all of the WAL is behind the damage.
  await flip(join(data, 'store.db-wal'), 1000 * 8)
  await repair(data)
  expect(Object.keys(await contents(data)).filter((name) => !name.includes('/'))).toEqual(['team'])
})

test('an entry that was altered is named', async () => {
  const buckets = await openSample(live)
  await buckets.create('team')
  const store = await buckets.open('team')
  for (const key of ['a', 'b', 'c']) await put(store, key, noise(100))
  await store.close()
  await buckets.close()
  alter(live, 'UPDATE log SET data = CAST(replace(CAST(data AS TEXT), \'"b"\', \'"d"\') AS BLOB) WHERE position = 3')
  const { damage } = await examine(live)
  expect(damage.map(({ code, message }) => `${code}: ${message}`)).toContain(
    'entry: entry 3 of the log of bucket team was altered',
  )
})
