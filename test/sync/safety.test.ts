import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import { faulty } from '../../src/store/faulty.ts'
import { openAgent, readPairing, type Agent } from '../../src/sync/agent.ts'
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

function many(folder: Folder, count: number, prefix = 'many'): void {
  for (let n = 0; n < count; n++) folder.write(`${prefix}/file-${String(n).padStart(3, '0')}.txt`, `number ${n}`)
}

test('many deletes at once wait for a yes; everything else goes on', async () => {
  many(a, 60)
  await settle(a, b)
  a.remove('many')
  a.write('new.txt', 'new')
  const summary = await a.sync()
  expect(summary).toMatchObject({ uploaded: 1, deletedRemote: 0, brake: { side: 'remote', count: 60 } })
  expect(await a.with(async (agent) => agent.status())).toMatchObject({
    waiting: [{ type: 'approval', side: 'remote', count: 60 }],
  })
  expect(Object.keys(b.tree())).toHaveLength(60)
  await b.sync()
  expect(Object.keys(b.tree())).toHaveLength(61)
})

test('approve deletes exactly the set that waited', async () => {
  many(a, 60)
  await settle(a, b)
  a.remove('many')
  await a.sync()
  expect(await a.with((agent) => agent.approve())).toEqual({ count: 60 })
  expect(await a.sync()).toMatchObject({ deletedRemote: 60, brake: null })
  // The other side's brake is its own.
  expect(await b.sync()).toMatchObject({ deletedLocal: 0, brake: { side: 'local', count: 60 } })
  expect(await b.with((agent) => agent.approve())).toEqual({ count: 60 })
  expect(await b.sync()).toMatchObject({ deletedLocal: 60, brake: null })
  expect(b.tree()).toEqual({})
})

test('an approval says nothing about later deletes', async () => {
  many(a, 60)
  many(a, 60, 'others')
  await settle(a, b)
  a.remove('many')
  await a.sync()
  await a.with((agent) => agent.approve())
  a.remove('others')
  const summary = await a.sync()
  expect(summary).toMatchObject({ deletedRemote: 60, brake: { side: 'remote', count: 60 } })
})

test('reject brings the files back from the other side', async () => {
  many(a, 60)
  await settle(a, b)
  a.remove('many')
  await a.sync()
  expect(await a.with((agent) => agent.reject())).toEqual({ count: 60 })
  expect(await a.sync()).toMatchObject({ downloaded: 60, brake: null })
  expect(Object.keys(a.tree())).toHaveLength(60)
})

test('a renamed folder is no brake', async () => {
  many(a, 130)
  await settle(a, b)
  renameSync(join(a.root, 'many'), join(a.root, 'moved'))
  expect(await a.sync()).toMatchObject({ renamed: 130, brake: null })
  expect(await b.sync()).toMatchObject({ renamed: 130, brake: null })
})

test('max-delete is the limit that counts', async () => {
  many(a, 10)
  await settle(a, b)
  a.remove('many')
  expect(await a.sync({ maxDelete: { count: 3 } })).toMatchObject({ brake: { count: 10 } })
  expect(await a.sync({ maxDelete: { percent: 100 } })).toMatchObject({ deletedRemote: 10, brake: null })
})

test('lost state deletes nothing: equal files stay silent, stale ones catch up, edits become conflicts', async () => {
  a.write('equal.txt', 'equal')
  a.write('stale.txt', 'old')
  a.write('edited.txt', 'old')
  a.write('gone-here.txt', 'x')
  a.write('gone-there.txt', 'y')
  await settle(a, b)
  b.write('stale.txt', 'newer')
  b.write('edited.txt', 'by b')
  b.remove('gone-there.txt')
  await b.sync()
  a.write('edited.txt', 'by a')
  a.remove('gone-here.txt')
  rmSync(a.state, { recursive: true })
  const summary = await a.sync()
  expect(summary).toMatchObject({ deletedLocal: 0, deletedRemote: 0, conflicts: 1 })
  await settle(a, b)
  const { 'equal.txt': equal, 'stale.txt': stale, 'edited.txt': edited, ...rest } = a.tree()
  expect({ equal, stale, edited }).toEqual({ equal: 'equal', stale: 'newer', edited: 'by b' })
  expect(rest).toMatchObject({ 'gone-here.txt': 'x', 'gone-there.txt': 'y' })
  expect(Object.values(rest).sort()).toEqual(['by a', 'x', 'y'])
  expect(b.tree()).toEqual(a.tree())
})

