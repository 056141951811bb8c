import { mkdir, open, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { storePaths } from '../../src/backends/local/store-file.ts'
import { decideRepair } from '../../src/backends/local/swap.ts'
import { sha256 } from '../../src/content/hash.ts'
import { put } from '../store/acts.ts'
import { noise } from '../store/noise.ts'
import {
  alter,
  contents,
  copyStore,
  examine,
  fillSample,
  flip,
  openSample,
  repair,
  repairPaced,
  scratch,
} from './sample-store.ts'

const RUNS = Number(process.env['FLIPS'] ?? 8)
const TIMEOUT = 30_000 + RUNS * 4000
let folder: string
/** A store that nothing is wrong with, and what a user sees in it. */
let whole: string
let seen: Record<string, unknown>
/** A copy to spoil, new for each test. */
let data: string

beforeAll(async () => {
  folder = await scratch()
  whole = join(folder, 'whole')
  const buckets = await openSample(whole, 1_500_000)
  await fillSample(buckets)
  await buckets.close()
  seen = await contents(whole)
})
beforeEach(async () => {
  data = join(folder, 'data')
  await copyStore(whole, data)
})
afterAll(() => rm(folder, { recursive: true }))

const packs = async (): Promise<string[]> =>
  (await readdir(join(data, 'packs'))).filter((name) => name.endsWith('.pack'))

/** Versions that are not as they were. */
async function changed(): Promise<string[]> {
  const now = await contents(data)
  return [...new Set([...Object.keys(seen), ...Object.keys(now)])].filter(
    (name) => JSON.stringify(now[name]) !== JSON.stringify(seen[name]),
  )
}

async function damage(): Promise<string[]> {
  return (await examine(data)).damage.map(({ message }) => message)
}

async function overwrite(path: string, at: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(bytes, 0, bytes.length, at)
  await file.close()
}

describe('a repair loses nothing', () => {
  test('of a store that is whole', async () => {
    const { aside, chunks, lostEntries, recalled } = await repair(data)
    expect({ chunks, lostEntries, recalled }).toEqual({ chunks: 0, lostEntries: [], recalled: [] })
    expect(await readFile(join(data, aside, 'store.db'))).toEqual(await readFile(join(whole, 'store.db')))
    expect(await damage()).toEqual([])
    expect(await changed()).toEqual([])
  })

  test.each<[string, () => unknown]>([
    ['every row of the index of the packs is lost', () => alter(data, 'DELETE FROM chunks WHERE pack IS NOT NULL')],
    ['the rows of the packs are lost', () => alter(data, 'DELETE FROM packs')],
    [
      'rows of the index are wrong',
      () => alter(data, 'UPDATE chunks SET place = place + 7 WHERE pack IS NOT NULL AND id % 2 = 0'),
    ],
    ['the rows of the buckets are lost', () => alter(data, 'DELETE FROM buckets')],
    ['the pages of the schema are gone', () => overwrite(join(data, 'store.db'), 0, Buffer.alloc(4096))],
    ['the head of the database is spoilt', () => overwrite(join(data, 'store.db'), 0, noise(100))],
    ['the records of a pack lost their heads', () => spoilHeads()],
    ['a pack does not begin as one', () => overwrite(join(data, 'packs', '000001.pack'), 0, noise(8))],
    [
      'entries of a log are lost',
      () => alter(data, 'DELETE FROM log WHERE bucket = 1 AND position IN (1, 4, 5, 9, 12)'),
    ],
    [
      'an entry was altered',
      () =>
        alter(
          data,
          "UPDATE log SET data = CAST(replace(CAST(data AS TEXT), 'small', 'smalt') AS BLOB) WHERE position = 3",
        ),
    ],
    ['the end of a log is lost', () => alter(data, 'DELETE FROM log WHERE bucket = 1 AND position > 9')],
    [
      'the views are spoilt',
      async () => {
        for (const name of await readdir(join(data, 'views')))
          await overwrite(join(data, 'views', name), 5000, noise(9000))
      },
    ],
  ])('where %s', async (_, spoil) => {
    await spoil()
    expect(await damage()).not.toEqual([])
    const { lostEntries } = await repair(data)
    expect(lostEntries).toEqual([])
    expect(await damage()).toEqual([])
    expect(await changed()).toEqual([])
  })

  async function spoilHeads(): Promise<void> {
    const path = join(data, 'packs', '000001.pack')
    const bytes = await readFile(path)
    for (let at = bytes.indexOf('chnk'); at !== -1; at = bytes.indexOf('chnk', at + 1)) await flip(path, (at + 20) * 8)
  }

  test('where a chunk of one bucket is altered, and another bucket has it too', async () => {
    alter(
      data,
      'UPDATE chunks SET bytes = zeroblob(length(bytes)) WHERE bucket = 1 AND bytes IS NOT NULL AND id IN (SELECT min(id) FROM chunks WHERE bytes IS NOT NULL)',
    )
    const buckets = await openSample(data)
    const other = await buckets.open('other')
    await put(other, 'the same', noise(200, 3))
    await other.close()
    await buckets.close()
    expect(await damage()).toEqual([expect.stringMatching(/^team\/small\/0 version 1 cannot be read: chunk/)])
    expect((await repair(data)).chunks).toBe(1)
    expect(await damage()).toEqual([])
  })

  test('that was acknowledged, where the WAL of a killed store is damaged', async () => {
    const live = join(folder, 'live')
    const buckets = await openSample(live)
    await buckets.create('team')
    const store = await buckets.open('team')
    for (let i = 0; i < 10; i++) await put(store, `k${i}`, noise(i % 2 === 0 ? 100_000 : 900, i + 1))
    await copyStore(live, data)
    await rm(join(data, 'store.db-shm'))
    await store.close()
    await buckets.close()
    await rm(join(data, 'views'), { recursive: true })
    const { size } = await stat(join(data, 'store.db-wal'))
    await flip(join(data, 'store.db-wal'), Math.floor(size / 3) * 8)
    await expect(openSample(data)).rejects.toMatchObject({ code: 'Corrupt' })
    expect((await repair(data)).lostEntries).toEqual([])
    expect(await damage()).toEqual([])
    expect(Object.values(await contents(data))).toHaveLength(11)
    await rm(live, { recursive: true })
  })
})

describe('what is lost', () => {
  test('is named to the version, and everything else is there', async () => {
    alter(
      data,
      'UPDATE chunks SET bytes = zeroblob(length(bytes)) WHERE bytes IS NOT NULL AND id IN (SELECT id FROM chunks WHERE bucket = 1 AND bytes IS NOT NULL ORDER BY id LIMIT 2)',
    )
    const before = await damage()
    const { chunks } = await repair(data)
    expect(chunks).toBe(0)
    const { damage: left } = await examine(data)
    expect(left.map(({ key, version }) => `team/${key} ${version}`)).toEqual(await changed())
    expect(left.map(({ message }) => message)).toEqual(before)
    expect(left).toHaveLength(2)
  })

  test('comes back from a folder that has the bytes, long bodies as well', async () => {
    const place = join(folder, 'synced', 'deep')
    await mkdir(join(place, '.blobs', 'trash'), { recursive: true })
    await writeFile(join(place, 'whatever.bin'), noise(6_000_000, 2))
    await writeFile(join(place, '.blobs', 'trash', 'old'), noise(200, 3))
    for (const name of await packs()) await truncate(join(data, 'packs', name), 1000)
    alter(
      data,
      'UPDATE chunks SET bytes = zeroblob(length(bytes)) WHERE bytes IS NOT NULL AND id IN (SELECT min(id) FROM chunks WHERE bytes IS NOT NULL)',
    )
    const { chunks } = await repair(data, join(folder, 'synced'))
    expect(chunks).toBeGreaterThan(10)
    expect((await changed()).toSorted()).toEqual(['other/copy of large 1', 'team/large 1'])
    await writeFile(join(place, 'another'), noise(900_000))
    await repair(data, join(folder, 'synced'))
    expect(await changed()).toEqual([])
    expect(await damage()).toEqual([])
  })

  test('comes back from the directory of another store, entries as well', async () => {
    for (const name of await packs()) await rm(join(data, 'packs', name))
    alter(data, 'DELETE FROM log WHERE position IN (2, 7); DELETE FROM chunks WHERE id % 3 = 0')
    await rm(join(data, 'views'), { recursive: true })
    const { lostEntries, recalled } = await repair(data, whole)
    expect(lostEntries).toEqual([])
    // Its bytes were in a pack. Of the others the database may still hold copies from before its pages were rearranged.
    expect(recalled).toContainEqual({ bucket: 'team', position: 19, from: whole })
    expect(await damage()).toEqual([])
    expect(await changed()).toEqual([])
  })

  test('an entry that nobody knows gives way to one that does nothing, and what built on it stays', async () => {
    const buckets = await openSample(data)
    const store = await buckets.open('other')
    const [first, second, third] = [noise(10, 1), noise(20, 2), noise(30, 3)]
    await put(store, 'chain', first)
    const { version, hash, position } = await put(store, 'chain', second, { expect: { version: 1 } })
    await put(store, 'chain', third, { expect: { version, hash } })
    await store.close()
    await buckets.close()
    const lost = Number(position.split(':')[1])
    alter(data, `DELETE FROM log WHERE bucket = 3 AND position = ${lost}`)
    await rm(join(data, 'views'), { recursive: true })
    const { lostEntries, renumbered } = await repair(data)
    expect({ lostEntries, renumbered }).toEqual({
      lostEntries: [{ bucket: 'other', position: lost }],
      renumbered: [{ bucket: 'other', key: 'chain' }],
    })
    const now = await contents(data)
    expect(now['other/chain 2']).toMatchObject({ hash: sha256(third), read: sha256(third) })
    expect(await damage()).toEqual([])
  })

  test('of a whole database: the views tell what there was, and the packs have the larger part of it', async () => {
    for (const name of ['store.db', 'heads']) await rm(join(data, name), { recursive: true })
    expect(await damage()).toEqual([expect.stringMatching(/store.db is missing/)])
    await repair(data)
    const now = await contents(data)
    const names = Object.keys(now).filter((name) => !name.includes('/'))
    expect(names).toHaveLength(2)
    expect(names.every((name) => name.startsWith('recovered-'))).toBe(true)
    const readable = Object.entries(now).filter(
      ([, version]) => (version as { read?: string }).read === (version as { hash?: string }).hash,
    )
    expect(readable.map(([name]) => name.slice(name.indexOf('/') + 1))).toEqual(
      expect.arrayContaining(['large 1', 'copy of large 1']),
    )
  })
})

describe('whatever is spoilt', () => {
  const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

  test(
    'after a repair the store can be used, and what is not there is named',
    async () => {
      const files = ['store.db', 'store.db', ...(await packs()).map((name) => join('packs', name))]
      const spoil = fc.tuple(fc.constantFrom(...files), place, fc.constantFrom(1, 64, 5000, 60_000))
      await fc.assert(
        fc.asyncProperty(fc.array(spoil, { minLength: 1, maxLength: 4 }), fc.boolean(), async (spoils, withViews) => {
          await copyStore(whole, data)
          for (const [name, part, length] of spoils) {
            const path = join(data, name)
            const { size } = await stat(path)
            await overwrite(path, Math.floor(part * size), noise(Math.min(length, size - Math.floor(part * size))))
          }
          if (!withViews) await rm(join(data, 'views'), { recursive: true })
          const { lostEntries } = await repair(data)
          const { damage: left } = await examine(data)
          const named = new Set(left.map(({ bucket, key, version }) => `${bucket}/${key} ${version}`))
          expect(left.every(({ code }) => code === 'content')).toBe(true)
          const now = await contents(data)
          for (const [name, version] of Object.entries(now)) {
            const { hash, read } = version as { hash?: string; read?: string | null }
            if (hash !== undefined && read !== null && !named.has(name)) expect([name, read]).toEqual([name, hash])
          }
          if (lostEntries.length === 0) expect(Object.keys(now).toSorted()).toEqual(Object.keys(seen).toSorted())
        }),
        { numRuns: RUNS, endOnFailure: true },
      )
    },
    TIMEOUT,
  )

  test(
    'with another store at hand everything comes back',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(place, fc.constantFrom(1, 5000)), { minLength: 1, maxLength: 3 }),
          async (spoils) => {
            await copyStore(whole, data)
            for (const [part, length] of spoils) {
              // The page with the schema and those of the buckets are not of the logs.
              const { size } = await stat(join(data, 'store.db'))
              await overwrite(join(data, 'store.db'), Math.floor(part * (size - length)), noise(length))
            }
            await repair(data, whole)
            expect(await damage()).toEqual([])
            expect(await changed()).toEqual([])
          },
        ),
        { numRuns: RUNS, endOnFailure: true },
      )
    },
    TIMEOUT,
  )
})

