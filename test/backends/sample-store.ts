import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLocal } from '../../src/backends/local/local.ts'
import { examineStore, type Examined } from '../../src/locations/doctor.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import type { Finding } from '../../src/store/contract/findings.ts'
import { putChange, entry, commit, deleteChange } from '../store/acts.ts'
import { noise } from '../store/noise.ts'

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
  const many = await putChange(team, 'many', noise(100))
  await commit(
    team,
    entry(...Array.from({ length: 3000 }, (_, i) => ({ ...many, key: `many/${i}/${'x'.repeat(150)}` }))),
  )
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
