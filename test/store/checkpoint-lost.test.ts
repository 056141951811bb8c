import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { checkBucket } from '../../src/store/check.ts'
import type { Finding } from '../../src/store/contract/findings.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import type { BucketPorts } from '../../src/store/ports.ts'
import { present } from '../backends/conformance.ts'
import { collect, entry, put, putChange, remove, told } from './acts.ts'
import { fillBucket, openCountedPlace, type CountedPlace } from './counted.ts'

const PAGES = { least: 400, around: 400, most: 8000 }
const KEYS = 300

type LogStore = Awaited<ReturnType<typeof openLogStore>>

let place: CountedPlace
let views: string
let opened: LogStore[]
beforeEach(async () => {
  place = openCountedPlace()
  views = mkdtempSync(join(tmpdir(), 'blobs-views-'))
  opened = []
  await place.open().create('bucket')
})
afterEach(async () => {
  for (const store of opened) await store.close()
  rmSync(views, { recursive: true })
})

const portsOf = async (): Promise<BucketPorts> => present(await place.open().open('bucket'))

async function openStore(viewDirectory: string | null = null): Promise<LogStore> {
  const { promises } = place.open()
  const ports = await portsOf()
  const store = await openLogStore({ name: 'bucket', ports, viewDirectory, promises, clock, ids, pageSizes: PAGES })
  opened.push(store)
  return store
}

/** A bucket of some hundred keys with a checkpoint; gives the names of the objects that hold the pages. */
async function makeBucket(): Promise<readonly string[]> {
  const store = await openStore()
  const { log } = await portsOf()
  const append = (texts: readonly { readonly id: string; readonly text: object }[]) =>
    log.append(texts.map(({ id, text }) => ({ id, data: Buffer.from(JSON.stringify(text)) })))
  await fillBucket(append, KEYS / 2, 1)
  await fillBucket(append, KEYS / 2, 1)
  await store.info()
  const before = new Set(place.objects.keys())
  await store.checkpoint()
  return [...place.objects.keys()].filter((name) => name.includes('/content/') && !before.has(name))
}

const keysOf = async (store: LogStore): Promise<number> => (await store.list({ limit: 10_000 })).items.length

describe('a checkpoint', () => {
  it('whose pages are lost is not needed while the log is whole', async () => {
    const pages = await makeBucket()
    expect(pages.length).toBeGreaterThan(50)
    for (const name of pages) place.objects.delete(name)
    const store = await openStore()
    expect(await keysOf(store)).toBe(KEYS / 2)
    await put(store, 'more', 'text')
    expect(await keysOf(store)).toBe(KEYS / 2 + 1)
  })

  it('one of whose pages is damaged is left for the log, even in the middle of reading', async () => {
    const pages = await makeBucket()
    const store = await openStore()
    await store.info()
    for (const name of pages) place.objects.set(name, Buffer.from('damaged'))
    expect(await keysOf(store)).toBe(KEYS / 2)
    expect((await collect(store.changes({}))).length).toBe(KEYS + 1)
  })

  it('that is lost with the beginning of the log says so, and what to do', async () => {
    const pages = await makeBucket()
    const store = await openStore()
    await store.trim({ positions: 20, time: 0 })
    const fresh = await openStore()
    for (const name of pages) place.objects.delete(name)
    await expect(keysOf(fresh)).rejects.toMatchObject({ code: 'Corrupt', hint: expect.stringContaining('backup') })
    expect(await keysOf(store)).toBe(KEYS / 2)
  })

  it('of a log that went back in time is not used', async () => {
    const kept = new Map(place.objects)
    const store = await openStore()
    await put(store, 'old', 'text')
    for (const [name, bytes] of place.objects) if (!name.includes('/checkpoint/')) kept.set(name, bytes)
    await put(store, 'newer', 'text')
    await store.checkpoint()
    for (const name of place.objects.keys()) {
      if (name.includes('/log/') && !kept.has(name)) place.objects.delete(name)
    }
    const fresh = await openStore()
    expect((await fresh.list()).items.map(({ key }) => key)).toEqual(['old'])
  })
})

