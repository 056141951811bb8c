/** Edits and answers in the order that nobody planned for. */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import type { Clock } from '../../src/platform/ports.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import type { PutChange } from '../../src/store/contract/types.ts'
import { faulty } from '../../src/store/faulty.ts'
import type { Agent } from '../../src/sync/agent.ts'
import { dieAt } from '../sync/dying.ts'
import { changed, hastyClock, openWorld, settle, type Folder, type World } from '../sync/world.ts'
import { before, telling, until } from './between.ts'

let world: World
let a: Folder
let b: Folder
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a')
  b = await world.folder('b')
})
afterEach(() => world.close())

const disk = systemFileSystem()
const texts = (folder: Folder): (string | null)[] => Object.values(folder.tree()).sort()

test('D4 an agent that dies between the sibling and the bytes of the other side makes no second sibling', async () => {
  a.write('doc.txt', 'base')
  await settle(a, b)
  b.write('doc.txt', 'theirs')
  await b.sync()
  a.write('doc.txt', 'mine')
  const dead = telling(disk, (call) => {
    if (call === 'exchange') throw new Error('killed')
  })
  await a.sync({ fs: dead }).catch(() => undefined)
  const sibling = Object.keys(a.tree()).find((path) => path.includes('.conflict-')) ?? ''
  expect(a.tree()).toEqual({ 'doc.txt': 'mine', [sibling]: 'mine' })
  await settle(a, b)
  expect(a.tree()).toEqual({ 'doc.txt': 'theirs', [sibling]: 'mine' })
  expect(b.tree()).toEqual(a.tree())
})

test('D5 two devices that conflict at once with a third make two siblings, with names of their own, everywhere', async () => {
  const c = await world.folder('c')
  c.write('doc.txt', 'base')
  await settle(a, b, c)
  for (const [folder, text] of [
    [a, 'by a'],
    [b, 'by b'],
    [c, 'by c'],
  ] as const) {
    folder.write('doc.txt', text)
    utimesSync(join(folder.root, 'doc.txt'), 1_800_000_000, 1_800_000_000)
  }
  await c.sync()
  await Promise.all([a.sync(), b.sync()])
  await settle(a, b, c)
  expect(texts(c)).toEqual(['by a', 'by b', 'by c'])
  expect(c.read('doc.txt')).toBe('by c')
  expect(a.tree()).toEqual(c.tree())
  expect(b.tree()).toEqual(c.tree())
})

test('D7 news of our own version that comes before the answer to it downloads nothing and is no conflict', async () => {
  const live = await openWorld(systemClock)
  const x = await live.folder('a')
  let told = 0
  const wrap = (store: BlobStore): BlobStore => ({
    ...store,
    commit: async (entries, options) => {
      const outcomes = await store.commit(entries, options)
      const toldBefore = told
      await until(() => told > toldBefore, 2_000)
      await sleep(30)
      return outcomes
    },
    changes: async function* (options) {
      for await (const item of store.changes(options)) {
        yield item
        if (item.type === 'put') told++
      }
    },
  })
  const agent = await x.open({ wrap })
  const stopping = new AbortController()
  const done = agent.watch(stopping.signal)
  const uploads = (): number => x.events.filter(({ type }) => type === 'uploaded').length
  for (let n = 1; n <= 3; n++) {
    x.write('doc', `version ${n}`)
    await until(() => uploads() >= n)
  }
  stopping.abort()
  await done
  expect(x.events.filter(({ type }) => type === 'downloaded' || type === 'conflict')).toEqual([])
  expect(x.tree()).toEqual({ doc: 'version 3' })
  expect(await live.store.head('doc')).toMatchObject({ version: 3 })
  await live.close()
})

test.each([
  ['steps back a year', -365 * 24 * 3_600_000],
  ['jumps ahead a year', 365 * 24 * 3_600_000],
])('D8 a clock that %s in the middle changes no decision', async (_, step) => {
  const outcome = async (shift: number): Promise<unknown> => {
    let offset = 0
    const clock: Clock = { ...hastyClock, now: () => hastyClock.now() + offset }
    const here = await openWorld(clock)
    const [x, y] = [await here.folder('a'), await here.folder('b')]
    for (const path of ['same', 'edited', 'both.txt', 'gone']) x.write(path, path)
    await settle(x, y)
    y.write('edited', 'by y')
    y.write('both.txt', 'by y')
    y.remove('gone')
    x.write('both.txt', 'by x')
    x.write('new', 'new')
    utimesSync(join(x.root, 'both.txt'), 1_800_000_000, 1_800_000_000)
    await y.sync({ wrap: (store) => before(store, 'commit', () => (offset += shift)) })
    const summary = await x.sync({ wrap: (store) => before(store, 'changes', () => (offset += shift)) })
    await settle(x, y)
    const { uploaded, downloaded, deletedLocal, deletedRemote, conflicts } = summary
    const result = { uploaded, downloaded, deletedLocal, deletedRemote, conflicts, tree: x.tree(), equal: y.tree() }
    await here.close()
    return result
  }
  expect(await outcome(step)).toEqual(await outcome(0))
})

