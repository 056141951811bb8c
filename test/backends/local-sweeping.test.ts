import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import type { Clock } from '../../src/platform/ports.ts'
import { systemClock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { Buckets } from '../../src/store/contract/blob-store.ts'
import { bytesOf, commit, deleteChange, entry, putChange } from '../store/acts.ts'
import { noise } from '../store/noise.ts'
import { examine } from './sample-store.ts'

const HOUR = 3_600_000
const SIZE = 150_000
/** The past, in which the garbage is made that is old now. */
const past: Clock = { ...systemClock, now: () => Date.now() - 48 * HOUR }

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'blobs-sweep-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

async function open(clock: Clock): Promise<Buckets> {
  return openBuckets({ backend: await openLocal({ directory, clock, packBytes: 1024 * 1024 }), clock, ids })
}

/** Puts blobs of one chunk each, half of them to be deleted at once; of those nothing is kept. */
async function fill(keys: number, round = 0): Promise<void> {
  const buckets = await open(past)
  if (round === 0) await buckets.create('one', { keepVersions: 1 })
  const store = await buckets.open('one')
  const all = Array.from({ length: keys }, (_, index) => index)
  const puts = await Promise.all(
    all.map((index) => putChange(store, nameOf(index, round), noise(SIZE, seedOf(index, round)))),
  )
  await commit(store, entry(...puts))
  await commit(
    store,
    entry(...all.filter((index) => index % 2 === 1).map((index) => deleteChange(nameOf(index, round)))),
  )
  await store.close()
  await buckets.close()
}
const nameOf = (index: number, round: number): string => `${round}/${String(index).padStart(3, '0')}`
const seedOf = (index: number, round: number): number => round * 1000 + index + 1

async function expectAll(buckets: Buckets, keys: number, rounds: number): Promise<void> {
  const store = await buckets.open('one')
  for (let round = 0; round < rounds; round++) {
    for (let index = 0; index < keys; index += 2) {
      const bytes = await bytesOf(store, nameOf(index, round))
      expect(bytes?.equals(noise(SIZE, seedOf(index, round)))).toBe(true)
    }
  }
  await store.close()
}

function packBytes(): number {
  const packs = readdirSync(join(directory, 'packs')).filter((name) => name.endsWith('.pack'))
  return packs.reduce((sum, name) => sum + statSync(join(directory, 'packs', name)).size, 0)
}

test('the room of what is collected is given back, while others read and write', async () => {
  await fill(40)
  const before = packBytes()
  const [reader, collector] = [await open(systemClock), await open(systemClock)]
  const store = await reader.open('one')
  const ended = new AbortController()
  const reading = (async () => {
    for (let turn = 0; !ended.signal.aborted; turn++) {
      const index = (turn * 2) % 40
      expect((await bytesOf(store, nameOf(index, 0)))?.length).toBe(SIZE)
      if (turn % 8 === 0)
        await commit(store, entry(await putChange(store, `new/${turn % 16}`, noise(90_000, turn + 500))))
    }
  })()
  const collected = await collector.collect?.('one', { grace: HOUR })
  ended.abort()
  await reading
  expect(collected).toMatchObject({ dropped: 20, removed: { bytes: 20 * SIZE } })
  await store.close()
  await reader.close()
  await expectAll(collector, 40, 1)
  await collector.close()
  const added = 2 * 1024 * 1024
  expect(packBytes()).toBeLessThan(before / 2 + added)
  expect((await examine(directory)).findings).toEqual([])
})

test('who is killed while he collects leaves a store that is whole, and the next one ends it', async () => {
  const keys = 16
  const rounds = 5
  for (let round = 0; round < rounds; round++) {
    await fill(keys, round)
    const child = spawn(process.execPath, [fileURLToPath(new URL('local-collector.ts', import.meta.url)), directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    await systemClock.sleep((round * 40) / rounds)
    child.kill('SIGKILL')
    await once(child, 'close')
    const buckets = await open(systemClock)
    await expectAll(buckets, keys, round + 1)
    await buckets.close()
    const { findings } = await examine(directory)
    expect(findings.filter(({ severity }) => severity === 'damage')).toEqual([])
  }
  const buckets = await open(systemClock)
  await buckets.collect?.('one', { grace: HOUR })
  await expectAll(buckets, keys, rounds)
  await buckets.close()
  expect(packBytes()).toBeLessThan(((keys * rounds) / 2) * SIZE * 1.4)
}, 30_000)

test('a store of format 1 is raised by the first to open it, and spares what is there for the grace', async () => {
  await fill(4)
  const db = new DatabaseSync(join(directory, 'store.db'))
  db.exec('DROP TABLE ages; PRAGMA user_version = 1')
  db.close()
  expect((await examine(directory)).findings).toEqual([])
  const buckets = await open(systemClock)
  expect(await buckets.collect?.('one', { grace: HOUR })).toMatchObject({
    dropped: 2,
    removed: { chunks: 0 },
    waiting: { bytes: 2 * SIZE },
  })
  await expectAll(buckets, 4, 1)
  await buckets.close()
})
