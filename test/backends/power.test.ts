import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { openStoreFile } from '../../src/backends/local/store-file.ts'
import { sha256 } from '../../src/content/hash.ts'
import { systemClock } from '../../src/platform/system.ts'
import type { Backend } from '../../src/store/ports.ts'
import { chanceOf } from '../simulation/chance.ts'
import { Killed, stamp, type Life } from '../simulation/life.ts'
import { openScheduler } from '../simulation/scheduler.ts'
import { DATA, openServerDisk } from '../simulation/server-disk.ts'
import { chunk, livesOn, worst } from './power-cut.ts'

/** So small that every other large chunk begins a new pack. */
const PACK_BYTES = 150_000

const LARGE = [1, 2, 3].map((seed) => chunk(seed, 100_000))
const SMALL = [4, 5].map((seed) => chunk(seed, 100))

interface Acknowledged {
  bucket: boolean
  readonly chunks: string[]
  readonly entries: string[]
}

/** Some of everything; what was acknowledged is told as soon as it is. */
async function work(backend: Backend, told: Acknowledged): Promise<void> {
  await backend.create('team')
  told.bucket = true
  const ports = await backend.open('team')
  if (ports === null) throw new Error('the bucket is gone')
  for (const [turn, large] of LARGE.entries()) {
    const chunks = [large, ...SMALL.slice(turn, turn + 1)]
    await ports.content.put(chunks)
    told.chunks.push(...chunks.map(({ hash }) => hash))
    const id = String(turn).repeat(32)
    await ports.log.append([{ id, data: Buffer.from(`entry ${turn}`) }])
    told.entries.push(id)
  }
}

async function missing(backend: Backend, told: Acknowledged): Promise<readonly string[]> {
  const ports = await backend.open('team')
  if (ports === null) return told.bucket ? ['the bucket'] : []
  const bytes = await ports.content.get(told.chunks)
  const chunks = told.chunks.filter((hash, index) => sha256(bytes[index] ?? Buffer.from('')) !== hash)
  const found: string[] = []
  for await (const batch of ports.log.read({ after: 0 })) found.push(...batch.map(({ id }) => id))
  const entries = told.entries.filter((id, index) => found[index] !== id)
  return [...chunks.map((hash) => `chunk ${hash}`), ...entries.map((id) => `entry ${id}`)]
}

/** What is gone although it was acknowledged; null: the work was done before the power went. */
async function powerGoesAt(at: number, done: boolean): Promise<readonly string[] | null> {
  const scheduler = openScheduler(chanceOf(at))
  const disk = openServerDisk(() => stamp(scheduler, 0))
  const open = (life: Life): Promise<Backend> =>
    openLocal({ directory: DATA, clock: life.clock, disk: disk.of(life), trust: 'thorough', packBytes: PACK_BYTES })
  const told: Acknowledged = { bucket: false, chunks: [], entries: [] }
  const first = livesOn(scheduler)
  first.arm(at, 'effects', { type: 'kill', done, power: true })
  const all = (async () => work(await open(first), told))()
  const ended = Promise.race([all, first.death]).catch((error: unknown) => {
    if (!(error instanceof Killed)) throw error
  })
  all.catch(() => undefined)
  await scheduler.finish(ended)
  const finished = first.alive()
  first.kill(true)
  disk.cut(true, worst())
  const second = livesOn(scheduler)
  const gone = await scheduler.finish((async () => missing(await open(second), told))())
  return finished && gone.length === 0 ? null : gone
}

test.each([
  ['before', false],
  ['after', true],
] as const)(
  'the power goes %s any effect, and nothing that was not synced survives: all that was acknowledged is there',
  { timeout: 120_000 },
  async (_when, done) => {
    let at = 1
    for (; ; at++) {
      const gone = await powerGoesAt(at, done)
      if (gone === null) break
      expect(gone, `at effect ${at}`).toEqual([])
    }
    expect(at).toBeGreaterThan(40)
  },
)

// Below its transactions SQLite is not simulated.
test('SQLite syncs every commit to the disk', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'blobs-power-'))
  const store = await openStoreFile({ directory, clock: systemClock })
  try {
    expect(store.db.get('PRAGMA synchronous')).toEqual({ synchronous: 2 })
    expect(store.db.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' })
  } finally {
    store.close()
    await rm(directory, { recursive: true })
  }
})
