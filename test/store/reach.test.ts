import { describe, expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock, systemIds as ids } from '../../src/platform/system.ts'
import type { BlobStore, Reached } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import type { Cursor } from '../../src/store/contract/types.ts'
import type { Clock } from '../../src/platform/ports.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import { openReach } from '../../src/store/reach.ts'
import type { Backend, BucketPorts } from '../../src/store/ports.ts'
import { collect, put } from './acts.ts'

/** One log and two readers of it, of which the second reads it as the test says. */
interface Two {
  readonly writer: BlobStore
  readonly reader: BlobStore
  readonly clock: Clock
  /** What the second one finds when it looks: all, what there was when this was set, an error, or never an answer. */
  log: 'whole' | 'frozen' | 'broken' | 'silent'
}

/** Time that passes fifty times as fast as it does. */
function quickClock(): Clock {
  return {
    now: () => systemClock.now(),
    elapsed: () => systemClock.elapsed() * 50,
    sleep: (milliseconds, signal) => systemClock.sleep(milliseconds / 50, signal),
  }
}

async function openTwo({ mayLag = true } = {}): Promise<Two> {
  const [backend, clock] = [openMemory(), quickClock()]
  await backend.create('team')
  const open = async (ports: BucketPorts): Promise<BlobStore> => {
    const promises = { ...backend.promises, ...(mayLag ? { mayLag: true as const } : {}) }
    return openLogStore({ name: 'team', ports, viewDirectory: null, promises, clock, ids })
  }
  let frozenAt = Number.POSITIVE_INFINITY
  let log: Two['log'] = 'whole'
  const ports = await portsOf(backend)
  const writer = await open(await portsOf(backend))
  const reader = await open({
    ...ports,
    log: {
      ...ports.log,
      read: async function* (options) {
        if (log === 'broken') throw new BlobsError('Unavailable', 'no majority')
        if (log === 'silent') await new Promise(() => undefined)
        for await (const batch of ports.log.read(options)) {
          const seen = log === 'frozen' ? batch.filter(({ position }) => position <= frozenAt) : batch
          if (seen.length > 0) yield seen
        }
      },
    },
  })
  return {
    writer,
    reader,
    clock,
    get log() {
      return log
    },
    set log(how) {
      log = how
      frozenAt = positionOf(headOf)
    },
  }
}

let headOf: Cursor = '::'
const positionOf = (cursor: Cursor): number => Number(cursor.split(':')[1])

async function portsOf(backend: Backend): Promise<BucketPorts> {
  const ports = await backend.open('team')
  if (ports === null) throw new Error('no bucket')
  return ports
}

async function write(store: BlobStore, key: string): Promise<Cursor> {
  headOf = (await put(store, key, key)).position
  return headOf
}

function reach(store: BlobStore, seen: readonly Cursor[], mayBeStale = true): Promise<Reached> {
  if (store.reach === undefined) throw new Error('it cannot reach')
  return store.reach({ seen, within: 2000, mayBeStale })
}

