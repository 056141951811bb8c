import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { open, type Bucket } from '../../src/client.ts'
import { KEYS, startS3Double, type S3Double } from '../doubles/s3.ts'

describe('a bucket in an S3 service', () => {
  let s3: S3Double
  let home: string

  beforeEach(async () => {
    s3 = await startS3Double()
    home = mkdtempSync(join(tmpdir(), 'blobs-s3-requests-'))
  })
  afterEach(async () => {
    await s3.stop()
    rmSync(home, { recursive: true })
  })

  /** As a program on a machine of its own. */
  function openAs(machine: string, create = false): Promise<Bucket> {
    const at = join(home, machine)
    const env = { HOME: at, XDG_CACHE_HOME: at, XDG_STATE_HOME: at, XDG_CONFIG_HOME: at, XDG_DATA_HOME: at, ...KEYS }
    return open(`s3://bucket/team?endpoint=${encodeURIComponent(s3.url)}`, { create, env })
  }

  /** Methods of the requests that something took, as `PUT 2, GET 1`. */
  async function requestsOf(act: () => Promise<unknown>): Promise<Record<string, number>> {
    const before = s3.requests.length
    await act()
    const counts: Record<string, number> = {}
    for (const request of s3.requests.slice(before)) {
      const method = request.split(' ', 1)[0] ?? ''
      const kind = request.includes('list-type') ? 'LIST' : method
      counts[kind] = (counts[kind] ?? 0) + 1
    }
    return counts
  }

  it('takes two writes and four looks for a put by who has written before', async () => {
    await using bucket = await openAs('one', true)
    await bucket.put('a', 'first')
    for (const text of ['second', 'third']) {
      // Is it removed (twice), is what was before still there, was the log trimmed.
      expect(await requestsOf(() => bucket.put('a', text))).toEqual({ PUT: 2, HEAD: 3, LIST: 1 })
    }
    expect((await bucket.head('a'))?.version).toBe(3)
  })

  it('takes hardly more for the puts of many at once, and a write each for their bytes', async () => {
    await using bucket = await openAs('one', true)
    await bucket.put('a', 'first')
    const puts = (): Promise<unknown> =>
      Promise.all(Array.from({ length: 50 }, (_, index) => bucket.put(`many/${index}`, `text ${index}`)))
    const { PUT = 0, LIST = 0, GET = 0 } = await requestsOf(puts)
    expect(PUT).toBeLessThanOrEqual(50 + 8)
    expect(LIST + GET).toBeLessThanOrEqual(12)
  })

  it('refuses nothing by what is long past: another has deleted what was in the way', async () => {
    await using one = await openAs('one', true)
    await one.put('a', 'first')
    await using two = await openAs('two')
    await two.delete('a')
    expect(await one.put('a', 'again', { ifAbsent: true })).toMatchObject({ version: 3 })
    await two.put('b', 'from two')
    await expect(one.put('b', 'from one', { ifAbsent: true })).rejects.toMatchObject({ code: 'VersionConflict' })
    expect(await (await two.get('b'))?.text()).toBe('from two')
  })
})
