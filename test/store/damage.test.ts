import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sha256, type Hash } from '../../src/content/hash.ts'
import type { Clock } from '../../src/platform/ports.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openDatabase } from '../../src/platform/sqlite.ts'
import type { BlobStore, StageOptions } from '../../src/store/contract/blob-store.ts'
import type { Chunk, PutChange } from '../../src/store/contract/types.ts'
import { stageStream } from '../../src/store/contract/upload.ts'
import { encodeEntry } from '../../src/store/entry.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import { retrying } from '../../src/store/retry.ts'
import type { BucketPorts, Placed, RawEntry } from '../../src/store/ports.ts'
import { bytesOf, collect, commit, deleteChange, entry, newId, once, put, putChange, textOf, told } from './acts.ts'
import { noise } from './noise.ts'

/** A log and content that a test may spoil. */
interface Medium {
  readonly entries: Placed[]
  readonly chunks: Map<Hash, Uint8Array>
  /** Hashes that were read. */
  readonly reads: Hash[]
  readonly ports: BucketPorts
}

function openMedium(): Medium {
  const entries: Placed[] = []
  const chunks = new Map<Hash, Uint8Array>()
  const reads: Hash[] = []
  const log: BucketPorts['log'] = {
    append: async (added) => added.map((one) => entries.push({ ...one, position: entries.length + 1 })),
    read: async function* ({ after }) {
      if (entries.length > after) yield entries.slice(after)
    },
    wait: () => new Promise(() => undefined),
    close: async () => undefined,
  }
  const content: BucketPorts['content'] = {
    put: async (added) => added.forEach(({ hash, bytes }) => chunks.set(hash, new Uint8Array(bytes))),
    get: async (hashes) => (reads.push(...hashes), hashes.map((hash) => copyOf(chunks.get(hash)))),
    missing: async (hashes) => hashes.filter((hash) => !chunks.has(hash)),
    close: async () => undefined,
  }
  return { entries, chunks, reads, ports: { log, content } }
}

function copyOf(bytes: Uint8Array | undefined): Uint8Array | null {
  return bytes === undefined ? null : new Uint8Array(bytes)
}

let medium: Medium
let viewDirectory: string
beforeEach(async () => {
  medium = openMedium()
  viewDirectory = await mkdtemp(join(tmpdir(), 'blobs-'))
})
afterEach(() => rm(viewDirectory, { recursive: true }))

function open(maxEntryBytes = 1_000_000, time: Clock = clock, directory = viewDirectory): Promise<BlobStore> {
  const promises = { name: 'test', durability: 'process', maxEntryBytes, live: 'pushed', cannot: {} } as const
  return openLogStore({ name: 'bucket', ports: medium.ports, viewDirectory: directory, promises, clock: time, ids })
}

