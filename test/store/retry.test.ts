import { describe, expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { sha256 } from '../../src/content/hash.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import { faulty, type Call, type Fault } from '../../src/store/faulty.ts'
import { retrying, type RetryOptions } from '../../src/store/retry.ts'
import { bytesOf, collect, commit, entry, put, putChange, told } from './acts.ts'
import { fastClock } from './clocks.ts'
import { noise } from './noise.ts'

const down = (retryAfter?: number): BlobsError =>
  new BlobsError('Unavailable', 'down', retryAfter === undefined ? {} : { retryAfter })

async function openStore(): Promise<BlobStore> {
  const buckets = openBuckets({ backend: openMemory(), clock, ids })
  await buckets.create('bucket')
  return buckets.open('bucket')
}

/** Faults for the first calls of a method. */
function first(method: Call['method'], ...faults: readonly Fault[]): (call: Call) => Fault | null {
  return (call) => (call.method === method ? (faults[call.count - 1] ?? null) : null)
}

async function failing(plan: (call: Call) => Fault | null, options: Partial<RetryOptions> = {}) {
  const inner = await openStore()
  const time = fastClock()
  return { inner, time, store: retrying(faulty(inner, plan), { clock: time, chance: () => 0.5, ...options }) }
}

describe('a call that fails for a while', () => {
  it('is repeated with longer and longer pauses, spread by chance', async () => {
    const faults = Array.from({ length: 5 }, (): Fault => ({ type: 'before' }))
    const { store, time } = await failing(first('head', ...faults))
    expect(await store.head('k')).toBeNull()
    expect(time.slept).toEqual([150, 300, 600, 1200, 2400])
    const other = await failing(first('head', ...faults.slice(0, 2)), { chance: () => 0 })
    await other.store.head('k')
    expect(other.time.slept).toEqual([100, 200])
  })

  it('waits as long as the other side asks', async () => {
    const { store, time } = await failing(first('info', { type: 'before', error: down(7000) }))
    await store.info()
    expect(time.slept).toEqual([7000])
  })

  it('tells of each repeat', async () => {
    const told: [string, number][] = []
    const onRetry = (error: BlobsError, pause: number): void => void told.push([error.message, pause])
    const { store } = await failing(first('info', { type: 'before', error: down() }), { onRetry })
    await store.info()
    expect(told).toEqual([['down', 150]])
  })

  it('is given up with its last error', async () => {
    const { store, time } = await failing(() => ({ type: 'before', error: down() }), { attempts: 3 })
    await expect(store.list()).rejects.toThrow('down')
    expect(time.slept).toHaveLength(2)
  })

  it('is not repeated for any other reason', async () => {
    const error = new BlobsError('Forbidden', 'no')
    const { store, time } = await failing(first('commit', { type: 'before', error }))
    await expect(commit(store, entry(await putChange(store, 'k', '1')))).rejects.toBe(error)
    expect(time.slept).toEqual([])
  })

  it('commits once, though the answer was lost', async () => {
    const { store } = await failing(first('commit', { type: 'after' }, { type: 'after' }))
    const outcome = await commit(store, entry(await putChange(store, 'k', '1', { expect: 'absent' })))
    expect(outcome).toMatchObject({ ok: true, blobs: [{ version: 1 }] })
    expect((await collect(store.changes({}))).map(told)).toEqual(['put k 1', 'bookmark'])
  })

  it('takes a listing cut short for what it is', async () => {
    const { store } = await failing(first('list', { type: 'truncate', items: 0 }))
    await put(store, 'k', '1')
    expect((await store.list()).items).toHaveLength(1)
  })
})

describe('a stream that breaks off', () => {
  it('goes on at the byte where it stopped', async () => {
    const cut: Fault = { type: 'cut', items: 2 }
    const { store, inner } = await failing(first('get', cut, cut, cut))
    const bytes = noise(6 * 1024 * 1024)
    await put(inner, 'large', bytes)
    expect((await bytesOf(store, 'large'))?.equals(bytes)).toBe(true)
    const range = [100_000, 5_000_000] as const
    expect((await bytesOf(store, 'large', { range }))?.equals(bytes.subarray(100_000, 5_000_001))).toBe(true)
  })

  it('is given up only after so many failures without progress', async () => {
    const { store, inner } = await failing(({ method }) => (method === 'get' ? { type: 'cut', items: 1 } : null), {
      attempts: 2,
    })
    const bytes = noise(3 * 1024 * 1024)
    await put(inner, 'large', bytes)
    expect((await bytesOf(store, 'large'))?.equals(bytes)).toBe(true)
    const stuck = await failing(({ method }) => (method === 'get' ? { type: 'cut', items: 0 } : null), { attempts: 4 })
    await put(stuck.inner, 'large', bytes)
    await expect(bytesOf(stuck.store, 'large')).rejects.toMatchObject({ code: 'Unavailable' })
    expect(stuck.time.slept).toHaveLength(3)
  })

  it('never hands out the end of what does not add up to its hash', async () => {
    const inner = await openStore()
    const bytes = noise(2 * 1024 * 1024)
    const info = await put(inner, 'large', bytes)
    const liar: BlobStore = {
      ...inner,
      get: async (key, options) => {
        const blob = await inner.get(key, options)
        const wrong = async function* (): AsyncGenerator<Uint8Array, void> {
          yield Buffer.alloc(1_000_000)
          yield bytes.subarray(1_000_000)
        }
        return blob === null ? null : { ...blob, stream: wrong() }
      },
    }
    const store = retrying(liar, { clock: fastClock(), chance: () => 0 })
    let received = 0
    const reading = async (): Promise<void> => {
      for await (const piece of (await store.get('large'))?.stream ?? []) received += piece.length
    }
    await expect(reading()).rejects.toMatchObject({ code: 'Corrupt', key: 'large' })
    expect(received).toBeLessThan(info.size)
  })

  it('tells each change once and in order, also in the middle of an entry', async () => {
    for (let items = 0; items < 8; items++) {
      const cut: Fault = { type: 'cut', items }
      const { store, inner } = await failing(first('changes', cut, { type: 'cut', items: items % 3 }, cut))
      for (let round = 0; round < 3; round++) {
        const changes = await Promise.all(['a', 'b', 'c'].map((key) => putChange(inner, key, `${round}`)))
        await commit(inner, entry(...changes))
      }
      const all = (await collect(store.changes({}))).map(told)
      expect(all).toEqual(
        [1, 2, 3].flatMap((version) => ['a', 'b', 'c'].map((key) => `put ${key} ${version}`)).concat('bookmark'),
      )
    }
  })

  it('goes on live after the connection was lost, and ends when it is aborted', async () => {
    const { store, inner } = await failing(first('changes', { type: 'cut', items: 1 }))
    const stop = new AbortController()
    const seen: string[] = []
    const reading = (async () => {
      for await (const item of store.changes({ live: true, signal: stop.signal })) {
        seen.push(told(item))
        if (seen.at(-1) === 'put k 2') stop.abort()
      }
    })()
    await put(inner, 'k', '1')
    await put(inner, 'k', '2')
    await reading
    expect(seen.filter((item) => item !== 'bookmark')).toEqual(['put k 1', 'put k 2'])
  })

  it('fetches what is left, and names the rest of the chunks', async () => {
    const { store, inner } = await failing(({ method, count }) =>
      ['fetch', 'chunksOf'].includes(method) && count < 4 ? { type: 'cut', items: 1 } : null,
    )
    const wants = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((key) => put(inner, key, key)))
    const fetched = await collect(store.fetch(wants.map(({ key, version }) => ({ key, version }))))
    expect(fetched.map((one) => Buffer.from(one.bytes).toString()).sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
    const info = await put(inner, 'large', noise(3_000_000))
    const refs = (await collect((await store.chunksOf('large', 1)) ?? none())).flat()
    expect(refs.reduce((sum, ref) => sum + ref.size, 0)).toBe(info.size)
    expect(info.hash).toBe(sha256(noise(3_000_000)))
  })
})

async function* none(): AsyncGenerator<never, void> {}
