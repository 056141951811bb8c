import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { array, assert, asyncProperty, boolean, constantFrom, oneof, record, subarray } from 'fast-check'
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

const FOLDERS = ['x', 'y', 'x/in']
const path = record({ folder: constantFrom(...FOLDERS), name: constantFrom('1', '2') })
const action = oneof(
  record({ type: constantFrom('write' as const, 'remove' as const), who: boolean(), path }),
  record({ type: constantFrom('select' as const), only: subarray(FOLDERS), not: subarray(FOLDERS) }),
  record({ type: constantFrom('clear' as const), folder: constantFrom(...FOLDERS) }),
  record({ type: constantFrom('sync' as const), who: boolean() }),
)

test(
  'I20: whatever is selected in turn, what is not selected is touched by nobody, and clearing it away deletes nothing',
  { timeout: 120_000 },
  async () => {
    await assert(
      asyncProperty(array(action, { minLength: 5, maxLength: 25 }), async (actions) => {
        const own = await openWorld()
        try {
          const [one, two] = [await own.folder('one'), await own.folder('two')]
          let selection: Selection = { only: [], not: [] }
          const isOut = (name: string): boolean => !isSelected(selection, name, false, '.blobsignore')
          const left = (): Record<string, string | null> =>
            Object.fromEntries(Object.entries(one.tree()).filter(([name]) => !name.endsWith('/') && isOut(name)))
          const [seen, removed] = [new Set<string>(), new Set<string>()]
          const sync = async (folder: Folder): Promise<void> => {
            const before = left()
            await folder.sync()
            expect(left()).toEqual(before)
            for (const { key } of (await own.store.list()).items) if (!key.endsWith('/')) seen.add(key)
          }
          let n = 0
          let known = true
          for (const act of actions) {
            if (act.type === 'sync') {
              await sync(act.who ? one : two)
              known ||= act.who
            } else if (act.type === 'select') {
              selection = { only: act.only, not: act.not }
              await select(fs, one.root, selection)
              known = false
            } else if (act.type === 'clear') {
              // What is cleared before any sync has seen the selection, and selected again, is a deletion to whoever looks.
              if (!known) await sync(one)
              known = true
              for (const name of Object.keys(left())) if (name.startsWith(`${act.folder}/`)) one.remove(name)
            } else {
              const folder = act.who ? one : two
              const name = `${act.path.folder}/${act.path.name}`
              if (act.type === 'write') folder.write(name, `text ${n++}`)
              else if (folder.read(name) !== null) {
                folder.remove(name)
                if (!act.who || !isOut(name)) removed.add(name)
              }
            }
          }
          await sync(one)
          await settle(one, two)
          const live = new Set((await own.store.list()).items.map(({ key }) => key))
          expect([...seen].filter((key) => !live.has(key) && !removed.has(key))).toEqual([])
        } finally {
          await own.close()
        }
      }),
      { numRuns: 12 },
    )
  },
)
