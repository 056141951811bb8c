/**
 * A process for kill-store.ts to kill: `kill-writer.ts DIRECTORY KIND SEED`. It writes into the store until it dies, and prints a line for
 * whatever was acknowledged: a JSON list, see `Acknowledged`.
 */
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { openLocal } from '../src/backends/local/local.ts'
import { openPlaces } from '../src/locations/places.ts'
import { repairStore } from '../src/locations/repair.ts'
import { systemClock as clock, systemIds as ids } from '../src/platform/system.ts'
import { openBuckets } from '../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../src/store/contract/blob-store.ts'
import { isBlobsError } from '../src/store/contract/errors.ts'
import type { ChangeInput, Expectation, Outcome } from '../src/store/contract/types.ts'
import { stageStream } from '../src/store/contract/upload.ts'
import { chanceOf, type Chance } from '../test/simulation/chance.ts'

export const KINDS = ['versions', 'crowd', 'batches', 'buckets', 'repair'] as const
export type Kind = (typeof KINDS)[number]
/** Changes of one entry in a batch. */
export const BATCH = 40
export const BUCKET = 'load'

/** `put`: key, version, SHA-256, entry; `delete`: key, version, entry; `removed`: bucket. */
export type Acknowledged =
  | readonly ['put', string, number, string, string]
  | readonly ['delete', string, number, string]
  | readonly ['removed', string]

function tell(line: Acknowledged | readonly ['ready']): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Mostly small, some of several chunks, now and then none at all. */
function sizeOf(chance: Chance): number {
  const kind = chance.below(10)
  if (kind === 0) return 0
  if (kind < 7) return 1 + chance.below(20_000)
  return kind < 9 ? 60_000 + chance.below(200_000) : 1_000_000 + chance.below(1_500_000)
}

async function* bytesOf(chance: Chance, size: number): AsyncGenerator<Uint8Array, void> {
  const cipher = createCipheriv(
    'aes-128-ctr',
    createHash('md5')
      .update(String(chance.below(2 ** 31)))
      .digest(),
    Buffer.alloc(16),
  )
  for (let left = size; left > 0; left -= 500_000) yield cipher.update(Buffer.alloc(Math.min(left, 500_000)))
}

async function putOf(store: BlobStore, chance: Chance, key: string, expect: Expectation): Promise<ChangeInput> {
  const staged = await stageStream(store, bytesOf(chance, sizeOf(chance)))
  return { type: 'put', key, expect, ...staged, contentType: 'application/octet-stream', meta: { mode: '644' } }
}

function tellOutcome(outcome: Outcome | undefined): void {
  if (outcome?.ok !== true) return
  for (const { key, version, hash, deleted, entry } of outcome.blobs) {
    tell(deleted ? ['delete', key, version, entry] : ['put', key, version, hash, entry])
  }
}

const KEYS = 12

/** As a sync does: each change expects exactly what it replaces. Keys are shared with other writers, so some lose. */
async function writeVersions(store: BlobStore, chance: Chance): Promise<void> {
  for (;;) {
    const key = `shared/${chance.below(KEYS)}`
    const now = await store.head(key)
    const expect: Expectation =
      now === null ? 'absent' : { version: now.version, hash: now.deleted ? now.entry : now.hash }
    const remove = now !== null && !now.deleted && chance.below(5) === 0
    const change: ChangeInput = remove ? { type: 'delete', key, expect } : await putOf(store, chance, key, expect)
    tellOutcome((await store.commit([{ id: ids.next(), changes: [change] }]))[0])
  }
}

/** Many callers at once in one process, each with keys of its own. */
async function writeCrowd(store: BlobStore, chance: Chance): Promise<void> {
  const own = randomBytes(4).toString('hex')
  const one = async (caller: number): Promise<void> => {
    for (let n = 0; ; n++) {
      const change = await putOf(store, chance, `crowd/${own}/${caller}/${n % 5}`, 'any')
      tellOutcome((await store.commit([{ id: ids.next(), changes: [change] }]))[0])
    }
  }
  await Promise.all(Array.from({ length: 8 }, (_, caller) => one(caller)))
}

/** Entries of many changes, several in one call: all of an entry or nothing. */
async function writeBatches(store: BlobStore, chance: Chance): Promise<void> {
  for (;;) {
    const shared = await putOf(store, chance, 'x', 'any')
    const entries = Array.from({ length: 1 + chance.below(4) }, () => {
      const id = ids.next()
      return { id, changes: Array.from({ length: BATCH }, (_, i) => ({ ...shared, key: `batch/${id}/${i}` })) }
    })
    for (const outcome of await store.commit(entries)) tellOutcome(outcome)
  }
}

/** Buckets come and go, and their packs with them. */
async function makeBuckets(buckets: Buckets, chance: Chance): Promise<void> {
  for (;;) {
    const name = `gone-${randomBytes(4).toString('hex')}`
    await buckets.create(name)
    const store = await buckets.open(name)
    for (let n = 0; n < 1 + chance.below(4); n++) {
      await store.commit([{ id: ids.next(), changes: [await putOf(store, chance, `k${n}`, 'any')] }])
    }
    await store.close()
    await buckets.remove(name)
    tell(['removed', name])
  }
}

/** What an operator does when in doubt, again and again. Alone only: it refuses a store that others use. */
async function repairAgain(directory: string): Promise<void> {
  const places = openPlaces({ env: { HOME: directory }, clock, ids })
  for (;;)
    await repairStore({ data: directory, from: [], places, clock, ids, inspection: { pace: async () => undefined } })
}

async function main(directory: string, kind: Kind, chance: Chance): Promise<void> {
  tell(['ready'])
  if (kind === 'repair') return repairAgain(directory)
  const backend = await openLocal({ directory, clock, packBytes: 6_000_000 })
  const buckets = openBuckets({ backend, clock, ids })
  if (kind === 'buckets') return makeBuckets(buckets, chance)
  await buckets.create(BUCKET).catch((error: unknown) => {
    if (!isBlobsError(error, 'AlreadyExists')) throw error
  })
  const store = await buckets.open(BUCKET)
  if (kind === 'versions') await writeVersions(store, chance)
  if (kind === 'crowd') await writeCrowd(store, chance)
  if (kind === 'batches') await writeBatches(store, chance)
}

if (import.meta.main) {
  const [directory = '', kind = '', seed = '0'] = process.argv.slice(2)
  await main(directory, KINDS.find((known) => known === kind) ?? 'versions', chanceOf(Number(seed)))
}
