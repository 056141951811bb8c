import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../src/content/hash.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import type { Buckets } from '../../src/store/contract/blob-store.ts'
import { bytesOf, collect, entry, putChange } from '../store/acts.ts'
import { noise } from '../store/noise.ts'
import { EVERY_WAY, copyStore, examine, flip, fillSample, openSample, scratch } from './sample-store.ts'

/**
 * The law: a flipped bit is either told by `doctor` as damage, or nobody can see it, which is: every row of every table is what it
 * was, read in order of the table and by each index, and so is every byte of every chunk.
 */
const RUNS = Number(process.env['FLIPS'] ?? 40)
const TIMEOUT = 30_000 + RUNS * 2000
let folder: string
let whole: string
let spoilt: string

beforeAll(async () => {
  folder = await scratch()
  whole = join(folder, 'whole')
  spoilt = join(folder, 'spoilt')
  const buckets = await openSample(whole, 1_500_000)
  await fillSample(buckets)
  await buckets.close()
})
afterAll(() => rm(folder, { recursive: true }))

/** Everything that can be read in a store's files, by every way there is to read it. */
async function everything(directory: string): Promise<string> {
  const db = new DatabaseSync(join(directory, 'store.db'))
  try {
    const seen: unknown[] = []
    const all = (sql: string): Record<string, unknown>[] => db.prepare(sql).all() as Record<string, unknown>[]
    for (const sql of EVERY_WAY) {
      seen.push(
        all(sql).map((row) =>
          Object.entries(row).map(([name, value]) => [name, value instanceof Uint8Array ? sha256(value) : value]),
        ),
      )
    }
    for (const { pack, place, size } of all(
      'SELECT pack, place, size FROM chunks WHERE pack IS NOT NULL ORDER BY id',
    )) {
      const bytes = await readFile(join(directory, 'packs', `${String(pack).padStart(6, '0')}.pack`))
      seen.push(sha256(bytes.subarray(Number(place) - 52, Number(place) + Number(size))))
    }
    return sha256(Buffer.from(JSON.stringify(seen)))
  } finally {
    db.close()
  }
}

async function lawHolds(name: string, part: number): Promise<'told' | 'unseen'> {
  await copyStore(whole, spoilt)
  const path = join(spoilt, name)
  await flip(path, Math.floor(part * (await stat(path)).size * 8))
  // What seems to be the store of a newer program is told as that.
  const { damage } = await examine(spoilt).catch((error: unknown) => {
    if (isBlobsError(error, 'NotSupported')) return { damage: [error] }
    throw error
  })
  if (damage.length > 0) return 'told'
  expect(await everything(spoilt)).toBe(await everything(whole))
  return 'unseen'
}

/** A place in a file as a part of its length. */
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const runs = (part: number): fc.Parameters<unknown> => ({
  numRuns: Math.max(1, Math.round(RUNS * part)),
  endOnFailure: true,
})

test('a sample store is whole', async () => {
  expect((await examine(whole)).findings.filter(({ code }) => code !== 'space')).toEqual([])
})

describe('a flipped bit', () => {
  test(
    'anywhere in the database is told, or cannot be seen',
    async () => {
      const outcomes = new Set<string>()
      await fc.assert(
        fc.asyncProperty(place, async (part) => void outcomes.add(await lawHolds('store.db', part))),
        runs(1),
      )
      expect(outcomes).toContain('told')
    },
    TIMEOUT,
  )

  test(
    'anywhere in a page that holds the schema or the buckets is told, or cannot be seen',
    async () => {
      const { size } = await stat(join(whole, 'store.db'))
      await fc.assert(
        fc.asyncProperty(place, async (part) => void (await lawHolds('store.db', (part * 6 * 4096) / size))),
        runs(0.7),
      )
    },
    TIMEOUT,
  )

  test(
    'anywhere in a pack is told, unless it hits what no one needs',
    async () => {
      const packs = (await readdir(join(whole, 'packs'))).filter((name) => name.endsWith('.pack'))
      expect(packs.length).toBeGreaterThan(2)
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...packs),
          place,
          async (name, part) => void (await lawHolds(join('packs', name), part)),
        ),
        runs(0.7),
      )
    },
    TIMEOUT,
  )

  test('in the first bytes of a pack or the head of a record is told', async () => {
    for (const bit of [0, 63, 64, 100, 8 * (8 + 20), 8 * (8 + 46), 8 * (8 + 51)]) {
      await copyStore(whole, spoilt)
      await flip(join(spoilt, 'packs', '000001.pack'), bit)
      const { findings } = await examine(spoilt)
      expect(findings.map(({ code }) => code).filter((code) => code === 'pack' || code === 'index')).not.toEqual([])
    }
  }, 60_000)

  test(
    'anywhere in a view is told, or nobody can see it',
    async () => {
      const [view = ''] = await readdir(join(whole, 'views'))
      const rows = (directory: string): string => {
        const db = new DatabaseSync(join(directory, 'views', view))
        const all = ['state', 'entries', 'keys', 'versions'].map((table) => db.prepare(`SELECT * FROM ${table}`).all())
        db.close()
        // The name that a view gets when it is made is nobody's business.
        return sha256(
          Buffer.from(JSON.stringify(all, (name, value) => (name === 'generation' ? '' : value) as unknown)),
        )
      }
      await fc.assert(
        fc.asyncProperty(place, async (part) => {
          await copyStore(whole, spoilt)
          const path = join(spoilt, 'views', view)
          await flip(path, Math.floor(part * (await stat(path)).size * 8))
          const { damage } = await examine(spoilt)
          if (damage.length === 0) expect(rows(spoilt)).toBe(rows(whole))
        }),
        runs(0.4),
      )
    },
    TIMEOUT,
  )
})

describe('a flipped bit in the WAL of a store that was killed', () => {
  const written = Array.from({ length: 12 }, (_, i) => ({
    key: `k${i}`,
    bytes: noise(i % 3 === 0 ? 90_000 : 2000, i + 1),
  }))

  async function killed(): Promise<string> {
    const live = join(folder, 'live')
    await mkdir(live, { recursive: true })
    const buckets = await openSample(live)
    await buckets.create('team')
    const store = await buckets.open('team')
    for (const { key, bytes } of written) await store.commit([entry(await putChange(store, key, bytes))])
    const image = join(folder, 'killed')
    await copyStore(live, image)
    await rm(join(image, 'store.db-shm'))
    await store.close()
    await buckets.close()
    return image
  }
  async function allThere(buckets: Buckets): Promise<boolean> {
    const store = await buckets.open('team')
    for (const { key, bytes } of written) if ((await bytesOf(store, key))?.equals(bytes) !== true) return false
    return (await collect(store.changes({}))).length === written.length + 1
  }

  test(
    'is told, or nothing that was acknowledged is lost',
    async () => {
      const image = await killed()
      await fc.assert(
        fc.asyncProperty(place, async (part) => {
          await copyStore(image, spoilt)
          const path = join(spoilt, 'store.db-wal')
          await flip(path, Math.floor(part * (await stat(path)).size * 8))
          const { damage } = await examine(spoilt)
          if (damage.length > 0) return
          const buckets = await openSample(spoilt)
          expect(await allThere(buckets)).toBe(true)
          await buckets.close()
        }),
        runs(0.6),
      )
    },
    TIMEOUT,
  )
})
