import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { openFolderObjects } from '../../src/backends/folder/objects.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import type { FileSystem } from '../../src/platform/ports.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import { openObjectBackend } from '../../src/store/objects/backend.ts'
import type { Objects } from '../../src/store/objects/objects.ts'
import type { Backend } from '../../src/store/ports.ts'
import { errno, telling } from '../scenarios/between.ts'
import { chanceOf } from '../simulation/chance.ts'
import { openMemoryDisk } from '../simulation/memory-file-system.ts'
import { put, textOf } from '../store/acts.ts'
import { entries, present, readAll, someChunk } from './conformance.ts'
import { bucketsAt } from './driver/open.ts'

const disk = systemFileSystem()
let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'blobs-folder-'))
  mkdirSync(join(root, 'place'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const place = (): string => join(root, 'place')
const open = (): Promise<Buckets> => bucketsAt(`folder://${place()}`, {})
const objectsOn = (fs: FileSystem, singleWriter = false): Objects =>
  openFolderObjects({ folder: place(), fs, ids, singleWriter })

/** The files below a folder. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((item) => item.isFile())
    .map((item) => join(item.parentPath, item.name))
    .sort()
}

async function withStore<T>(act: (store: BlobStore) => Promise<T>): Promise<T> {
  const buckets = await open()
  try {
    return await act(await buckets.open('notes'))
  } finally {
    await buckets.close()
  }
}

describe('a place that goes back to an old copy while it is in use', () => {
  it('is gone on with where the copy ends, without a hole that nobody could read across', async () => {
    const buckets = await open()
    await buckets.create('notes')
    const store = await buckets.open('notes')
    await put(store, 'a', 'one')
    cpSync(place(), join(root, 'copy'), { recursive: true })
    for (const text of ['two', 'three', 'four']) await put(store, 'a', text)
    for (const name of readdirSync(place())) rmSync(join(place(), name), { recursive: true })
    cpSync(join(root, 'copy'), place(), { recursive: true })
    const { version } = await put(store, 'b', 'after')
    expect(version).toBe(1)
    expect(await textOf(store, 'a')).toBe('one')
    await buckets.close()
    await withStore(async (again) => {
      expect(await textOf(again, 'a')).toBe('one')
      expect(await textOf(again, 'b')).toBe('after')
    })
  })
})

describe('a place whose disk is away', () => {
  it('takes nothing and tells so, rather than begin anew in the empty mount point', async () => {
    const buckets = await open()
    await buckets.create('notes')
    const store = await buckets.open('notes')
    await put(store, 'a', 'one')
    renameSync(place(), join(root, 'away'))
    mkdirSync(place())
    const staged = someChunk(10)
    const backend = openObjectBackendOn(objectsOn(disk))
    expect(await backend.names()).toEqual([])
    await expect(store.stage([staged])).rejects.toMatchObject({ code: 'Unavailable' })
    expect(readdirSync(place())).toEqual([])
    rmSync(place(), { recursive: true })
    renameSync(join(root, 'away'), place())
    expect((await put(store, 'a', 'two')).version).toBe(2)
    await buckets.close()
  }, 60_000)
})

describe('a damaged place', () => {
  it('tells which file of the log is not whole', async () => {
    const buckets = await open()
    await buckets.create('notes')
    await put(await buckets.open('notes'), 'a', 'one')
    await buckets.close()
    const [, second = ''] = filesBelow(place()).filter((path) => path.includes('/log/'))
    const bytes = readFileSync(second)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4
    writeFileSync(second, bytes)
    const reading = withStore((store) => store.head('a'))
    await expect(reading).rejects.toMatchObject({
      code: 'Corrupt',
      message: expect.stringContaining(second.slice(place().length + 1)),
    })
  })
  it('tells of a file of the log that is missing', async () => {
    const buckets = await open()
    await buckets.create('notes')
    const store = await buckets.open('notes')
    for (const text of ['one', 'two', 'three']) await put(store, 'a', text)
    await buckets.close()
    rmSync(present(filesBelow(place()).filter((path) => path.includes('/log/'))[2]))
    await expect(withStore((again) => again.head('a'))).rejects.toMatchObject({
      code: 'Corrupt',
      message: expect.stringContaining('is missing'),
    })
  })
})

describe('a disk without hard links', () => {
  const without = (...calls: (keyof FileSystem)[]): FileSystem =>
    telling(disk, (call) => {
      if (calls.includes(call)) throw errno('EPERM')
    })
  it('is used where it can rename without replacing', async () => {
    const objects = objectsOn(without('link'))
    expect(await objects.create('log/1', Buffer.from('first'))).toBe(true)
    expect(await objects.create('log/1', Buffer.from('second'))).toBe(false)
    expect(Buffer.from(present(await objects.read('log/1'))).toString()).toBe('first')
    expect(filesBelow(join(place(), 'tmp'))).toEqual([])
  })
  it('is refused where it cannot, but for a single writer', async () => {
    const fs = without('link', 'renameNew')
    await expect(objectsOn(fs).create('log/1', Buffer.from('first'))).rejects.toMatchObject({ code: 'Refused' })
    const objects = objectsOn(fs, true)
    expect(await objects.create('log/1', Buffer.from('first'))).toBe(true)
    expect(await objects.create('log/1', Buffer.from('second'))).toBe(false)
  })
})

describe('the power goes', () => {
  const FOLDER = '/place'
  const openOn = (fs: FileSystem): Backend =>
    openObjectBackendOn(openFolderObjects({ folder: FOLDER, fs, ids, singleWriter: false }))
  const work = async (fs: FileSystem, told: { chunks: string[]; entries: string[] }): Promise<void> => {
    const backend = openOn(fs)
    await backend.create('one')
    const { log, content } = present(await backend.open('one'))
    for (let round = 0; round < 3; round++) {
      const chunks = [someChunk(10), someChunk(5000)]
      await content.put(chunks)
      told.chunks.push(...chunks.map(({ hash }) => hash))
      const some = entries(2)
      await log.append(some)
      told.entries.push(...some.map(({ id }) => id))
    }
  }
  /** What was acknowledged and is gone; null: the work was done before the power went. */
  const cutAt = async (at: number, seed: number): Promise<readonly string[] | null> => {
    const memory = openMemoryDisk({ now: () => BigInt(Date.now()) * 1_000_000n, caseBlind: false, canExchange: true })
    memory.durably(() => memory.fs.mkdir(FOLDER))
    let calls = 0
    const dying = telling(memory.fs, () => {
      if (++calls >= at) throw new Error('the power went')
    })
    const told = { chunks: [] as string[], entries: [] as string[] }
    const finished = await work(dying, told).then(
      () => true,
      () => false,
    )
    memory.powerLoss(chanceOf(seed))
    const ports = await openOn(memory.fs).open('one')
    if (ports === null) return told.entries
    const found = new Set((await readAll(ports.log)).map(({ id }) => id))
    const lost = await ports.content.missing(told.chunks)
    const gone = [...told.entries.filter((id) => !found.has(id)), ...lost]
    await ports.log.append(entries(1))
    return finished && gone.length === 0 ? null : gone
  }
  test('before any call to the disk: all that was acknowledged is there, and the log goes on', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    let at = 1
    for (; ; at++) {
      const gone = await cutAt(at, seed + at)
      if (gone === null) break
      expect(gone, `at call ${at}, seed ${seed}`).toEqual([])
    }
    expect(at).toBeGreaterThan(100)
  }, 60_000)
})

function openObjectBackendOn(objects: Objects): Backend {
  return openObjectBackend({
    objects,
    promises: { name: 'folder', durability: 'fsync', maxEntryBytes: 1_000_000, live: 'polled', cannot: {} },
    viewDirectory: null,
    clock,
    ids,
    parallel: 4,
    maxFrameBytes: 2_000_000,
    looks: [50, 50],
  })
}