describe('damaged content', () => {
  const bytes = noise(5 * 1024 * 1024)
  async function openLarge() {
    const store = await open()
    await put(store, 'large', bytes)
    const refs = (await collect((await store.chunksOf('large', 1)) ?? none())).flat()
    return { store, refs }
  }

  it.each(['altered', 'missing'])('is never handed out: a chunk that is %s', async (how) => {
    const { store, refs } = await openLarge()
    const bad = refs[7]
    if (how === 'missing') medium.chunks.delete(bad?.hash ?? '')
    else medium.chunks.set(bad?.hash ?? '', Buffer.alloc(bad?.size ?? 0))
    const received: Uint8Array[] = []
    const reading = async (): Promise<void> => {
      for await (const piece of (await store.get('large'))?.stream ?? none()) received.push(piece)
    }
    const error = await reading().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'Corrupt', key: 'large' })
    expect((error as Error).message).toContain(bad?.hash)
    const whole = Buffer.concat(received)
    expect(whole.equals(bytes.subarray(0, whole.length))).toBe(true)
    const before = refs.slice(0, 7).reduce((sum, ref) => sum + ref.size, 0)
    expect(whole.length).toBeLessThanOrEqual(before)
    const range = [0, before - 1] as const
    expect((await bytesOf(store, 'large', { range }))?.length).toBe(before)
    await expect(bytesOf(store, 'large', { range: [before, before] })).rejects.toMatchObject({ code: 'Corrupt' })
  })

  it('is found by the reader, where he said that he compares: but not in a part, and never a chunk of another length', async () => {
    const { store, refs } = await openLarge()
    const bad = refs[7]
    const reading = (range?: readonly [number, number]): Promise<Uint8Array | null> =>
      bytesOf(store, 'large', { readerCompares: true, ...(range === undefined ? {} : { range }) })
    medium.chunks.set(bad?.hash ?? '', Buffer.alloc(bad?.size ?? 0))
    expect((await reading())?.length).toBe(bytes.length)
    await expect(reading([1, bytes.length - 1])).rejects.toMatchObject({ code: 'Corrupt', key: 'large' })
    const patient = retrying(store, { clock, chance: () => 0 })
    await expect(bytesOf(patient, 'large')).rejects.toMatchObject({ code: 'Corrupt', key: 'large' })
    medium.chunks.set(bad?.hash ?? '', Buffer.alloc((bad?.size ?? 0) - 1))
    await expect(reading()).rejects.toMatchObject({ code: 'Corrupt', key: 'large' })
    medium.chunks.delete(bad?.hash ?? '')
    await expect(reading()).rejects.toMatchObject({ code: 'Corrupt', key: 'large' })
  })

  it('is looked for at a commit in chunks that were not seen as they were staged, and a lie is found either way', async () => {
    const store = await open()
    const stagedWith = async (options: StageOptions): Promise<PutChange> => {
      const stage = (chunks: readonly Chunk[], { passages = [] }: StageOptions = {}): Promise<void> =>
        store.stage(chunks, { ...options, passages })
      const staged = await stageStream({ missing: (hashes) => store.missing(hashes), stage }, once(bytes))
      return { type: 'put', key: 'large', expect: 'any', contentType: 'text/plain', meta: {}, ...staged }
    }
    for (const verify of [true, false]) {
      const change = await stagedWith({ verify })
      medium.reads.length = 0
      const [outcome] = await store.commit([entry(change)], { verify: true })
      expect(outcome?.ok).toBe(true)
      expect(new Set(medium.reads).size > 1).toBe(!verify)
      const lie = { ...(await stagedWith({ verify })), hash: sha256(Buffer.from('another')) }
      await expect(store.commit([entry(lie)], { verify: true })).rejects.toMatchObject({
        code: 'Corrupt',
        key: 'large',
      })
    }
  })

  it('is told of a list of chunks as of a chunk', async () => {
    const { store } = await openLarge()
    const lists = [...medium.chunks].filter(([, data]) => data.length % 40 === 0 && data.length < 4096)
    expect(lists).toHaveLength(1)
    medium.chunks.set(lists[0]?.[0] ?? '', Buffer.alloc(40))
    await expect(bytesOf(store, 'large')).rejects.toMatchObject({ code: 'Corrupt', key: 'large' })
    await expect(collect((await store.chunksOf('large', 1)) ?? none())).rejects.toMatchObject({
      code: 'Corrupt',
      key: 'large',
    })
  })

  it('is seen also when many small blobs are fetched', async () => {
    const store = await open()
    const info = await put(store, 'small', 'right')
    medium.chunks.set(info.hash, Buffer.from('wrong'))
    await expect(collect(store.fetch([{ key: 'small', version: 1 }]))).rejects.toMatchObject({
      code: 'Corrupt',
      key: 'small',
    })
  })

  it('is not looked for where a range does not lead: only its chunks are read', async () => {
    const { store, refs } = await openLarge()
    medium.reads.length = 0
    const first = refs.slice(0, 3).reduce((sum, ref) => sum + ref.size, 0)
    await bytesOf(store, 'large', { range: [first + 5, first + 10] })
    const chunks = new Set(refs.map((ref) => ref.hash))
    expect(medium.reads.filter((hash) => chunks.has(hash))).toEqual([refs[3]?.hash])
  })

  it('is found when the chunks are right but not those of the blob', async () => {
    const store = await open()
    const change = await putChange(store, 'k', noise(300_000))
    await commit(store, entry({ ...change, hash: sha256(Buffer.from('other')) }))
    let received = 0
    const reading = async (): Promise<void> => {
      for await (const piece of (await store.get('k'))?.stream ?? none()) received += piece.length
    }
    await expect(reading()).rejects.toMatchObject({ code: 'Corrupt', key: 'k' })
    expect(received).toBeLessThan(300_000)
  })
})

