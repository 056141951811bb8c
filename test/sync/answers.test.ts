import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { sha256 } from '../../src/content/hash.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import type { FileSystem } from '../../src/platform/ports.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import { faulty } from '../../src/store/faulty.ts'
import { before } from '../scenarios/between.ts'
import { changed, openWorld, settle, type Folder, type World } from './world.ts'

let world: World
let a: Folder
let b: Folder
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a')
  b = await world.folder('b')
})
afterEach(() => world.close())

const answerLost = (store: BlobStore): BlobStore =>
  faulty(store, ({ method }) => (method === 'commit' ? { type: 'after' } : null))

test('D1 an upload whose answer was lost is found again, with no conflict and no second version', async () => {
  a.write('doc.txt', 'one')
  await expect(a.sync({ wrap: answerLost })).rejects.toMatchObject({ code: 'Unavailable' })
  expect(await a.sync()).toMatchObject({ uploaded: 0, conflicts: 0, synced: 1 })
  expect(await world.store.head('doc.txt')).toMatchObject({ version: 1 })
})

test('D2 the same, and the file was edited before the restart: a plain edit', async () => {
  a.write('doc.txt', 'one')
  await a.sync()
  a.write('doc.txt', 'two')
  await expect(a.sync({ wrap: answerLost })).rejects.toMatchObject({ code: 'Unavailable' })
  a.write('doc.txt', 'three')
  expect(await a.sync()).toMatchObject({ uploaded: 1, conflicts: 0 })
  expect(await world.store.head('doc.txt')).toMatchObject({ version: 3 })
  expect(a.tree()).toEqual({ 'doc.txt': 'three' })
})

test('D2 at the very first upload, before the folder was ever in sync', async () => {
  a.write('doc.txt', 'one')
  await expect(a.sync({ wrap: answerLost })).rejects.toMatchObject({ code: 'Unavailable' })
  a.write('doc.txt', 'two')
  expect(await a.sync()).toMatchObject({ uploaded: 1, conflicts: 0 })
  expect(a.tree()).toEqual({ 'doc.txt': 'two' })
})

test('an upload that was under way when it was sent again, while its file was edited, is one upload and a plain edit', async () => {
  a.write('doc.txt', 'one')
  let late: Parameters<BlobStore['commit']>[0] = []
  const held = (store: BlobStore): BlobStore => ({
    ...store,
    commit: async (entries) => {
      late = entries
      throw new BlobsError('Unavailable', 'no answer came')
    },
  })
  await expect(a.sync({ wrap: held })).rejects.toMatchObject({ code: 'Unavailable' })
  const arriving = async (): Promise<void> => {
    await world.store.commit(late)
    late = []
    a.write('doc.txt', 'two')
  }
  const wrap = (store: BlobStore): BlobStore =>
    before(store, 'commit', async () => void (late.length > 0 && (await arriving())))
  expect(await a.sync({ wrap })).toMatchObject({ conflicts: 0 })
  await settle(a, b)
  expect(b.tree()).toEqual({ 'doc.txt': 'two' })
})

test('a delete whose answer was lost is done, and a file made anew at its name stays', async () => {
  a.write('doc.txt', 'one')
  await settle(a, b)
  a.remove('doc.txt')
  await expect(a.sync({ wrap: answerLost })).rejects.toMatchObject({ code: 'Unavailable' })
  a.write('doc.txt', 'two')
  expect(await a.sync()).toMatchObject({ conflicts: 0, deletedLocal: 0 })
  await settle(a, b)
  expect(b.tree()).toEqual({ 'doc.txt': 'two' })
})

test('D3 someone else was faster with the same bytes: adopted, no sibling', async () => {
  a.write('doc.txt', 'base')
  await settle(a, b)
  a.write('doc.txt', 'the same')
  b.write('doc.txt', 'the same')
  const summary = await a.sync({ wrap: (store) => before(store, 'commit', () => b.sync()) })
  expect(summary).toMatchObject({ conflicts: 0 })
  expect(changed(await a.sync())).toBe(0)
  expect(await world.store.head('doc.txt')).toMatchObject({ version: 2 })
})

test('someone else was faster with other bytes: a conflict, and both are kept', async () => {
  a.write('doc.txt', 'base')
  await settle(a, b)
  a.write('doc.txt', 'by a')
  b.write('doc.txt', 'by b')
  expect(await a.sync({ wrap: (store) => before(store, 'commit', () => b.sync()) })).toMatchObject({ conflicts: 1 })
  await settle(a, b)
  expect(Object.values(a.tree()).sort()).toEqual(['by a', 'by b'])
  expect(b.tree()).toEqual(a.tree())
})

test('S19 a file edited while it is uploaded is not recorded as sent', async () => {
  a.write('doc.txt', 'first')
  const wrap = (store: BlobStore): BlobStore =>
    before(store, 'commit', async () => a.write('doc.txt', 'second, while the first was on its way'))
  await a.sync({ wrap })
  await settle(a, b)
  expect(b.tree()).toEqual({ 'doc.txt': 'second, while the first was on its way' })
})