test('a damaged state file is set aside, and the folder is linked anew', async () => {
  a.write('one.txt', '1')
  await settle(a, b)
  const id = readPairing(systemFileSystem(), a.root)?.id ?? ''
  writeFileSync(join(a.state, id, 'state.db'), 'this is no database at all, whatever its name says'.repeat(100))
  a.events.length = 0
  expect(changed(await a.sync())).toBe(0)
  expect(a.events).toContainEqual({ type: 'relinked', why: 'the saved state was damaged' })
  expect(readdirSync(join(a.state, id))).toContain('lost-1')
})

test('S10 a bucket that went back in time is noticed: a union, and nothing is deleted', async () => {
  a.write('before.txt', 'before')
  await settle(a, b)
  // Another bucket of the same name, as after a restore: it knows only the first file.
  const restored = await world.folder('restored')
  await world.buckets.create('other')
  const other = await world.buckets.open('other')
  restored.write('before.txt', 'before')
  await restored.sync({ wrap: () => other })
  a.write('after.txt', 'after')
  await settle(a, b)
  a.events.length = 0
  const summary = await a.sync({ wrap: () => other })
  expect(summary).toMatchObject({ deletedLocal: 0, deletedRemote: 0, conflicts: 0, uploaded: 1 })
  expect(a.events.some((event) => event.type === 'relinked')).toBe(true)
  expect(await b.sync({ wrap: () => other })).toMatchObject({ deletedLocal: 0, conflicts: 0, uploaded: 0 })
  expect((await other.list()).items.map((item) => item.key)).toEqual(['after.txt', 'before.txt'])
  await other.close()
})

test('a copied folder gets an id of its own, and deletes nothing', async () => {
  a.write('one.txt', '1')
  await a.sync()
  const copy = join(world.directory, 'copy')
  cpSync(a.root, copy, { recursive: true })
  rmSync(join(copy, 'one.txt'))
  const fs = systemFileSystem()
  const before = readPairing(fs, copy)
  if (before === null) throw new Error('the copy has no marker')
  const open = (): Promise<Agent> =>
    openAgent({
      folder: copy,
      pairing: readPairing(fs, copy) ?? before,
      store: world.store,
      fs,
      clock: systemClock,
      ids: systemIds,
      device: { id: 'a'.padEnd(32, '0'), name: 'a' },
      stateDirectory: a.state,
      runtimeDirectory: join(world.directory, 'run'),
    })
  const agent = await open()
  expect(readPairing(fs, copy)?.id).not.toBe(before.id)
  expect(await agent.syncOnce()).toMatchObject({ deletedRemote: 0, downloaded: 1 })
  await agent.close()
  expect(changed(await a.sync())).toBe(0)
  // Also while the agent of the original runs.
  rmSync(copy, { recursive: true })
  cpSync(a.root, copy, { recursive: true })
  const running = await a.open()
  const second = await open()
  expect(await second.syncOnce()).toMatchObject({ deletedRemote: 0, uploaded: 0, downloaded: 0 })
  await second.close()
  await running.close()
})

test('D13 a second agent on a folder is refused and told the pid of the first', async () => {
  const first = await a.open()
  const refused = await a.open().catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(BlobsError)
  expect(refused).toMatchObject({ code: 'Refused' })
  expect(String(refused)).toContain(`pid ${process.pid}`)
  await first.close()
  await (await a.open()).close()
})

test('a socket that a killed agent left behind is no agent', async () => {
  const agent = await a.open()
  await agent.close()
  const run = join(world.directory, 'run')
  const id = readPairing(systemFileSystem(), a.root)?.id ?? ''
  writeFileSync(join(run, `${id.slice(0, 20)}.sock`), '')
  await (await a.open()).close()
})

test('S4 an empty folder at the place of the root is not an empty root', async () => {
  a.write('precious.txt', 'p')
  await a.sync()
  renameSync(a.root, `${a.root}-moved`)
  mkdirSync(a.root)
  cpSync(join(`${a.root}-moved`, '.blobs'), join(a.root, '.blobs'), { recursive: true })
  expect(await a.sync()).toMatchObject({ deletedRemote: 0, downloaded: 1 })
  expect(a.read('precious.txt')).toBe('p')
})

test('S12 a listing that is cut short at any page proves nothing', async () => {
  many(a, 30)
  await a.sync()
  for (const items of [0, 5]) {
    const cut = b.sync({
      wrap: (store) => faulty(store, ({ method }) => (method === 'list' ? { type: 'truncate', items } : null)),
    })
    await expect(cut).rejects.toMatchObject({ code: 'Unavailable' })
  }
  expect(await b.sync()).toMatchObject({ downloaded: 30, uploaded: 0, deletedRemote: 0 })
})