describe('a commit that looks at the bytes', () => {
  it('tells a chunk that was damaged meanwhile from a writer who errs', async () => {
    const store = await open()
    const change = await putChange(store, 'k', noise(2_000_000))
    const bad = change.body && 'refs' in change.body ? change.body.refs[3] : undefined
    medium.chunks.set(bad?.hash ?? '', Buffer.alloc(bad?.size ?? 0))
    const damaged = store.commit([entry(change)], { verify: true })
    await expect(damaged).rejects.toMatchObject({
      code: 'Corrupt',
      key: 'k',
      message: expect.stringContaining(bad?.hash ?? 'no chunk'),
    })
    medium.chunks.delete(bad?.hash ?? '')
    await expect(store.commit([entry(change)], { verify: true })).rejects.toMatchObject({ code: 'InvalidRequest' })
    await put(store, 'k', noise(2_000_000))
    expect((await store.commit([entry(change)], { verify: true }))[0]?.ok).toBe(true)
    const lie = entry({ ...change, hash: sha256(Buffer.from('other')) })
    await expect(store.commit([lie], { verify: true })).rejects.toMatchObject({
      code: 'Corrupt',
      message: expect.stringContaining('are not the bytes of its hash'),
    })
  })
})

describe('a view', () => {
  async function filled(): Promise<{ shown: unknown; path: string }> {
    const store = await open()
    await put(store, 'a', '1')
    await put(store, 'a', '2')
    await commit(store, entry(deleteChange('gone')))
    const shown = await show(store)
    await store.close()
    const [file] = await readdir(viewDirectory)
    return { shown, path: join(viewDirectory, file ?? '') }
  }
  const show = async (store: BlobStore): Promise<unknown> => [
    await store.info(),
    await store.list({ versions: true }),
    await collect(store.changes({})),
  ]

  it.each<[string, (path: string) => Promise<unknown>]>([
    ['is gone', (path) => rm(path)],
    ['is no database', (path) => writeFile(path, 'x'.repeat(8192))],
    ['was cut short', (path) => truncate(path, 5000)],
    ['is of another format', async (path) => alter(path, 'PRAGMA user_version = 99; DROP TABLE versions')],
    ['is ahead of the log', async (path) => alter(path, `UPDATE state SET position = 77, entry = '${newId()}'`)],
    ['has read another log', async (path) => alter(path, `UPDATE state SET entry = '${newId()}'`)],
    ['has spoiled pages', async (path) => spoil(path)],
  ])('is made anew when it %s', async (_, damage) => {
    const { shown, path } = await filled()
    await damage(path)
    const store = await open()
    expect(await show(store)).toEqual(shown)
    await put(store, 'b', '1')
    expect((await store.list()).items).toHaveLength(2)
    await store.close()
  })

  it('is used again when it is right: only the end of the log is read', async () => {
    const { shown } = await filled()
    const [first] = medium.entries
    // A view that read this entry again would stop here.
    medium.entries[1] = { ...(medium.entries[1] as Placed), data: Buffer.from('spoiled') }
    const store = await open()
    expect(await show(store)).toEqual(shown)
    expect(first?.position).toBe(1)
    await store.close()
  })

  it('is kept in memory where its folder cannot be made', async () => {
    await writeFile(join(viewDirectory, 'file'), '')
    const store = await open(1_000_000, clock, join(viewDirectory, 'file', 'views'))
    await put(store, 'a', '1')
    expect(await textOf(store, 'a')).toBe('1')
    await store.close()
  })

  it('goes on in memory when the disk is full', async () => {
    const script = fileURLToPath(new URL('full-disk-process.ts', import.meta.url))
    // No file may grow beyond 400 × 512 bytes: what a full disk does, to this process alone.
    const command = 'ulimit -f 400; exec "$0" --no-warnings "$@"'
    const { stdout } = await promisify(execFile)('sh', ['-c', command, process.execPath, script, viewDirectory])
    expect(JSON.parse(stdout)).toEqual({ blobs: 4000, shown: 4000, versions: 4001 })
  })

  it('sees that the log went back and grew on behind its back', async () => {
    let passed = 0
    const store = await open(1_000_000, { ...clock, elapsed: () => clock.elapsed() + passed })
    for (const text of ['1', '2', '3']) await put(store, 'a', text)
    const lost = (await store.info()).head
    medium.entries.length = 2
    passed = 5000
    expect((await store.head('a'))?.version).toBe(1)
    const other = await open()
    for (const text of ['b', 'c', 'd', 'e']) await put(other, text, text)
    passed = 10_000
    expect((await store.list()).items.map(({ key, version }) => `${key} ${version}`)).toEqual([
      'a 1',
      'b 1',
      'c 1',
      'd 1',
      'e 1',
    ])
    await expect(collect(store.changes({ since: lost }))).rejects.toMatchObject({ code: 'CursorForked' })
    await other.close()
    await store.close()
  })

  it('follows a log that went back in time, and refuses cursors from the lost future', async () => {
    const store = await open()
    await put(store, 'a', '1')
    const kept = (await store.info()).head
    await put(store, 'a', '2')
    const lost = (await store.info()).head
    medium.entries.length = 2
    await put(store, 'b', '1')
    await put(store, 'c', '1')
    expect((await store.list()).items.map(({ key, version }) => `${key} ${version}`)).toEqual(['a 1', 'b 1', 'c 1'])
    await expect(collect(store.changes({ since: lost }))).rejects.toMatchObject({ code: 'CursorForked' })
    expect((await collect(store.changes({ since: kept }))).map(told)).toEqual(['put b 1', 'put c 1', 'bookmark'])
    await store.close()
    medium.entries.length = 3
    const again = await open()
    expect((await again.list()).items.map(({ key }) => key)).toEqual(['a', 'b'])
    await again.close()
  })
})

