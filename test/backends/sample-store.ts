import { cp, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openLocal } from '../../src/backends/local/local.ts'
import { sha256 } from '../../src/content/hash.ts'
import { examineStore, type Examined } from '../../src/locations/doctor.ts'
import { openPlaces } from '../../src/locations/places.ts'
import { repairStore, type Repaired } from '../../src/locations/repair.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import type { Finding } from '../../src/store/contract/findings.ts'
import { bytesOf, commit, deleteChange, entry, listAll, putChange } from '../store/acts.ts'
import { noise } from '../store/noise.ts'

/** Reads all of a store's database, by every way there is to read it. */
export const EVERY_WAY = [
  'SELECT type, name, tbl_name, sql FROM sqlite_schema',
  'SELECT * FROM pragma_user_version, pragma_application_id, pragma_encoding',
  'SELECT * FROM buckets ORDER BY id',
  'SELECT id, name FROM buckets ORDER BY name',
  'SELECT * FROM log ORDER BY bucket, position',
  'SELECT * FROM packs ORDER BY id',
  'SELECT * FROM ages ORDER BY chunk',
  'SELECT * FROM chunks ORDER BY id',
  'SELECT id, bucket, hash FROM chunks INDEXED BY chunk_by_hash ORDER BY bucket, hash',
  'SELECT id, pack FROM chunks INDEXED BY chunk_by_pack WHERE pack IS NOT NULL ORDER BY pack, id',
]

export async function openSample(directory: string, packBytes?: number): Promise<Buckets> {
  const backend = await openLocal({ directory, clock, ...(packBytes === undefined ? {} : { packBytes }) })
  return openBuckets({ backend, clock, ids })
}

/** A store with something of everything: several packs, versions, tombstones, shared chunks, long bodies, an entry in Content, removed buckets. */
export async function fillSample(buckets: Buckets): Promise<void> {
  for (const name of ['team', 'gone', 'other']) await buckets.create(name)
  const [team, gone, other] = [await buckets.open('team'), await buckets.open('gone'), await buckets.open('other')]
  const put = async (store: BlobStore, key: string, bytes: Uint8Array): Promise<void> =>
    void (await commit(store, entry(await putChange(store, key, bytes))))
  const large = noise(900_000)
  for (let i = 0; i < 12; i++) await put(team, `small/${i % 7}`, noise(200 + i * 900, i + 3))
  for (let i = 0; i < 6; i++) await put(gone, `was/${i}`, noise(i % 2 === 0 ? 90_000 : 3000))
  await put(team, 'large', large)
  await put(other, 'copy of large', large)
  await put(team, 'long', noise(6_000_000, 2))
  await put(team, 'empty', new Uint8Array(0))
  await commit(team, entry(deleteChange('small/3')))
  await put(team, 'small/3', noise(40_000))
  // Too large for a log: it goes into Content.
  const many = await putChange(team, 'many', noise(100), { meta: { note: 'x'.repeat(7800) } })
  await commit(team, entry(...Array.from({ length: 150 }, (_, i) => ({ ...many, key: `many/${i}` }))))
  for (const store of [team, gone, other]) await store.close()
  await buckets.remove('gone')
  await buckets.configure('other', { maxBlobSize: 1_000_000 })
}

/** A folder of its own for each test. */
export async function scratch(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'blobs-doctor-'))
}

export async function copyStore(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true })
  await cp(from, to, { recursive: true })
}

/** What a check says. */
export async function examine(
  data: string,
): Promise<{ readonly examined: Examined | null; readonly findings: Finding[]; readonly damage: Finding[] }> {
  const findings: Finding[] = []
  const inspection = { report: (finding: Finding) => void findings.push(finding), pace: async () => undefined }
  const examined = await examineStore({ data, clock, ids, inspection })
  return { examined, findings, damage: findings.filter(({ severity }) => severity === 'damage') }
}

/** All that a user sees of a store: each bucket, and each version with the hash of the bytes that are read, or the code of the error. */
export async function contents(directory: string): Promise<Record<string, unknown>> {
  const buckets = await openSample(directory)
  const seen: Record<string, unknown> = {}
  try {
    for await (const { name, epoch, head, blobs, bytes, options } of buckets.list()) {
      const store = await buckets.open(name)
      seen[name] = { epoch, head, blobs, bytes, options }
      for (const page of await listAll(store, { versions: true, deleted: true, limit: 1000 })) {
        for (const { key, version, hash, deleted, entry: id } of page.items) {
          seen[`${name}/${key} ${version}`] = { hash, id, read: deleted ? null : await readable(store, key, version) }
        }
      }
      await store.close()
    }
    return seen
  } finally {
    await buckets.close()
  }
}

async function readable(store: BlobStore, key: string, version: number): Promise<string> {
  try {
    return sha256((await bytesOf(store, key, { version })) ?? new Uint8Array(0))
  } catch (error) {
    return (error as { code: string }).code
  }
}

/** Repairs as `blobs doctor --repair` does. */
export async function repair(data: string, ...from: readonly string[]): Promise<Repaired> {
  return repairPaced(data, async () => undefined, ...from)
}

export async function repairPaced(
  data: string,
  pace: () => Promise<void>,
  ...from: readonly string[]
): Promise<Repaired> {
  await using places = openPlaces({ env: { HOME: data }, clock, ids })
  return repairStore({ data, from, places, clock, ids, inspection: { pace } })
}

/** Changes a store.db with SQL; what is deleted is overwritten too, else a repair finds it. */
export function alter(directory: string, sql: string): void {
  const db = new DatabaseSync(join(directory, 'store.db'))
  db.exec(`PRAGMA secure_delete = ON; ${sql}`)
  db.close()
}

/** Inverts a bit of a file. */
export async function flip(path: string, bit: number): Promise<void> {
  const file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, Math.floor(bit / 8))
  byte[0] = (byte[0] ?? 0) ^ (1 << (bit % 8))
  await file.write(byte, 0, 1, Math.floor(bit / 8))
  await file.close()
}
