import {
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
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

/** Counts what a folder's agent sends and writes. */
function counting(counts: { commits: number; staged: number; fetched: number }) {
  return (store: BlobStore): BlobStore => ({
    ...store,
    commit: (entries, options) => {
      counts.commits += entries.length
      return store.commit(entries, options)
    },
    stage: (chunks) => {
      for (const { bytes } of chunks) counts.staged += bytes.length
      return store.stage(chunks)
    },
    fetch: async function* (wants) {
      for await (const item of store.fetch(wants)) {
        counts.fetched += item.bytes.length
        yield item
      }
    },
  })
}

test('files made in one folder come to the other', async () => {
  a.write('hello.txt', 'hello')
  a.write('deep/in/there.txt', 'there')
  a.write('empty', '')
  const up = await a.sync()
  expect(up).toMatchObject({ uploaded: 3, synced: 3, failed: [], skipped: [] })
  expect(await b.sync()).toMatchObject({ downloaded: 3, synced: 3 })
  expect(b.tree()).toEqual({ 'hello.txt': 'hello', 'deep/in/there.txt': 'there', empty: '' })
})

test('a second sync of a synced pair sends nothing and writes nothing', async () => {
  a.write('x/y.txt', 'one')
  a.mkdir('nothing/in/here')
  await settle(a, b)
  const before = lstatSync(join(b.root, 'x/y.txt'), { bigint: true })
  const counts = { commits: 0, staged: 0, fetched: 0 }
  expect(changed(await b.sync({ wrap: counting(counts) }))).toBe(0)
  expect(changed(await a.sync({ wrap: counting(counts) }))).toBe(0)
  expect(counts).toEqual({ commits: 0, staged: 0, fetched: 0 })
  const after = lstatSync(join(b.root, 'x/y.txt'), { bigint: true })
  expect([after.ino, after.mtimeNs, after.ctimeNs]).toEqual([before.ino, before.mtimeNs, before.ctimeNs])
})

test('an edit on either side reaches the other, with its time', async () => {
  a.write('notes.md', 'one')
  await settle(a, b)
  b.write('notes.md', 'two from b')
  utimesSync(join(b.root, 'notes.md'), 1_700_000_000, 1_700_000_000.25)
  await b.sync()
  expect(await a.sync()).toMatchObject({ downloaded: 1, conflicts: 0 })
  expect(a.read('notes.md')).toBe('two from b')
  expect(statSync(join(a.root, 'notes.md')).mtimeMs).toBe(1_700_000_000_250)
  a.write('notes.md', 'three')
  await settle(a, b)
  expect(b.read('notes.md')).toBe('three')
})

test('different edits of one file: the bucket keeps the name, the other bytes are a sibling on both sides', async () => {
  a.write('report.txt', 'base')
  await settle(a, b)
  a.write('report.txt', 'from a')
  b.write('report.txt', 'from b, longer')
  await a.sync()
  const summary = await b.sync()
  expect(summary).toMatchObject({ conflicts: 1, uploaded: 1 })
  await settle(a, b)
  expect(a.tree()).toEqual(b.tree())
  expect(a.read('report.txt')).toBe('from a')
  const sibling = Object.keys(a.tree()).find((path) => path.startsWith('report.conflict-')) ?? ''
  expect(sibling).toMatch(/^report\.conflict-\d{8}T\d{6}Z-b-[0-9a-f]{8}\.txt$/)
  expect(a.read(sibling)).toBe('from b, longer')
})

test('equal edits on both sides are no conflict', async () => {
  a.write('same.txt', 'base')
  await settle(a, b)
  a.write('same.txt', 'the same')
  b.write('same.txt', 'the same')
  await a.sync()
  const counts = { commits: 0, staged: 0, fetched: 0 }
  expect(changed(await b.sync({ wrap: counting(counts) }))).toBe(0)
  expect(counts).toEqual({ commits: 0, staged: 0, fetched: 0 })
})

test('a delete reaches the other folder, and the bytes stay in its trash', async () => {
  a.write('gone.txt', 'x')
  a.write('kept.txt', 'y')
  await settle(a, b)
  a.remove('gone.txt')
  expect(await a.sync()).toMatchObject({ deletedRemote: 1 })
  expect(await b.sync()).toMatchObject({ deletedLocal: 1 })
  expect(b.tree()).toEqual({ 'kept.txt': 'y' })
})

test('an edit beats a delete, whichever side made it', async () => {
  a.write('one.txt', '1')
  a.write('two.txt', '2')
  await settle(a, b)
  a.remove('one.txt')
  a.write('two.txt', '2 edited')
  b.write('one.txt', '1 edited')
  b.remove('two.txt')
  await a.sync()
  const summary = await b.sync()
  expect(summary).toMatchObject({ resurrected: 2, conflicts: 0 })
  await settle(a, b)
  expect(a.tree()).toEqual({ 'one.txt': '1 edited', 'two.txt': '2 edited' })
  expect(b.tree()).toEqual(a.tree())
})

test('renames move no bytes, neither up nor down, and each is one entry', async () => {
  a.write('old/big.bin', 'x'.repeat(300_000))
  a.write('old/small.txt', 'small')
  await settle(a, b)
  renameSync(join(a.root, 'old'), join(a.root, 'new'))
  const up = { commits: 0, staged: 0, fetched: 0 }
  expect(await a.sync({ wrap: counting(up) })).toMatchObject({ renamed: 2, uploaded: 0, deletedRemote: 0, bytesUp: 0 })
  expect(up).toMatchObject({ commits: 2, staged: 0 })
  const down = { commits: 0, staged: 0, fetched: 0 }
  expect(await b.sync({ wrap: counting(down) })).toMatchObject({
    renamed: 2,
    downloaded: 0,
    deletedLocal: 0,
    bytesDown: 0,
  })
  expect(down).toEqual({ commits: 0, staged: 0, fetched: 0 })
  expect(b.tree()).toEqual({ 'new/big.bin': 'x'.repeat(300_000), 'new/small.txt': 'small' })
})

test('the executable bit travels without bytes', async () => {
  a.write('run.sh', '#!/bin/sh\n')
  await settle(a, b)
  a.chmod('run.sh', 0o755)
  const up = { commits: 0, staged: 0, fetched: 0 }
  expect(await a.sync({ wrap: counting(up) })).toMatchObject({ modes: 1, uploaded: 0 })
  expect(up).toEqual({ commits: 1, staged: 0, fetched: 0 })
  const down = { commits: 0, staged: 0, fetched: 0 }
  expect(await b.sync({ wrap: counting(down) })).toMatchObject({ modes: 1, downloaded: 0 })
  expect(down).toEqual({ commits: 0, staged: 0, fetched: 0 })
  expect(b.tree()).toEqual({ 'run.sh*': '#!/bin/sh\n' })
})

test('a touch is nothing', async () => {
  a.write('t.txt', 'same')
  await settle(a, b)
  utimesSync(join(a.root, 't.txt'), 1, 1)
  const counts = { commits: 0, staged: 0, fetched: 0 }
  expect(changed(await a.sync({ wrap: counting(counts) }))).toBe(0)
  expect(counts.commits).toBe(0)
})

test('empty folders come and go', async () => {
  a.mkdir('empty/inside')
  await settle(a, b)
  expect(b.tree()).toEqual({ 'empty/inside/': null })
  a.write('empty/inside/now.txt', 'full')
  await settle(a, b)
  expect(b.tree()).toEqual({ 'empty/inside/now.txt': 'full' })
  a.remove('empty')
  await settle(a, b)
  expect(b.tree()).toEqual({})
})

test('symbolic links are listed and left alone', async () => {
  a.write('file.txt', 'x')
  symlinkSync('file.txt', join(a.root, 'link'))
  const summary = await a.sync()
  expect(summary.skipped).toMatchObject([{ path: 'link', code: 'symlink' }])
  expect(await a.sync()).toMatchObject({ skipped: [{ path: 'link', code: 'symlink' }], failed: [] })
  await b.sync()
  expect(b.tree()).toEqual({ 'file.txt': 'x' })
})

test('a file becomes a folder and a folder becomes a file', async () => {
  a.write('one', 'file')
  a.write('two/inside.txt', 'inside')
  await settle(a, b)
  a.remove('one')
  a.write('one/now/a/folder.txt', 'deep')
  a.remove('two')
  a.write('two', 'a file now')
  await settle(a, b)
  expect(b.tree()).toEqual({ 'one/now/a/folder.txt': 'deep', two: 'a file now' })
  expect(a.tree()).toEqual(b.tree())
})

test('D10 the keys `a` and `a/b` together: the folder keeps the name, the blob is listed and left alone', async () => {
  a.write('x/b.txt', 'below')
  await settle(a, b)
  await world.store.commit([
    {
      id: 'f'.repeat(32),
      changes: [
        {
          type: 'put',
          key: 'x',
          expect: 'absent',
          hash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
          size: 0,
          body: { depth: 0, refs: [] },
          contentType: 'text/plain',
          meta: {},
        },
      ],
    },
  ])
  expect(await a.sync()).toMatchObject({ skipped: [{ path: 'x', code: 'file-and-folder' }], failed: [] })
  expect(a.tree()).toEqual({ 'x/b.txt': 'below' })
  a.remove('x')
  await settle(a, b)
  expect(a.tree()).toEqual({ x: '' })
  expect(b.tree()).toEqual({ x: '' })
})

test('rules travel first, and what they ignore is never sent, fetched or deleted', async () => {
  a.write('.blobsignore', '*.log\nbuild/\n')
  a.write('keep.txt', 'k')
  a.write('debug.log', 'l')
  a.write('build/out.bin', 'o')
  await a.sync()
  b.write('debug.log', 'of b')
  await b.sync()
  expect(b.tree()).toEqual({ '.blobsignore': '*.log\nbuild/\n', 'keep.txt': 'k', 'debug.log': 'of b' })
  // Newly ignored: forgotten on both sides, deleted on none.
  a.write('.blobsignore', '*.log\nbuild/\nkeep.txt\n')
  await settle(a, b)
  expect(b.read('keep.txt')).toBe('k')
  a.remove('keep.txt')
  await settle(a, b)
  expect(b.read('keep.txt')).toBe('k')
  // No longer ignored: as if seen for the first time.
  a.write('.blobsignore', 'build/\n')
  await settle(a, b)
  expect(a.read('keep.txt')).toBe('k')
  const logs = Object.entries(a.tree()).filter(([path]) => path.startsWith('debug'))
  expect(logs.map(([, text]) => text).sort()).toEqual(['l', 'of b'])
  expect(b.tree()).toEqual({ ...a.tree(), 'build/out.bin': undefined })
})

test('rules that cannot be written here keep nothing else waiting', async () => {
  a.write('.blobsignore', 'one')
  await settle(a, b)
  a.chmod('.blobsignore', 0o444)
  b.write('.blobsignore', 'two')
  b.write('other', 'of b')
  await b.sync()
  const { failed } = await a.sync()
  expect(failed.map(({ path, code }) => [path, code])).toEqual([['.blobsignore', 'not-writable']])
  expect(a.read('other')).toBe('of b')
  a.chmod('.blobsignore', 0o644)
  await settle(a, b)
  expect(a.read('.blobsignore')).toBe('two')
})

test('a prefix confines a folder to its part of the bucket', async () => {
  const part = await world.folder('part', { prefix: 'docs' })
  a.write('docs/in.txt', 'in')
  a.write('docs2/out.txt', 'out')
  a.write('top.txt', 'top')
  await a.sync()
  await part.sync()
  expect(part.tree()).toEqual({ 'in.txt': 'in' })
  part.write('more/new.txt', 'new')
  await part.sync()
  await a.sync()
  expect(a.read('docs/more/new.txt')).toBe('new')
})

test('metadata and types that others gave a blob survive an edit', async () => {
  a.write('page.html', '<p>')
  await a.sync()
  const head = await world.store.head('page.html')
  expect(head?.meta).toMatchObject({ mode: '644' })
  await world.store.commit([
    {
      id: '1'.repeat(32),
      changes: [
        {
          type: 'put',
          key: 'page.html',
          expect: 'any',
          hash: head?.hash ?? '',
          size: 3,
          body: { copy: { key: 'page.html', version: 1 } },
          contentType: 'text/html',
          meta: { topic: 'spring' },
        },
      ],
    },
  ])
  await a.sync()
  a.write('page.html', '<p>more')
  await a.sync()
  expect(await world.store.head('page.html')).toMatchObject({
    contentType: 'text/html',
    meta: { topic: 'spring', mode: '644' },
    version: 3,
  })
})

test('bytes that are in the bucket already are not sent again', async () => {
  a.write('one.bin', 'z'.repeat(200_000))
  await a.sync()
  writeFileSync(join(a.root, 'two.bin'), readFileSync(join(a.root, 'one.bin')))
  linkSync(join(a.root, 'one.bin'), join(a.root, 'three.bin'))
  const counts = { commits: 0, staged: 0, fetched: 0 }
  expect(await a.sync({ wrap: counting(counts) })).toMatchObject({ uploaded: 2 })
  expect(counts).toMatchObject({ commits: 2, staged: 0 })
})

test('a folder that was emptied from outside keeps its name on the other side only while something is in it', async () => {
  a.write('f/one', '1')
  a.write('f/two', '2')
  await settle(a, b)
  a.remove('f/one')
  b.write('f/three', '3')
  await settle(a, b)
  expect(a.tree()).toEqual({ 'f/two': '2', 'f/three': '3' })
  expect(b.tree()).toEqual(a.tree())
  rmSync(join(a.root, 'f'), { recursive: true })
  mkdirSync(join(a.root, 'f'))
  await settle(a, b)
  expect(b.tree()).toEqual(a.tree())
})