describe('a reader behind the floor of a trimmed log', () => {
  it('goes on from the checkpoint, also in the middle of a live feed', async () => {
    await makeBucket()
    const writer = await openStore()
    const sleeper = await openStore()
    const { log } = await portsOf()
    await sleeper.info()
    const stop = new AbortController()
    const feed = sleeper.changes({ since: (await sleeper.info()).head, live: true, signal: stop.signal })
    const items = feed[Symbol.asyncIterator]()
    expect((await items.next()).value).toMatchObject({ type: 'bookmark' })
    for (let n = 0; n < 30; n++) await writer.commit([entry(await putChange(writer, `later/${n}`, 'text'))])
    expect(await writer.trim({ positions: 3, time: 0 })).toBeGreaterThan(KEYS)
    expect(await present(log.trimming).floor()).toBeGreaterThan(KEYS)
    const found: string[] = []
    while (found.length < 30) {
      const item = (await items.next()).value
      if (item?.type === 'put') found.push(item.key)
    }
    expect(found).toEqual(Array.from({ length: 30 }, (_, n) => `later/${n}`))
    stop.abort()
    await put(sleeper, 'mine', 'text')
    expect(await keysOf(sleeper)).toBe(KEYS / 2 + 31)
    expect(await keysOf(await openStore())).toBe(KEYS / 2 + 31)
  })

  it('writes behind all others although its own place was trimmed away', async () => {
    const writer = await openStore()
    const sleeper = await openStore()
    await put(sleeper, 'a', '1')
    for (let n = 0; n < 10; n++) await put(writer, 'b', `${n}`)
    await writer.trim({ positions: 1, time: 0 })
    await put(sleeper, 'a', '2')
    await remove(sleeper, 'b')
    const items = await collect((await openStore()).changes({}))
    expect(items.slice(-3).map(told)).toEqual(['put a 2', 'delete b 11', 'bookmark'])
  })

  it('keeps what it read in a file for the next time', async () => {
    await makeBucket()
    const first = await openStore(views)
    await first.head('folder 7/some file 7.txt')
    await first.close()
    const reads = place.counts.reads
    const second = await openStore(views)
    expect(await second.head('folder 7/some file 7.txt')).not.toBeNull()
    expect(place.counts.reads - reads).toBeLessThan(12)
    expect(await keysOf(second)).toBe(KEYS / 2)
  })
})

describe('the check of a bucket', () => {
  const check = async () => {
    const findings: Finding[] = []
    const ports = await portsOf()
    const inspection = { report: (found: Finding) => void findings.push(found), pace: async () => undefined }
    const isDamaged = () => false
    const counted = await checkBucket({
      name: 'bucket',
      ports,
      viewDirectory: views,
      isDamaged,
      clock,
      ids,
      inspection,
    })
    return { findings, ...counted }
  }
  const makeTrimmed = async (): Promise<void> => {
    const store = await openStore(views)
    for (let n = 0; n < 20; n++) await put(store, `key ${n % 7}`, `text ${n}`)
    await store.trim({ positions: 5, time: 0 })
    await (await openStore(views)).head('key 1')
  }

  it('finds a trimmed log, and a view that lacks pages, in order', async () => {
    await makeTrimmed()
    expect(await check()).toEqual({ findings: [], entries: 0, versions: 20 })
    await put(await openStore(), 'more', 'text')
    expect(await check()).toMatchObject({ findings: [], entries: 1, versions: 21 })
    rmSync(views, { recursive: true })
    await put(await openStore(views), 'more', 'text 2')
    expect(await check()).toMatchObject({ findings: [], entries: 2, versions: 22 })
  })

  it('tells of a page that is lost', async () => {
    const before = new Set(place.objects.keys())
    await makeTrimmed()
    const { log } = await portsOf()
    const root = present(await present(log.trimming).checkpoint()).root
    for (const name of place.objects.keys()) if (!before.has(name) && name.endsWith(root)) place.objects.delete(name)
    const { findings } = await check().catch((error: unknown) => ({ findings: [error] }))
    expect(findings).toMatchObject([{ code: expect.stringMatching(/^(log|Corrupt)$/) }])
  })
})
