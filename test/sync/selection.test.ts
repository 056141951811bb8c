import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import { readPairing, select, type Selection } from '../../src/sync/agent.ts'
import { isSelected } from '../../src/sync/disk/selection.ts'
import { dieAt, type Death } from './dying.ts'
import { openWorld, settle, type Folder, type World } from './world.ts'

const fs = systemFileSystem()
const NOT_PHOTOS: Selection = { only: [], not: ['photos'] }
const choose = (folder: Folder, selection: Selection): Promise<unknown> => select(fs, folder.root, selection)

let world: World
let a: Folder
let b: Folder
const TREE = { 'docs/plan': 'plan', 'photos/one': 'one', 'photos/raw/two': 'two', top: 'top' }
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a')
  b = await world.folder('b')
  for (const [path, text] of Object.entries(TREE)) a.write(path, text)
  await settle(a, b)
})
afterEach(() => world.close())

describe('what is selected', () => {
  test.each([
    [{ only: [], not: [] }, ['', 'docs/plan', 'photos/one'], []],
    [
      { only: ['docs'], not: [] },
      ['docs/', 'docs/plan', '.blobsignore'],
      ['top', 'docsx', 'photos/', 'photos/.blobsignore'],
    ],
    [{ only: ['a/b'], not: [] }, ['a/', 'a/.blobsignore', 'a/b/c', 'a/b/'], ['a/c', 'a/c/', 'ab/', 'a/bc']],
    [{ only: ['a'], not: ['a/b'] }, ['a/c', 'a/bc'], ['a/b', 'a/b/', 'a/b/c', 'a/b/.blobsignore']],
    [{ only: [], not: ['a'] }, ['b', 'ab'], ['a', 'a/', 'a/b']],
  ])('%j', (selection, inside, outside) => {
    const seen = (path: string): boolean =>
      isSelected(selection, path.replace(/\/$/, ''), path.endsWith('/'), '.blobsignore')
    expect(inside.filter((path) => path !== '' && !seen(path))).toEqual([])
    expect(outside.filter(seen)).toEqual([])
  })
})

test('deselecting deletes nothing anywhere, and what is cleared away here stays elsewhere', async () => {
  await choose(a, NOT_PHOTOS)
  await settle(a, b)
  expect(a.tree()).toEqual(TREE)
  a.remove('photos')
  await settle(a, b)
  expect(b.tree()).toEqual(TREE)
  b.write('photos/three', 'three')
  b.write('docs/plan', 'better plan')
  await settle(a, b)
  expect(a.tree()).toEqual({ 'docs/plan': 'better plan', top: 'top' })
})

test('what was cleared away before any agent looked again stays elsewhere, too', async () => {
  await choose(a, NOT_PHOTOS)
  a.remove('photos')
  await settle(a, b)
  expect(b.tree()).toEqual(TREE)
})

test('selecting again brings everything back, and keeps what was edited on both sides', async () => {
  await choose(a, NOT_PHOTOS)
  await a.sync()
  rmSync(join(a.root, 'photos/raw'), { recursive: true })
  a.write('photos/one', 'edited while it was not selected')
  b.write('photos/one', 'edited there')
  await settle(a, b)
  await choose(a, { only: [], not: [] })
  await settle(a, b)
  const texts = Object.values(b.tree())
  expect(a.tree()).toEqual(b.tree())
  expect(a.read('photos/raw/two')).toBe('two')
  expect(a.read('photos/one')).toBe('edited there')
  expect(texts).toContain('edited while it was not selected')
})

test('a new folder with a selection gets only that, and the rules on the way to it', async () => {
  b.write('.blobsignore', '*.tmp\n')
  b.write('photos/.blobsignore', 'secret\n')
  await b.sync()
  const c = await world.folder('c')
  await choose(c, { only: ['photos/raw'], not: [] })
  c.write('photos/raw/x.tmp', 'ignored')
  c.write('other', 'not selected')
  await settle(c, b)
  expect(c.tree()).toEqual({
    '.blobsignore': '*.tmp\n',
    'photos/.blobsignore': 'secret\n',
    'photos/raw/two': 'two',
    'photos/raw/x.tmp': 'ignored',
    other: 'not selected',
  })
  expect((await world.store.list()).items.map(({ key }) => key)).not.toContain('other')
})

test('an agent that runs goes by a new selection before it calls anything gone', async () => {
  const agent = await a.open()
  const stop = new AbortController()
  const watching = agent.watch(stop.signal)
  await agent.syncOnce()
  await choose(a, NOT_PHOTOS)
  a.remove('photos')
  a.write('docs/new', 'new')
  await agent.syncOnce()
  expect((await agent.why('photos/one')).reason).toContain('not among the folders that are selected')
  stop.abort()
  await watching
  await agent.close()
  await settle(b)
  expect(b.tree()).toEqual({ ...TREE, 'docs/new': 'new' })
})

/** Deselects as the command does, on a disk whose process dies. */
async function deselect(folder: Folder, death: Death): Promise<void> {
  try {
    await select(death.fs(fs), folder.root, NOT_PHOTOS)
    const agent = await folder.open({ fs: death.fs(fs), wrap: death.store })
    await agent.syncOnce().finally(() => agent.close())
  } catch (error) {
    if (isBlobsError(error) && !death.happened()) throw error
  }
}

test(
  'S1: killed at any step of deselecting, and cleared away by hand, nothing is deleted in the bucket',
  { timeout: 60_000 },
  async () => {
    const none = dieAt(Number.POSITIVE_INFINITY, false)
    await deselect(a, none)
    const steps = none.count()
    expect(steps).toBeGreaterThanOrEqual(2)
    for (const done of [false, true]) {
      for (let at = 1; at <= steps; at++) {
        const c = await world.folder(`c${at}${String(done)}`)
        await settle(c, b)
        c.write('docs/plan', `edited before step ${at} ${String(done)}`)
        await deselect(c, dieAt(at, done))
        // Nobody was told that it is deselected unless it is written down.
        if (readPairing(fs, c.root)?.not !== undefined) c.remove('photos')
        await settle(c, b)
        expect(b.read('photos/one'), `killed at step ${at} of ${steps}`).toBe('one')
        expect(b.read('photos/raw/two')).toBe('two')
        expect(b.read('docs/plan')).toBe(`edited before step ${at} ${String(done)}`)
        const { items } = await world.store.list({ prefix: 'photos/', deleted: true })
        expect(items.every((item) => !item.deleted && item.version === 1)).toBe(true)
      }
    }
  },
)
