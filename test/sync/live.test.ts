import { join } from 'node:path'
import { renameSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BlobsError } from '../../src/store/contract/errors.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { askAgent, readPairing, type Agent, type AgentClient, type SyncSummary } from '../../src/sync/agent.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { systemClock } from '../../src/platform/system.ts'
import { openWorld, type Folder, type FolderSettings, type World } from './world.ts'

let world: World
let a: Folder
let b: Folder
let running: { stop(): Promise<SyncSummary> }[]
beforeEach(async () => {
  world = await openWorld(systemClock)
  a = await world.folder('a')
  b = await world.folder('b')
  running = []
})
afterEach(async () => {
  for (const one of running) await one.stop()
  await world.close()
})

/** Starts an agent live and resolves once it is idle. */
async function live(
  folder: Folder,
  settings?: FolderSettings,
): Promise<{ agent: Agent; stop(): Promise<SyncSummary> }> {
  const agent = await folder.open(settings)
  const stopping = new AbortController()
  const done = agent.watch(stopping.signal)
  done.catch(() => undefined)
  let stopped: Promise<SyncSummary> | null = null
  const stop = (): Promise<SyncSummary> =>
    (stopped ??= (async () => {
      stopping.abort()
      const summary = await done
      await agent.close()
      return summary
    })())
  running.push({ stop })
  await until(() => agent.status().state === 'idle')
  return { agent, stop }
}

async function until(holds: () => boolean, patience = 15_000): Promise<number> {
  const start = performance.now()
  while (!holds()) {
    if (performance.now() - start > patience) throw new Error('it did not come to be')
    await sleep(2)
  }
  return performance.now() - start
}

async function ask(folder: Folder): Promise<AgentClient> {
  const rootId = readPairing(systemFileSystem(), folder.root)?.id ?? ''
  const client = await askAgent({ runtimeDirectory: join(world.directory, 'run'), rootId })
  if (client === null) throw new Error('no agent answers')
  return client
}

test('a save in one folder is in the other within a moment, again and again', async () => {
  await live(a)
  await live(b)
  const times: number[] = []
  for (let n = 0; n < 15; n++) {
    a.write('live.txt', `save ${n}`)
    times.push(await until(() => b.read('live.txt') === `save ${n}`))
  }
  times.sort((x, y) => x - y)
  // What is promised is 100 ms on an idle machine; a loaded one gets more.
  expect(times[Math.floor(times.length / 2)]).toBeLessThan(1_000)
})

test('edits, new folders, renames and deletes flow both ways while both run', async () => {
  await live(a)
  await live(b)
  a.write('new/folder/file.txt', 'one')
  await until(() => b.read('new/folder/file.txt') === 'one')
  b.write('new/folder/file.txt', 'two')
  await until(() => a.read('new/folder/file.txt') === 'two')
  renameSync(join(a.root, 'new'), join(a.root, 'renamed'))
  await until(() => b.read('renamed/folder/file.txt') === 'two' && b.read('new/folder/file.txt') === null)
  b.remove('renamed')
  await until(() => Object.keys(a.tree()).length === 0)
  expect(b.tree()).toEqual({})
})

test('a file that is deleted and written anew at once is one edit', async () => {
  await live(a)
  a.write('saved.txt', 'one')
  await until(() => a.events.some(({ type }) => type === 'uploaded'))
  a.remove('saved.txt')
  await sleep(60)
  a.write('saved.txt', 'two')
  await until(() => a.events.filter(({ type }) => type === 'uploaded').length === 2)
  expect(a.events.some(({ type }) => type === 'deleted-remote')).toBe(false)
  expect(await world.store.head('saved.txt')).toMatchObject({ version: 2, deleted: false })
})

test('what was saved while nobody watched is found at the start', async () => {
  a.write('early.txt', 'early')
  await live(a)
  await live(b)
  await until(() => b.read('early.txt') === 'early')
})

test('the control socket answers: status, why, wait, conflicts', async () => {
  a.write('one.txt', '1')
  await live(a)
  const client = await ask(a)
  expect(client.pid).toBe(process.pid)
  // Its own write coming back from the bucket may keep it busy for another moment.
  await expect
    .poll(() => client.status())
    .toMatchObject({ state: 'idle', synced: 1, unsynced: [], watch: { mode: 'events' } })
  expect(await client.why('one.txt')).toMatchObject({ decision: 'It is in sync.' })
  writeFileSync(join(a.root, 'two.txt'), '2')
  await client.wait()
  expect(await world.store.head('two.txt')).toMatchObject({ version: 1 })
  expect(await client.conflicts()).toEqual([])
  await expect(client.resolve('one.txt', 'mine')).rejects.toMatchObject({ code: 'NotFound' })
  await client.close()
})

test('offline is waited out, and what happened meanwhile is synced', async () => {
  const network = { up: true }
  await live(a, { wrap: (store) => unplugged(store, network) })
  await live(b)
  network.up = false
  a.write('while-off.txt', 'a')
  b.write('from-b.txt', 'b')
  await until(() => a.events.some(({ type }) => type === 'offline'))
  expect(a.read('from-b.txt')).toBeNull()
  network.up = true
  await until(() => a.read('from-b.txt') === 'b' && b.read('while-off.txt') === 'a')
  await until(() => a.events.some(({ type }) => type === 'online'))
})

function unplugged(store: BlobStore, network: { readonly up: boolean }): BlobStore {
  const check = (): void => {
    if (!network.up) throw new BlobsError('Unavailable', 'no route to the server')
  }
  return {
    ...store,
    commit: async (entries, options) => {
      check()
      return store.commit(entries, options)
    },
    stage: async (chunks) => {
      check()
      return store.stage(chunks)
    },
    fetch: async function* (wants) {
      check()
      yield* store.fetch(wants)
    },
    changes: async function* (options) {
      check()
      for await (const item of store.changes(options)) {
        check()
        yield item
      }
    },
  }
}

test('a conflict made live is resolved over the socket', async () => {
  a.write('doc.txt', 'base')
  await a.sync()
  await b.sync()
  b.write('doc.txt', 'by b')
  await b.sync()
  a.write('doc.txt', 'by a')
  await live(a)
  const client = await ask(a)
  const [conflict] = await client.conflicts()
  expect(conflict).toMatchObject({ path: 'doc.txt', exists: true, siblings: [{ device: 'a', size: 4 }] })
  expect(a.read('doc.txt')).toBe('by b')
  const sibling = conflict?.siblings[0]?.path ?? ''
  expect(await client.resolve(sibling, 'mine')).toMatchObject({ path: 'doc.txt', removed: [sibling] })
  expect(a.tree()).toEqual({ 'doc.txt': 'by a' })
  await client.close()
  await b.sync()
  expect(b.tree()).toEqual({ 'doc.txt': 'by a' })
})

test('new rules take effect while the agent runs', async () => {
  a.write('cache/data.bin', 'd')
  await live(a)
  await until(() => a.events.some(({ type }) => type === 'uploaded'))
  a.write('.blobsignore', 'cache/\n')
  const client = await ask(a)
  await client.wait()
  a.write('cache/data.bin', 'changed')
  await client.wait()
  expect(await world.store.head('cache/data.bin')).toMatchObject({ version: 1, deleted: false })
  await client.close()
})

test('the agent stops on a signal and says what it did', async () => {
  const { stop } = await live(a)
  a.write('one.txt', '1')
  await until(() => a.events.some(({ type }) => type === 'uploaded'))
  expect(await stop()).toMatchObject({ uploaded: 1 })
})
