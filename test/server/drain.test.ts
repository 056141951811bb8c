import { afterEach, describe, expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { Buckets } from '../../src/store/contract/blob-store.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import { lacksNginx, startNginx } from '../../scripts/nginx.ts'
import { put } from '../store/acts.ts'
import { ask, type Running, running } from './running.ts'

const lacks = lacksNginx()
if (lacks !== null && process.env['CI'] !== undefined) throw new Error(`nginx cannot be tested: ${lacks}`)

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function front(buckets: Buckets, drain: number): Promise<Running> {
  const server = await running({ buckets, drain })
  ends.push(() => server.server.close())
  return server
}

async function place(): Promise<Buckets> {
  const buckets = openBuckets({ backend: openMemory(), clock, ids })
  await buckets.create('team')
  ends.push(() => buckets.close())
  return buckets
}

describe('a server that is told to stop, and given time for it', () => {
  it('turns /ready off at once, and serves on, each time for the last time on its connection', async () => {
    const at = await front(await place(), 600)
    const token = await at.token({})
    expect((await ask(at.url, '/ready')).status).toBe(200)
    const started = performance.now()
    const closed = at.server.close()
    expect((await ask(at.url, '/ready')).status).toBe(503)
    const written = await ask(at.url, '/v1/buckets/team/blobs/a', { method: 'PUT', token, body: 'x' })
    expect([written.status, written.headers.connection]).toEqual([201, 'close'])
    await closed
    expect(performance.now() - started).toBeGreaterThan(550)
    await expect(ask(at.url, '/live')).rejects.toThrow('ECONNREFUSED')
  })

  it.skipIf(lacks !== null)(
    `no request through nginx fails, reads and writes alike, while the servers are replaced one by one (${lacks ?? 'run'})`,
    async () => {
      const buckets = await place()
      const fronts = await Promise.all([front(buckets, 500), front(buckets, 500), front(buckets, 500)])
      const nginx = await startNginx(fronts.map(({ url }) => new URL(url).host))
      ends.push(nginx.stop)
      const stop = new AbortController()
      const failures: unknown[] = []
      let done = 0
      const work = async (name: number): Promise<void> => {
        // Nothing is tried again here: what nginx answers is what counts.
        const through = await openHttpBuckets({ origin: nginx.url, token: await fronts[0].token({}) })
        const store = await through.open('team')
        for (let count = 0; !stop.signal.aborted; count++) {
          try {
            await put(store, `${name}`, `${count}`)
            await store.head(`${name}`)
            done += 1
          } catch (error) {
            failures.push(error)
          }
        }
        await through.close()
      }
      const working = Array.from({ length: 8 }, (_, name) => work(name))
      const [first, second] = fronts
      for (const one of [first, second]) {
        const port = Number(new URL(one.url).port)
        await clock.sleep(300)
        await one.server.close()
        // Its successor takes its place.
        const next = await running({ buckets, port })
        ends.push(() => next.server.close())
      }
      await clock.sleep(300)
      stop.abort()
      await Promise.all(working)
      expect(failures).toEqual([])
      expect(done).toBeGreaterThan(10)
    },
    30_000,
  )
})