describe('a log', () => {
  it('keeps an entry that is too large in content, and says when it is damaged', async () => {
    const store = await open(4096)
    const change = await putChange(store, 'k', '1')
    const changes = Array.from({ length: 50 }, (_, index) => ({ ...change, key: `k${index}` }))
    await commit(store, entry(...changes))
    expect(Math.max(...medium.entries.map(({ data }) => data.length))).toBeLessThan(4096)
    const pointer = JSON.parse(Buffer.from(medium.entries.at(-1)?.data ?? []).toString()) as { content: string }
    await store.close()
    await rm(viewDirectory, { recursive: true })
    const again = await open(4096)
    expect((await again.info()).blobs).toBe(50)
    expect(await textOf(again, 'k49')).toBe('1')
    await again.close()
    await rm(viewDirectory, { recursive: true })
    medium.chunks.set(pointer.content, Buffer.from('{}'))
    await expect((await open()).info()).rejects.toMatchObject({ code: 'Corrupt' })
    medium.chunks.delete(pointer.content)
    await expect((await open()).info()).rejects.toMatchObject({ code: 'Corrupt' })
  })

  it.each<[string, (id: string) => RawEntry['data'], string]>([
    ['a newer format', (id) => Buffer.from(JSON.stringify({ v: 3, id, strange: true })), 'NotSupported'],
    ['no JSON', () => Buffer.from('{"v":1,'), 'Corrupt'],
    [
      'another id',
      () => encodeEntry({ v: 1, id: newId(), time: 0, author: '', device: '', changes: [], based: 0 }),
      'Corrupt',
    ],
    ['half an entry', (id) => Buffer.from(JSON.stringify({ v: 1, id, time: 1 })), 'Corrupt'],
  ])('is not read on behind an entry of %s', async (_, data, code) => {
    const store = await open()
    await put(store, 'k', '1')
    const id = newId()
    await medium.ports.log.append([{ id, data: data(id) }])
    for (let round = 0; round < 2; round++) {
      const error = await store.head('k').catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code })
      expect((error as Error).message).toContain(id)
    }
    await expect(put(store, 'k', '2')).rejects.toMatchObject({ code })
    expect(medium.entries).toHaveLength(3)
    await store.close()
  })

  it('that does not begin with a bucket is none', async () => {
    const id = newId()
    await medium.ports.log.append([
      { id, data: encodeEntry({ v: 1, id, time: 0, author: '', device: '', changes: [], based: 0 }) },
    ])
    await expect((await open()).info()).rejects.toMatchObject({ code: 'Corrupt' })
  })
})

function alter(path: string, sql: string): void {
  const db = openDatabase(path, { synchronous: 'normal' })
  db.exec(sql)
  db.close()
}

async function spoil(path: string): Promise<void> {
  const bytes = await readFile(path)
  // The header and the schema stay: only what is read later is wrong.
  bytes.fill(0xee, 4096)
  await writeFile(path, bytes)
}

async function* none(): AsyncGenerator<never, void> {}
