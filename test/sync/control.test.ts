import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openWorld, settle, type Folder, type World } from './world.ts'

let world: World
let a: Folder
let b: Folder
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a')
  b = await world.folder('b')
})
afterEach(() => world.close())

/** A conflict of which `a` made the sibling. */
async function conflict(path = 'notes.txt'): Promise<string> {
  a.write(path, 'base')
  await settle(a, b)
  b.write(path, 'theirs')
  await b.sync()
  a.write(path, 'mine')
  await a.sync()
  await settle(a, b)
  return Object.keys(a.tree()).find((name) => name.includes('.conflict-')) ?? ''
}

test('keep mine: the sibling takes the name, on both sides', async () => {
  const sibling = await conflict()
  expect(await a.with((agent) => agent.resolveConflict('notes.txt', 'mine'))).toEqual({
    path: 'notes.txt',
    keep: 'mine',
    removed: [sibling],
    kept: null,
  })
  await settle(a, b)
  expect(a.tree()).toEqual({ 'notes.txt': 'mine' })
  expect(b.tree()).toEqual(a.tree())
})

test('keep theirs: the sibling goes to the trash', async () => {
  await conflict()
  // Any device may resolve it.
  await b.with((agent) => agent.resolveConflict('notes.txt', 'theirs'))
  await settle(a, b)
  expect(a.tree()).toEqual({ 'notes.txt': 'theirs' })
  expect(b.tree()).toEqual(a.tree())
})

test('keep both: the sibling gets a plain name', async () => {
  const sibling = await conflict()
  const { kept } = await a.with((agent) => agent.resolveConflict(sibling, 'both'))
  expect(kept).toMatch(/^notes \(a \d{4}-\d\d-\d\d\)\.txt$/)
  await settle(a, b)
  expect(b.tree()).toEqual({ 'notes.txt': 'theirs', [kept ?? '']: 'mine' })
  expect(await b.with((agent) => agent.conflicts())).toEqual([])
})

test('with several siblings, mine has to be named', async () => {
  await conflict()
  b.write('notes.txt', 'theirs again')
  await b.sync()
  a.write('notes.txt', 'mine again')
  await a.sync()
  await a.with(async (agent) => {
    const [item] = await agent.conflicts()
    expect(item?.siblings).toHaveLength(2)
    await expect(agent.resolveConflict('notes.txt', 'mine')).rejects.toMatchObject({ code: 'Refused' })
    expect(await agent.resolveConflict('notes.txt', 'theirs')).toMatchObject({ kept: null })
  })
  await settle(a, b)
  expect(b.tree()).toEqual({ 'notes.txt': 'theirs again' })
})

test('S28 a file that merely looks like a sibling is no conflict', async () => {
  a.write('plan.conflict-20260101T000000Z-laptop-0123abcd.txt', 'just a name')
  await a.sync()
  await a.with(async (agent) => {
    expect(await agent.conflicts()).toEqual([])
    await expect(agent.resolveConflict('plan.txt', 'mine')).rejects.toMatchObject({ code: 'NotFound' })
  })
})

test('why tells of every kind of path what there is, what is decided and what to do', async () => {
  a.write('.blobsignore', '*.tmp\n')
  a.write('synced.txt', 's')
  a.write('scratch.tmp', 't')
  await a.sync()
  a.write('new.txt', 'n')
  symlinkSync('synced.txt', join(a.root, 'link'))
  await a.with(async (agent) => {
    await agent.dryRun()
    expect(await agent.why('synced.txt')).toMatchObject({
      decision: 'It is in sync.',
      base: expect.stringContaining('version 1'),
    })
    expect(await agent.why('new.txt')).toMatchObject({
      base: 'never in sync',
      remote: 'not there',
      decision: expect.stringContaining('goes to the bucket'),
    })
    expect(await agent.why('link')).toMatchObject({
      local: 'cannot be judged (symlink)',
      reason: expect.stringContaining('symbolic link'),
    })
    expect(await agent.why('scratch.tmp')).toMatchObject({
      local: '1 bytes, ignored',
      reason: 'The line *.tmp of .blobsignore ignores it.',
    })
    expect(await agent.why('later.tmp')).toMatchObject({ local: 'not there' })
    expect(await agent.why('nowhere.txt')).toMatchObject({ decision: 'Nothing is known of it.' })
  })
})

test('a dry run says what a sync would do and does nothing', async () => {
  a.write('stays.txt', 'stays')
  a.write('old-name.txt', 'moves without bytes')
  a.write('gone.txt', 'gone')
  await settle(a, b)
  b.write('theirs.txt', 'theirs')
  await b.sync()
  a.write('new.txt', 'new')
  a.remove('gone.txt')
  a.write('new-name.txt', 'moves without bytes')
  a.remove('old-name.txt')
  const before = a.tree()
  const { lines, brake } = await a.with((agent) => agent.dryRun())
  expect(brake).toBeNull()
  expect([...lines].sort((x, y) => (x.path < y.path ? -1 : 1))).toEqual([
    { action: 'delete-remote', path: 'gone.txt' },
    { action: 'rename', path: 'new-name.txt', from: 'old-name.txt' },
    { action: 'upload', path: 'new.txt', size: 3 },
    { action: 'download', path: 'theirs.txt', size: 6 },
  ])
  expect(a.tree()).toEqual(before)
  expect((await world.store.list()).items.map(({ key }) => key)).toEqual([
    'gone.txt',
    'old-name.txt',
    'stays.txt',
    'theirs.txt',
  ])
})

test('status names what is synced, pending and not synced', async () => {
  a.write('one.txt', '1')
  symlinkSync('one.txt', join(a.root, 'link'))
  await a.sync()
  a.write('two.txt', '22')
  await a.with(async (agent) => {
    await agent.dryRun()
    expect(agent.status()).toMatchObject({
      state: 'idle',
      root: a.root,
      synced: 1,
      pending: { files: 1, bytes: 2 },
      waiting: [],
      unsynced: [{ path: 'link', code: 'symlink', reason: expect.any(String), remedy: expect.any(String) }],
      watch: { mode: 'off', remedy: null },
      lastVerified: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    })
  })
})
