import { randomInt } from 'node:crypto'
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkDatabase } from '../../src/backends/local/check-database.ts'
import { checkPacks } from '../../src/backends/local/check-packs.ts'
import { openDamage } from '../../src/backends/local/damage.ts'
import { PACK_HEAD, RECORD_HEAD_BYTES } from '../../src/backends/local/pack-format.ts'
import { localBackend } from '../../src/backends/local/local.ts'
import { checkFormat, storePaths, type StoreFile } from '../../src/backends/local/store-file.ts'
import { sha256, type Hash } from '../../src/content/hash.ts'
import { openDatabase, openImage, sqliteProblem, type Database } from '../../src/platform/sqlite.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import { collect, commit, deleteChange, entry, putChange } from '../store/acts.ts'
import { noise } from '../store/noise.ts'
import { EVERY_WAY, examine, openSample, scratch } from './sample-store.ts'

/**
 * Each byte of a small store with one bit flipped, one after the other: what `doctor` does not tell as damage can be seen by nobody, which is:
 * every row of every table is what it was, read in order of the table and by each index. In a pack no byte of what is in use may differ.
 *
 * The database is looked at in memory, where it can be done fifty thousand times; its first bytes, which say what kind of file it is, on the
 * disk. In CI, and with `FLIPS=all`, it is really each byte; else every sixteenth, others each time. Larger stores: `flipped-bits.test.ts`.
 */
const EACH = process.env['CI'] !== undefined || process.env['FLIPS'] === 'all'
const STRIDE = EACH ? 1 : 16
const START = EACH ? 0 : randomInt(STRIDE)
const TIMEOUT = EACH ? 900_000 : 120_000
/** SQLite's header of the file. Two of its bytes say that there is a WAL, which memory has not. */
const HEADER = 100
const JOURNAL = [18, 19]

let directory: string
let image: Buffer

beforeAll(async () => {
  directory = await scratch()
  const buckets = await openSample(directory)
  for (const name of ['team', 'gone']) {
    await buckets.create(name)
    const store = await buckets.open(name)
    const sizes = [0, 10, 300, 3000, 70_000]
    for (const [at, size] of sizes.entries())
      await commit(store, entry(await putChange(store, `k${at % 4}`, noise(size, at + name.length))))
    await commit(store, entry(deleteChange('k2')))
    await store.close()
  }
  await buckets.remove('gone')
  await buckets.close()
  image = readFileSync(join(directory, 'store.db'))
  for (const at of JOURNAL) {
    expect(image[at]).toBe(2)
    image[at] = 1
  }
})
afterAll(() => rmSync(directory, { recursive: true }))

async function told(db: Database, steps: 'database' | 'packs' | 'both'): Promise<string[]> {
  const found: string[] = []
  const store: StoreFile = { ...storePaths(directory), db, close: () => undefined }
  const inspection = {
    report: ({ severity, message }: { severity: string; message: string }) => {
      if (severity === 'damage') found.push(message)
    },
    pace: async () => undefined,
  }
  const damage = openDamage()
  if (steps !== 'packs') await checkDatabase({ store, clock, inspection, damage })
  if (steps !== 'database') await checkPacks({ store, clock, inspection, damage })
  return [...found, ...[...damage.all()].map(({ hash }) => `chunk ${hash}`)]
}

/** Everything that can be read in a database, by every way there is to read it. */
function everything(db: Database): string {
  const seen = EVERY_WAY.map((sql) => db.all<Record<string, unknown>>(sql).map((row) => Object.values(row).map(plain)))
  return JSON.stringify(seen)
}

function plain(value: unknown): unknown {
  return value instanceof Uint8Array ? sha256(value) : value
}

/** What is told of a database in which a byte is another one, or `null` if nothing is and nothing can be seen of it. */
async function outcome(bytes: Uint8Array, whole: string): Promise<'told' | 'unseen' | 'SEEN AND NOT TOLD'> {
  let db: Database | undefined
  try {
    db = openImage(bytes).db
    checkFormat(db, directory)
    if ((await told(db, 'database')).length > 0) return 'told'
    if (everything(db) === whole) return 'unseen'
    return (await told(db, 'packs')).length > 0 ? 'told' : 'SEEN AND NOT TOLD'
  } catch (error) {
    // It does not open, or its schema is not to be used: nobody gets anything out of it.
    if (sqliteProblem(error) === null && !isBlobsError(error, 'Corrupt')) throw error
    return 'told'
  } finally {
    db?.close()
  }
}

test('the store is whole, on the disk and in memory', async () => {
  expect((await examine(directory)).damage).toEqual([])
  const { db } = openImage(image)
  expect(await told(db, 'both')).toEqual([])
  const file = openDatabase(join(directory, 'store.db'), { synchronous: 'normal' })
  expect(everything(db)).toBe(everything(file))
  db.close()
  file.close()
})

/** The bit to flip: each of the eight in its turn. */
function bitAt(at: number): number {
  return 1 << (Math.floor(at / STRIDE) % 8)
}