test('D14 a file that becomes a folder of ten thousand files while it is sent', { timeout: 120_000 }, async () => {
  a.write('thing', 'a file')
  const replace = (): void => {
    a.remove('thing')
    mkdirSync(join(a.root, 'thing'))
    for (let n = 0; n < 10_000; n++) writeFileSync(join(a.root, 'thing', `${n}`), `${n % 100}`)
  }
  await a.sync({ wrap: (store) => before(store, 'stage', replace) })
  await a.sync()
  const listed = async (): Promise<number> => (await a.with(async (agent) => agent.status())).synced
  expect(await listed()).toBe(10_000)
  expect(await world.store.head('thing')).toMatchObject({ deleted: true })
  expect(await world.store.head('thing/9999')).toMatchObject({ deleted: false })
})

test('D11 a token that is revoked while the agent runs: it says so, and changes nothing here', async () => {
  const live = await openWorld(systemClock)
  const x = await live.folder('a')
  for (let n = 0; n < 10; n++) x.write(`file-${n}`, `${n}`)
  await x.sync()
  const tree = x.tree()
  const revoked = new BlobsError('Unauthenticated', 'the token was revoked')
  const wrap = (store: BlobStore): BlobStore => faulty(store, () => ({ type: 'before', error: revoked }))
  const agent: Agent = await x.open({ wrap })
  const stopping = new AbortController()
  const done = agent.watch(stopping.signal)
  await until(() => agent.status().state === 'unauthenticated')
  expect(agent.status().state).toBe('unauthenticated')
  expect(x.tree()).toEqual(tree)
  stopping.abort()
  await done
  await live.close()
})

test('S15 strange modification times in the bucket are no reason to send or fetch anything again', async () => {
  // Those from the fifth on a server of ours refuses: they come from one that does not.
  const times = ['0', '-1', '2147483648', '253402300800', '1e300', 'NaN', '', 'yesterday']
  const strange = <T extends object>(item: T): T => {
    const time = 'key' in item ? times[Number(/^file-([4-9])$/.exec(String(item.key))?.[1])] : undefined
    return time === undefined ? item : { ...item, meta: { mtime: time } }
  }
  const wrap = (store: BlobStore): BlobStore => ({
    ...store,
    list: async (options) => {
      const page = await store.list(options)
      return { ...page, items: page.items.map(strange) }
    },
    changes: async function* (options) {
      for await (const item of store.changes(options)) yield strange(item)
    },
  })
  a.write('model', 'the same bytes')
  await a.sync()
  const { hash = '', size = 0 } = (await world.store.head('model')) ?? {}
  const put = (mtime: string, n: number): PutChange => ({
    type: 'put',
    key: `file-${n}`,
    expect: 'absent',
    hash,
    size,
    body: { copy: { key: 'model', version: 1 } },
    contentType: 'text/plain',
    meta: n < 4 ? { mtime } : {},
  })
  await world.store.commit(times.map((time, n) => ({ id: systemIds.next(), changes: [put(time, n)] })))
  expect(await a.sync({ wrap })).toMatchObject({ downloaded: times.length, failed: [] })
  expect(await b.sync({ wrap })).toMatchObject({ downloaded: times.length + 1, failed: [] })
  expect(changed(await a.sync({ wrap }))).toBe(0)
  for (const path of Object.keys(a.tree())) utimesSync(join(a.root, path), 0, 0)
  expect(changed(await a.sync({ wrap }))).toBe(0)
  expect(changed(await b.sync({ wrap }))).toBe(0)
  expect(await world.store.head('file-0')).toMatchObject({ version: 1 })
})

test('S13 an agent that dies in any step of a conflict and starts again is one conflict', async () => {
  a.write('doc.txt', 'base')
  await settle(a, b)
  b.write('doc.txt', 'theirs')
  await b.sync()
  a.write('doc.txt', 'mine')
  for (let at = 1; at < 12; at++) {
    const death = dieAt(at, at % 2 === 0)
    await a.sync({ fs: death.fs(disk), wrap: death.store }).catch(() => undefined)
  }
  await settle(a, b)
  expect(texts(b)).toEqual(['mine', 'theirs'])
})