test('a file that never stands still waits, and the others are synced', async () => {
  a.write('restless.log', 'line')
  a.write('calm.txt', 'calm')
  let lines = 0
  const wrap = (store: BlobStore): BlobStore => ({
    ...store,
    // Between the look and the reading of the file, each time.
    list: async (options) => {
      a.write('restless.log', `line ${lines++}`)
      return store.list(options)
    },
    changes: async function* (options) {
      a.write('restless.log', `line ${lines++}`)
      yield* store.changes(options)
    },
  })
  const summary = await a.sync({ wrap })
  expect(summary).toMatchObject({ uploaded: 1, failed: [{ path: 'restless.log', code: 'changing' }] })
  expect(await a.sync()).toMatchObject({ uploaded: 1, failed: [] })
})

test('S2 a file saved just before another version comes down is kept as a sibling', async () => {
  a.write('doc.txt', 'base')
  await settle(a, b)
  b.write('doc.txt', 'by b')
  await b.sync()
  await a.sync({ wrap: (store) => before(store, 'fetch', async () => a.write('doc.txt', 'saved in the last moment')) })
  await settle(a, b)
  expect(Object.values(a.tree()).sort()).toEqual(['by b', 'saved in the last moment'])
  expect(b.tree()).toEqual(a.tree())
})

test('D15 an older version that was restored comes as any edit does', async () => {
  a.write('doc.txt', 'one')
  await settle(a, b)
  a.write('doc.txt', 'two')
  await settle(a, b)
  await world.store.commit([
    {
      id: '5'.repeat(32),
      changes: [
        {
          type: 'put',
          key: 'doc.txt',
          expect: { version: 2 },
          hash: (await world.store.head('doc.txt', { version: 1 }))?.hash ?? '',
          size: 3,
          body: { copy: { key: 'doc.txt', version: 1 } },
          contentType: 'text/plain',
          meta: {},
        },
      ],
    },
  ])
  expect(await a.sync()).toMatchObject({ downloaded: 1, conflicts: 0 })
  expect(a.read('doc.txt')).toBe('one')
})

test('a file far larger than a batch travels whole, up and down', async () => {
  const bytes = Buffer.alloc(20 * 1024 * 1024)
  for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32LE((i * 2_654_435_761) % 2 ** 32, i)
  writeFileSync(join(a.root, 'large.bin'), bytes)
  a.write('small.txt', 's')
  expect(await a.sync()).toMatchObject({ uploaded: 2, failed: [] })
  expect(await b.sync()).toMatchObject({ downloaded: 2, failed: [] })
  expect(readFileSync(join(b.root, 'large.bin')).equals(bytes)).toBe(true)
  // A change in the middle sends a piece of it.
  bytes.write('changed', 10 * 1024 * 1024)
  writeFileSync(join(a.root, 'large.bin'), bytes)
  let staged = 0
  const wrap = (store: BlobStore): BlobStore => ({
    ...store,
    stage: (chunks) => {
      for (const chunk of chunks) staged += chunk.bytes.length
      return store.stage(chunks)
    },
  })
  expect(await a.sync({ wrap })).toMatchObject({ uploaded: 1 })
  expect(staged).toBeLessThan(2 * 1024 * 1024)
})

test('a stream that breaks off half way leaves the file as it was, and comes whole the next time', async () => {
  a.write('doc.bin', 'x'.repeat(3_000_000))
  await settle(a, b)
  a.write('doc.bin', 'y'.repeat(3_000_000))
  await a.sync()
  const wrap = (store: BlobStore): BlobStore =>
    faulty(store, ({ method }) => (method === 'get' ? { type: 'cut', items: 2 } : null))
  await b.sync({ wrap }).catch(() => undefined)
  expect(b.read('doc.bin')).toBe('x'.repeat(3_000_000))
  await settle(a, b)
  expect(b.read('doc.bin')).toBe('y'.repeat(3_000_000))
})

test('of a file that is written while it is sent, no mixture of old and new becomes a version', async () => {
  const [old, fresh] = [Buffer.alloc(3_000_000, 'old '), Buffer.alloc(3_000_000, 'new ')]
  a.write('doc.bin', old)
  const real = systemFileSystem()
  let opened = 0
  const fs: FileSystem = {
    ...real,
    open: async (path) => {
      const file = await real.open(path)
      // The first look hashes it, the second one sends it.
      if (!path.endsWith('doc.bin') || ++opened !== 2) return file
      return {
        ...file,
        read: async (buffer, position) => {
          if (position > 0) writeFileSync(join(a.root, 'doc.bin'), fresh)
          return file.read(buffer, position)
        },
      }
    },
  }
  await a.sync({ fs })
  await settle(a, b)
  expect(opened).toBeGreaterThan(1)
  const { items } = await world.store.list({ versions: true })
  expect([sha256(old), sha256(fresh)]).toEqual(expect.arrayContaining(items.map(({ hash }) => hash)))
})