function spoilt(at: number): Buffer {
  const bytes = Buffer.from(image)
  bytes[at] = (bytes[at] ?? 0) ^ bitAt(at)
  return bytes
}

test(
  'a flipped bit in any byte of the database is told, or cannot be seen',
  async () => {
    const { db } = openImage(image)
    const whole = everything(db)
    db.close()
    const count = { told: 0, unseen: 0 }
    for (let at = HEADER + START; at < image.length; at += STRIDE) {
      const what = await outcome(spoilt(at), whole)
      if (what === 'SEEN AND NOT TOLD') expect.fail(`${bitAt(at)} in byte ${at} is seen, but not told`)
      count[what]++
    }
    expect(count.told).toBeGreaterThan(image.length / STRIDE / 10)
  },
  TIMEOUT,
)

/** What a program gets that reads the bucket: the entries, and how many chunks are what they are to be. */
async function reading(db: Database, hashes: readonly Hash[]): Promise<{ entries: string; right: number } | null> {
  const store: StoreFile = { ...storePaths(directory), db, close: () => db.close() }
  const backend = localBackend({ store, clock, packs: { limit: 1 } })
  try {
    const ports = await backend.open('team')
    if (ports === null) return null
    const entries = (await collect(ports.log.read({ after: 0 }))).flat()
    const chunks = await ports.content.get(hashes)
    await Promise.all([ports.log.close(), ports.content.close()])
    return {
      entries: JSON.stringify(entries.map(({ position, id, data }) => [position, id, sha256(data)])),
      right: chunks.filter((bytes, index) => bytes !== null && sha256(bytes) === hashes[index]).length,
    }
  } finally {
    await backend.close()
  }
}

test(
  'who reads a log in which a bit has flipped gets all of it or an error that is known, never less or something else',
  async () => {
    const { db: whole } = openImage(image)
    const hashes = whole
      .all<{ hash: string }>('SELECT lower(hex(hash)) AS hash FROM chunks WHERE bucket = 1')
      .map(({ hash }) => hash)
    const right = await reading(whole, hashes)
    expect(right).toMatchObject({ right: hashes.length })
    const count = { same: 0, known: 0 }
    for (let at = HEADER + START; at < image.length; at += STRIDE * 2) {
      try {
        const { db } = openImage(spoilt(at))
        checkFormat(db, directory)
        const got = await reading(db, hashes)
        if (got !== null && got.entries !== right?.entries)
          expect.fail(`${bitAt(at)} in byte ${at} gives other entries: ${got.entries}`)
        count.same++
      } catch (error) {
        if (sqliteProblem(error) === null && !isBlobsError(error, 'Corrupt')) throw error
        count.known++
      }
    }
    expect(count.known).toBeGreaterThan(10)
    expect(count.same).toBeGreaterThan(count.known)
  },
  TIMEOUT,
)

test(
  'a flipped bit in the header of the database file is told, or cannot be seen',
  async () => {
    const path = join(directory, 'store.db')
    const bytes = readFileSync(path)
    const look = (): string => {
      const db = openDatabase(path, { synchronous: 'normal' })
      const seen = everything(db)
      db.close()
      return seen
    }
    const whole = look()
    for (let at = 0; at < HEADER; at++) {
      const spoilt = Buffer.from(bytes)
      spoilt[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
      writeFileSync(path, spoilt)
      // A store that seems to be of a newer program is told as that.
      const { damage } = await examine(directory).catch((error: unknown) => ({ damage: [error] }))
      if (damage.length === 0) expect(look(), `byte ${at}`).toBe(whole)
    }
    writeFileSync(path, bytes)
  },
  TIMEOUT,
)

test(
  'a flipped bit in any byte of a pack that is in use is told',
  async () => {
    const name = readdirSync(join(directory, 'packs')).find((one) => one.endsWith('.pack')) ?? ''
    const path = join(directory, 'packs', name)
    const bytes = readFileSync(path)
    const { db } = openImage(image)
    const used = db
      .all<{ place: number; size: number }>('SELECT place, size FROM chunks WHERE pack IS NOT NULL')
      .flatMap(({ place, size }) =>
        [...Array(RECORD_HEAD_BYTES + size).keys()].map((at) => place - RECORD_HEAD_BYTES + at),
      )
    expect(used.length).toBe(RECORD_HEAD_BYTES + 70_000)
    const places = [...PACK_HEAD.keys(), ...used].filter((at) => EACH || at < 100 || at % STRIDE === START)
    const file = openSync(path, 'r+')
    try {
      for (const at of places) {
        writeSync(file, Buffer.of((bytes[at] ?? 0) ^ bitAt(at)), 0, 1, at)
        if ((await told(db, 'packs')).length === 0) expect.fail(`${bitAt(at)} in byte ${at} is not told`)
        writeSync(file, bytes, at, 1, at)
      }
    } finally {
      closeSync(file)
      db.close()
    }
  },
  TIMEOUT,
)