describe('a reader that is asked for what its caller has seen', () => {
  it('knows all that is in the log, and says how far that is', async () => {
    const { writer, reader } = await openTwo()
    const cursor = await write(writer, 'a')
    const { known, head, stale } = await reach(reader, [cursor])
    expect({ head, stale }).toEqual({ head: cursor, stale: null })
    expect(await known.head('a')).toMatchObject({ version: 1 })
  })

  it('waits a little for what has not come, then says that it may be tried again', async () => {
    const two = await openTwo()
    await write(two.writer, 'a')
    await reach(two.reader, [])
    two.log = 'frozen'
    const cursor = await write(two.writer, 'b')
    const before = two.clock.elapsed()
    await expect(reach(two.reader, [cursor])).rejects.toMatchObject({ code: 'Unavailable', retryAfter: 500 })
    expect(two.clock.elapsed() - before).toBeGreaterThanOrEqual(2000)
    two.log = 'whole'
    expect(await (await reach(two.reader, [cursor])).known.head('b')).toMatchObject({ version: 1 })
  })

  it('takes for gone what does not come however often it is asked for: the log went back in time', async () => {
    const two = await openTwo()
    await write(two.writer, 'a')
    two.log = 'frozen'
    const before = await write(two.writer, 'b')
    const tries: unknown[] = []
    while (tries.length < 20) {
      const answer = await reach(two.reader, [before]).catch((error: unknown) => error)
      tries.push(answer)
      if (!(answer instanceof Error)) break
      await two.clock.sleep(500)
    }
    expect(tries.at(-1)).toMatchObject({ stale: null })
    expect(tries.length).toBeGreaterThan(5)
    // Another one is waited for again.
    const other = await write(two.writer, 'c')
    await expect(reach(two.reader, [other])).rejects.toMatchObject({ code: 'Unavailable' })
  })

  it('does not wait where a log never lags, nor for another history', async () => {
    const strict = await openTwo({ mayLag: false })
    await write(strict.writer, 'a')
    strict.log = 'frozen'
    const cursor = await write(strict.writer, 'b')
    expect((await reach(strict.reader, [cursor])).stale).toBeNull()
    const two = await openTwo()
    await write(two.writer, 'a')
    expect((await reach(two.reader, [`${ids.next()}:99:${ids.next()}`])).stale).toBeNull()
  })
})

describe('a reader whose log cannot be read', () => {
  it.each(['broken', 'silent'] as const)('tells what it knows, and since when, if that will do (%s)', async (how) => {
    const two = await openTwo()
    const cursor = await write(two.writer, 'a')
    await reach(two.reader, [])
    await two.clock.sleep(7000)
    two.log = how
    const { known, head, stale } = await reach(two.reader, [cursor])
    expect(head).toBe(cursor)
    expect(stale?.age).toBeGreaterThanOrEqual(7000)
    expect(stale?.why).toMatchObject({ code: 'Unavailable' })
    expect(await known.head('a')).toMatchObject({ version: 1 })
    expect((await known.list()).items).toHaveLength(1)
    expect(await collect(known.changes({ since: cursor }))).toEqual([{ type: 'bookmark', cursor }])
  })

  it('fails where nothing stale will do, and where the caller has seen more', async () => {
    const two = await openTwo()
    await write(two.writer, 'a')
    await reach(two.reader, [])
    const cursor = await write(two.writer, 'b')
    two.log = 'broken'
    await expect(reach(two.reader, [], false)).rejects.toThrow('no majority')
    await expect(reach(two.reader, [cursor])).rejects.toThrow('no majority')
    expect((await reach(two.reader, [])).stale).not.toBeNull()
  })

  it('fails where nothing was known yet', async () => {
    const two = await openTwo()
    await write(two.writer, 'a')
    two.log = 'broken'
    await expect(reach(two.reader, [])).rejects.toThrow('no majority')
  })

  it('is waited for by the first who asks, not by each', async () => {
    const clock = quickClock()
    let answers = true
    const look = async (): Promise<string> => (answers ? 'e:1:x' : new Promise(() => undefined))
    const follower = { read: look, peek: async () => 'e:1:x' } as unknown as Parameters<typeof openReach>[0]['follower']
    const ask = openReach({ follower, clock, mayLag: true })
    await ask({ seen: [], within: 2000, mayBeStale: true })
    answers = false
    const waits: number[] = []
    for (let count = 0; count < 3; count++) {
      const before = clock.elapsed()
      expect((await ask({ seen: [], within: 2000, mayBeStale: true })).stale).not.toBeNull()
      waits.push(clock.elapsed() - before)
    }
    expect(waits[0]).toBeGreaterThan(1900)
    expect(Math.min(...waits.slice(1))).toBeLessThan(1500)
  })
})
