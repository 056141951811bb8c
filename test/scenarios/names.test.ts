/** Names that are one to some disks and two to others, and keys that are no names at all. */
import { existsSync, lstatSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import type { BlobInfo } from '../../src/store/contract/types.ts'
import { changed, openWorld, settle, type Folder, type World } from '../sync/world.ts'
import { folding } from './folding.ts'

let world: World
let a: Folder
let b: Folder
let blind: Folder
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a')
  b = await world.folder('b')
  blind = await world.folder('blind', { fs: folding(systemFileSystem()) })
})
afterEach(() => world.close())

const list = async (): Promise<string[]> => (await world.store.list()).items.map(({ key }) => key)

test('S3 a file whose name changes its case elsewhere stays, on a disk that folds case (a simulated one)', async () => {
  a.write('A.txt', 'text')
  a.write('Dir/x', 'x')
  await settle(a, blind)
  renameSync(join(a.root, 'A.txt'), join(a.root, 'a.txt'))
  renameSync(join(a.root, 'Dir'), join(a.root, 'dir'))
  await settle(a, blind)
  expect(await list()).toEqual(['a.txt', 'dir/x'])
  expect(Object.entries(blind.tree()).map(([path, text]) => [path.toLowerCase(), text])).toEqual([
    ['a.txt', 'text'],
    ['dir/x', 'x'],
  ])
  expect(a.tree()).toEqual({ 'a.txt': 'text', 'dir/x': 'x' })
})

test('S3 a file whose name changes its case on a disk that folds it is renamed everywhere (a simulated one)', async () => {
  blind.write('A.txt', 'text')
  await settle(blind, a)
  renameSync(join(blind.root, 'A.txt'), join(blind.root, 'a.txt'))
  await settle(blind, a)
  expect(await list()).toEqual(['a.txt'])
  expect(blind.tree()).toEqual({ 'a.txt': 'text' })
  expect(a.tree()).toEqual({ 'a.txt': 'text' })
})

test('S3 of two names that differ in case one is not on a disk that folds it, is listed, and deleted nowhere (simulated)', async () => {
  a.write('readme', 'small')
  a.write('README', 'large')
  await a.sync()
  for (let times = 0; times < 3; times++) {
    const summary = await blind.sync({ fs: folding(systemFileSystem()), maxDelete: { percent: 100 } })
    expect(summary).toMatchObject({ deletedRemote: 0, conflicts: 0, failed: [] })
    expect(summary.skipped).toMatchObject([{ code: 'name-clash', remedy: expect.any(String) }])
    expect(readdirSync(blind.root).filter((name) => name !== '.blobs')).toHaveLength(1)
  }
  expect(await list()).toEqual(['README', 'readme'])
})

test('S8 a name in form D here and form C there is one file, on both sides', async () => {
  const [nfd, nfc] = ['e\u0301te\u0301/u\u0308.txt', '\u00e9t\u00e9/\u00fc.txt']
  a.write(nfd, 'one')
  expect(await a.sync()).toMatchObject({ uploaded: 1, failed: [] })
  await settle(a, b)
  expect(await list()).toEqual([nfc])
  expect(b.tree()).toEqual({ [nfc]: 'one' })
  expect(a.tree()).toEqual({ [nfd]: 'one' })
  b.write(nfc, 'two')
  await settle(a, b)
  expect(a.tree()).toEqual({ [nfd]: 'two' })
  a.write(nfd, 'three')
  expect(await a.sync()).toMatchObject({ uploaded: 1, failed: [] })
  await settle(a, b)
  expect(b.tree()).toEqual({ [nfc]: 'three' })
  renameSync(join(a.root, 'e\u0301te\u0301'), join(a.root, '\u00e9t\u00e9'))
  expect(changed(await a.sync())).toBe(0)
  expect(await list()).toEqual([nfc])
})

test('D10 keys that lead out of the folder are confined and listed, each with a reason', async () => {
  writeFileSync(join(world.directory, 'out'), 'untouched')
  a.write('good', 'bytes')
  await a.sync()
  const good = (await world.store.list()).items[0]
  const bad = ['..', '../out', 'a/../../out', '/abs', 'a//b', './x', '.blobs/root.json', `long/${'n'.repeat(300)}`]
  const hostile = (store: BlobStore): BlobStore => ({
    ...store,
    list: async (options) => {
      const page = await store.list(options)
      return { ...page, items: [...page.items, ...bad.map((key) => ({ ...(good as BlobInfo), key }))] }
    },
    fetch: async function* (wants) {
      for (const want of wants) yield { ...want, bytes: Buffer.from('bytes') }
    },
  })
  const marker = lstatSync(join(b.root, '.blobs/root.json')).mtimeMs
  const summary = await b.sync({ wrap: hostile })
  expect(b.tree()).toEqual({ good: 'bytes' })
  expect(summary.skipped.every(({ reason, remedy }) => reason !== '' && remedy !== '')).toBe(true)
  const told = Object.fromEntries(summary.skipped.map(({ path, code }) => [path, code]))
  // What is in `.blobs/` is ours on every machine: no key in it is anybody's file.
  const expected = bad.slice(0, -2).map((key) => [key, 'name-reserved'])
  expect(told).toEqual({ ...Object.fromEntries(expected), [bad.at(-1) ?? '']: 'name-too-long' })
  expect(systemFileSystem().readSmall(join(world.directory, 'out'), 100)).toEqual(Buffer.from('untouched'))
  expect(existsSync('/abs')).toBe(false)
  expect(lstatSync(join(b.root, '.blobs/root.json')).mtimeMs).toBe(marker)
})
