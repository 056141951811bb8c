import { openLocal } from '../../src/backends/local/local.ts'
import { sha256, type Hash } from '../../src/content/hash.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import type { EntryInput } from '../../src/store/contract/types.ts'
import { stageStream } from '../../src/store/contract/upload.ts'
import { chanceOf, type Chance } from './chance.ts'
import type { Coverage } from './coverage.ts'
import { openLife, stamp, type Life } from './life.ts'
import { openScheduler, type Scheduler } from './scheduler.ts'
import { DATA, openServerDisk, type ServerDisk } from './server-disk.ts'

/** A store that does not keep what it promised. */
class Broken extends Error {}

interface Scene {
  readonly chance: Chance
  readonly scheduler: Scheduler
  readonly coverage: Coverage
  readonly disk: ServerDisk
  readonly ids: { next(): string }
  /** Every entry that was ever tried. */
  readonly tried: Map<string, { readonly entry: EntryInput; readonly hash: Hash }>
  /** Those that were acknowledged, with the version they made. */
  readonly done: Map<string, number>
}

const KEYS = ['a', 'b', 'c', 'folder/d']

/**
 * Processes write to one embedded store on a disk, at the same time; they die, with the power or without, their calls fail, the disk is
 * full. Then another one opens it: all that was acknowledged must be there, whole, and nothing that nobody wrote.
 */
export async function runStore(seed: number, coverage: Coverage): Promise<string> {
  const chance = chanceOf(seed ^ 0x570e)
  const scheduler = openScheduler(chance)
  const digits = (): string => chance.below(0x1_0000_0000).toString(16).padStart(8, '0')
  const ids = { next: () => digits() + digits() + digits() + digits() }
  const disk = openServerDisk(() => stamp(scheduler, 0))
  const scene: Scene = { chance, scheduler, coverage, disk, ids, tried: new Map(), done: new Map() }
  for (let round = 0, rounds = 2 + chance.below(4); round < rounds; round++) await act(scene)
  return check(scene)
}

/** Some processes at once, until all of them are dead or have closed the store. */
async function act(scene: Scene): Promise<void> {
  const { chance, scheduler, coverage, disk } = scene
  const lives = Array.from({ length: chance.often(0.4) ? 2 : 1 }, () =>
    openLife({ ...scene, skew: () => 0, whose: 'store: ' }),
  )
  if (chance.often(0.15)) disk.setRoom(chance.below(400_000))
  for (const life of lives) {
    if (chance.often(0.7))
      life.arm(1 + chance.below(80), 'writes', { type: 'kill', done: chance.often(0.5), power: false })
    for (let n = chance.below(3); n > 0; n--) life.arm(1 + chance.below(80), 'effects', { type: 'error' })
  }
  await scheduler.finish(Promise.all(lives.map((life) => Promise.race([work(scene, life), life.death]))))
  disk.setRoom(Number.POSITIVE_INFINITY)
  const power = chance.often(0.5)
  for (const life of lives) life.kill(power)
  if (disk.cut(power, chance) > 0) coverage.count('store: unsynced writes vanished')
}

async function work(scene: Scene, life: Life): Promise<void> {
  const { chance } = scene
  const [store, close] = (await openStore(scene, life).catch(expected)) ?? [null, null]
  if (store === null) return
  const writers = Array.from({ length: 1 + chance.below(4) }, async () => {
    for (let n = 1 + chance.below(5); n > 0; n--) await write(scene, store).catch(expected)
  })
  await Promise.all(writers)
  if (chance.often(0.5)) await close().catch(expected)
}

async function openStore(scene: Scene, life: Life): Promise<[BlobStore, () => Promise<void>]> {
  const disk = scene.disk.of(life)
  const packBytes = scene.chance.pick([100_000, 300_000, 10_000_000])
  const backend = await openLocal({ directory: DATA, clock: life.clock, disk, trust: 'thorough', packBytes })
  const buckets = openBuckets({ backend, clock: life.clock, ids: scene.ids, disk })
  await buckets.create('team').catch((error: unknown) => {
    if (!isBlobsError(error, 'AlreadyExists')) throw error
  })
  return [await buckets.open('team'), () => buckets.close()]
}

async function write({ chance, ids, tried, done }: Scene, store: BlobStore): Promise<void> {
  const bytes = someBytes(chance)
  const staged = await stageStream(store, pieces(bytes))
  const put = {
    type: 'put',
    key: chance.pick(KEYS),
    expect: 'any',
    contentType: 'text/plain',
    meta: {},
    ...staged,
  } as const
  const entry: EntryInput = { id: ids.next(), changes: [put] }
  tried.set(entry.id, { entry, hash: staged.hash })
  const [outcome] = await store.commit([entry])
  if (outcome?.ok !== true) throw new Broken(`an entry without an expectation is refused: ${JSON.stringify(outcome)}`)
  done.set(entry.id, outcome.blobs[0]?.version ?? 0)
}

function someBytes(chance: Chance): Uint8Array {
  const bytes = Buffer.alloc(chance.pick([0, 10, 10, 2000, 66_000, 70_000, 70_000, 200_000]) + chance.below(100))
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeUInt32BE(chance.below(0x1_0000_0000), at)
  return bytes
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

/** What a caller may be told while faults come; it knows nothing then. Null. */
function expected(error: unknown): null {
  if (error instanceof Broken || isBlobsError(error, 'Corrupt')) throw error
  if (isBlobsError(error) || (error instanceof Error && error.message.includes('(injected)'))) return null
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || (error as Error).message.includes('is dead')) return null
  throw error
}

async function check(scene: Scene): Promise<string> {
  const { scheduler, tried, done } = scene
  const life = openLife({ ...scene, skew: () => 0 })
  const [store] = await scheduler.finish(openStore(scene, life))
  // Whoever does not know asks again, and learns what became of it; it happens once.
  for (const [id, { entry }] of tried) {
    if (done.has(id)) continue
    const outcomes = await scheduler.finish(store.commit([entry]).catch(unlessNotStaged))
    if (outcomes !== null) done.set(id, outcomes[0]?.ok === true ? (outcomes[0].blobs[0]?.version ?? 0) : -1)
  }
  const { items } = await scheduler.finish(store.list({ versions: true, limit: 10_000 }))
  const found = new Map(items.map((item) => [item.entry, item]))
  if (found.size !== items.length) throw new Broken('one entry made two versions')
  for (const [id, version] of done) {
    if (found.get(id)?.version !== version)
      throw new Broken(`entry ${id} was acknowledged as ${version}, and is not there`)
  }
  for (const { key, version, hash, entry } of items) {
    if (tried.get(entry)?.hash !== hash) throw new Broken(`nobody wrote version ${version} of ${key}`)
    const blob = await scheduler.finish(store.get(key, { version }))
    const parts: Uint8Array[] = []
    await scheduler.finish(collect(blob?.stream ?? [], parts))
    if (sha256(Buffer.concat(parts)) !== hash) throw new Broken(`version ${version} of ${key} has other bytes`)
  }
  return sha256(Buffer.from(JSON.stringify([items, scheduler.elapsed()])))
}

async function collect(stream: AsyncIterable<Uint8Array> | readonly Uint8Array[], into: Uint8Array[]): Promise<void> {
  for await (const piece of stream) into.push(piece)
}

/** Its chunks may not have come to be durable: then it is to be sent anew. */
function unlessNotStaged(error: unknown): null {
  if (isBlobsError(error, 'InvalidRequest')) return null
  throw error
}