describe('a repair never makes it worse', () => {
  const files = async (directory: string): Promise<Record<string, string>> => {
    const found: Record<string, string> = {}
    for (const item of await readdir(directory, { recursive: true, withFileTypes: true })) {
      const path = join(item.parentPath, item.name)
      // Reading a view leaves an empty WAL beside it.
      if (item.isFile() && !/\.lock$|-shm$|-wal$/.test(path))
        found[path.slice(directory.length)] = sha256(await readFile(path))
    }
    return found
  }

  test('refuses a store that is in use', async () => {
    const buckets = await openSample(data)
    await expect(repair(data)).rejects.toMatchObject({ code: 'Refused', hint: expect.stringMatching(/stop/) })
    await buckets.close()
  })

  test('leaves everything as it was when it fails, wherever that is', async () => {
    await truncate(join(data, 'packs', '000001.pack'), 700_000)
    alter(data, 'DELETE FROM chunks WHERE id = 3; DELETE FROM log WHERE position = 5')
    const before = await files(data)
    await expect(repair(data, join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'ENOENT' })
    for (let calls = 1; ; calls += 7) {
      let left = calls
      const pace = async (): Promise<void> => {
        if (--left < 0) throw new Error('stopped')
      }
      const failure = await repairPaced(data, pace).catch((error: Error) => error.message)
      if (failure !== 'stopped') {
        expect(calls).toBeGreaterThan(15)
        break
      }
      expect(await files(data)).toEqual(before)
    }
    expect(await changed()).toEqual(expect.arrayContaining(['team/small/2 1']))
  }, 90_000)

  test('a repair that was cut short at its last step is ended by who opens the store next', async () => {
    const old = ['store.db-wal', 'store.db-shm', 'store.db']
    for (let done = 0; done <= old.length + 1; done++) {
      await copyStore(whole, data)
      await repair(data)
      const aside = (await readdir(data)).find((name) => name.startsWith('damaged-')) ?? ''
      const work = join(data, 'repair')
      await mkdir(work)
      await rename(join(data, 'store.db'), join(work, 'store.db'))
      for (const name of old) await writeFile(join(data, name), 'damaged')
      decideRepair(storePaths(data), work, { aside, packs: [] })
      for (const name of old.slice(0, done)) await rename(join(data, name), join(data, aside, name))
      if (done > old.length) await rename(join(data, 'repaired', 'store.db'), join(data, 'store.db'))
      expect(await changed()).toEqual([])
      expect(await readFile(join(data, aside, 'store.db'), 'utf8')).toBe('damaged')
      expect((await readdir(data)).filter((name) => name.startsWith('repair'))).toEqual([])
    }
  })
})