test('D11 signed out in the middle: no local change, and the next sync goes on', async () => {
  many(a, 5)
  await a.sync()
  const unauthenticated = new BlobsError('Unauthenticated', 'the token was revoked')
  for (const method of ['list', 'changes', 'fetch'] as const) {
    const signedOut = b.sync({
      wrap: (store) =>
        faulty(store, (call) => (call.method === method ? { type: 'before', error: unauthenticated } : null)),
    })
    await expect(signedOut).rejects.toMatchObject({ code: 'Unauthenticated' })
    expect(Object.keys(b.tree())).toHaveLength(0)
  }
  a.write('more.txt', 'more')
  const push = a.sync({
    wrap: (store) =>
      faulty(store, ({ method }) => (method === 'commit' ? { type: 'before', error: unauthenticated } : null)),
  })
  await expect(push).rejects.toMatchObject({ code: 'Unauthenticated' })
  expect(await a.sync()).toMatchObject({ uploaded: 1 })
  expect(await b.sync()).toMatchObject({ downloaded: 6 })
})

test('a path that the token does not allow is listed, and the others go on', async () => {
  a.write('yes.txt', 'y')
  a.write('no/secret.txt', 'n')
  const summary = await a.sync({
    wrap: (store) => ({
      ...store,
      commit: async (entries, options) => {
        const bad = entries.flatMap((entry) => entry.changes).find((change) => change.key.startsWith('no/'))
        if (bad) throw new BlobsError('Forbidden', 'not yours', { key: bad.key })
        return store.commit(entries, options)
      },
    }),
  })
  expect(summary).toMatchObject({ uploaded: 1, failed: [{ path: 'no/secret.txt', code: 'forbidden' }] })
  expect(existsSync(join(a.root, 'no/secret.txt'))).toBe(true)
})

test('a renamed file whose old name may not be deleted arrives at its new one', async () => {
  a.write('kept.txt', 'the same bytes')
  await settle(a, b)
  renameSync(join(a.root, 'kept.txt'), join(a.root, 'named.txt'))
  const summary = await a.sync({
    wrap: (store) => ({
      ...store,
      commit: async (entries, options) => {
        const bad = entries.flatMap((entry) => entry.changes).find((change) => change.type === 'delete')
        if (bad) throw new BlobsError('Forbidden', 'not yours', { key: bad.key })
        return store.commit(entries, options)
      },
    }),
  })
  expect(summary.failed).toMatchObject([{ path: 'kept.txt', code: 'forbidden' }])
  await b.sync()
  expect(b.tree()).toEqual({ 'kept.txt': 'the same bytes', 'named.txt': 'the same bytes' })
})

test('a rename of what was edited elsewhere meanwhile keeps both: the edit at its name, the bytes at the new one', async () => {
  a.write('doc.txt', 'first')
  await settle(a, b)
  b.write('doc.txt', 'edited')
  renameSync(join(a.root, 'doc.txt'), join(a.root, 'moved.txt'))
  let late = true
  await a.sync({
    wrap: (store) => ({
      ...store,
      commit: async (entries, options) => {
        if (late) {
          late = false
          await b.sync()
        }
        return store.commit(entries, options)
      },
    }),
  })
  await settle(a, b)
  expect(a.tree()).toEqual({ 'doc.txt': 'edited', 'moved.txt': 'first' })
  expect(b.tree()).toEqual(a.tree())
})

test('one blob that cannot be fetched is listed, and the others come', async () => {
  many(a, 4)
  a.write('bad.txt', 'bad bytes')
  await a.sync()
  const corrupt = new BlobsError('Corrupt', 'the bytes do not match their hash')
  const wrap = (store: typeof world.store): typeof world.store => ({
    ...store,
    fetch: async function* (wants) {
      if (wants.some(({ key }) => key === 'bad.txt')) throw corrupt
      yield* store.fetch(wants)
    },
    get: async (key, options) => {
      if (key === 'bad.txt') throw corrupt
      return store.get(key, options)
    },
  })
  const summary = await b.sync({ wrap })
  expect(summary).toMatchObject({ downloaded: 4, failed: [{ path: 'bad.txt', code: 'download-failed' }] })
  expect(b.read('bad.txt')).toBeNull()
  expect(await b.sync()).toMatchObject({ downloaded: 1, failed: [] })
})
