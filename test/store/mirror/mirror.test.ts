import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BlobStore, Buckets } from '../../../src/store/contract/blob-store.ts'
import { SYSTEM_BUCKET } from '../../../src/store/contract/keys.ts'
import { bytesOf, collect, commit, deleteChange, entry, put, putChange, remove, textOf, told } from '../acts.ts'
import { openFuse } from './fuse.ts'
import { mirrorMachine, type MirrorMachine } from './machine.ts'
import { memoryPlace, writeThere, type MemoryBucket, type MemoryPlace } from './memory-foreign.ts'

let place: MemoryPlace
let machine: MirrorMachine
let buckets: Buckets
let store: BlobStore
let there: MemoryBucket
beforeEach(async () => {
  place = memoryPlace()
  machine = mirrorMachine(place, { inMemory: true })
  buckets = machine.open()
  await buckets.create('bucket')
  store = await buckets.open('bucket')
  there = place.buckets.get('bucket') ?? { id: '', blobs: new Map() }
})
afterEach(() => machine.dispose())

async function history(of: BlobStore = store): Promise<readonly string[]> {
  return (await collect(of.changes({}))).map(told)
}

describe('what happens there', () => {
  it('becomes versions by somebody unknown, and tombstones', async () => {
    writeThere(there, 'k', 'one')
    expect(await store.head('k')).toMatchObject({ version: 1, author: 'unknown', size: 3 })
    writeThere(there, 'k', 'two')
    expect(await textOf(store, 'k')).toBe('two')
    expect(await textOf(store, 'k', { version: 1 })).toBe('one')
    writeThere(there, 'k', null)
    expect(await store.head('k')).toMatchObject({ version: 3, deleted: true })
    writeThere(there, 'k', 'back')
    expect(await store.head('k')).toMatchObject({ version: 4, deleted: false })
  })

  it('makes no version when it writes the same bytes again', async () => {
    await put(store, 'k', 'same', { contentType: 'text/x', meta: { mode: '755' } })
    writeThere(there, 'k', 'same')
    expect(await store.head('k')).toMatchObject({ version: 1, author: '' })
    writeThere(there, 'k', 'other')
    expect(await store.head('k')).toMatchObject({ version: 2, contentType: 'text/x', meta: { mode: '755' } })
  })

  it('is told to those who wait', async () => {
    const stop = new AbortController()
    const feed = store.changes({ live: true, signal: stop.signal })[Symbol.asyncIterator]()
    await feed.next()
    writeThere(there, 'k', 'news')
    expect((await feed.next()).value).toMatchObject({ type: 'put', key: 'k', version: 1 })
    stop.abort()
    while ((await feed.next()).done !== true);
  })

  it('is not taken while it is half there, and hides nothing that is whole', async () => {
    writeThere(there, 'k', 'whole')
    writeThere(there, 'new', 'hal', 1)
    expect(await textOf(store, 'k')).toBe('whole')
    writeThere(there, 'k', 'hal', 1)
    expect(await textOf(store, 'k')).toBe('whole')
    expect(await store.head('new')).toBeNull()
    writeThere(there, 'k', 'half')
    expect(await textOf(store, 'k')).toBe('half')
  })

  it('is no delete when the listing is cut short, or fails', async () => {
    for (const key of ['a', 'b', 'c', 'd', 'e']) writeThere(there, key, key)
    expect((await store.info()).blobs).toBe(5)
    let lists = 0
    place.step = (what) => {
      if (what === 'list' && ++lists === 2) throw new Error('cut short')
    }
    await expect(store.list()).rejects.toThrow('cut short')
    place.step = () => undefined
    expect((await store.info()).blobs).toBe(5)
    expect((await history()).filter((item) => item.startsWith('delete'))).toEqual([])
  })

  it('is another bucket when one of the same name was made anew', async () => {
    writeThere(there, 'k', 'old')
    const { epoch } = await store.info()
    await store.close()
    place.buckets.set('bucket', { id: 'another', blobs: new Map() })
    const again = await buckets.open('bucket')
    expect((await again.info()).epoch).not.toBe(epoch)
    expect(await again.head('k')).toBeNull()
  })

  it('leaves out what no bucket of ours could hold, and says so', async () => {
    const warnings: string[] = []
    const other = machine.open({ warn: (message) => warnings.push(message) })
    writeThere(there, 'a//b', 'x')
    writeThere(there, 'good', 'x')
    const { items } = await (await other.open('bucket')).list()
    expect(items.map(({ key }) => key)).toEqual(['good'])
    expect(warnings).toEqual([expect.stringContaining('a//b')])
  })
})

it('notes that are lost cost nothing, wherever the look after it is cut short', async () => {
  const fuse = openFuse()
  place.step = () => fuse.step()
  const lose = (): void => {
    const state = join(machine.home, 'state')
    for (const name of readdirSync(state)) {
      for (const end of ['', '-wal', '-shm']) rmSync(join(state, name, `mirror.db${end}`), { force: true })
    }
  }
  await buckets.close()
  for (let steps = 0; steps < 24; steps++) {
    fuse.reset()
    for (const key of ['a', 'b', 'c']) writeThere(there, key, `${key} ${steps}`)
    const before = machine.open({ disk: fuse.disk }, fuse.shadow)
    await (await before.open('bucket')).info()
    await before.close()
    lose()
    writeThere(there, 'a', `changed ${steps}`)
    writeThere(there, 'b', null)
    const cut = machine.open({ disk: fuse.disk }, fuse.shadow)
    fuse.light(steps)
    await cut
      .open('bucket')
      .then((one) => one.info())
      .catch(() => undefined)
    fuse.reset()
    await cut.close().catch(() => undefined)
    const after = machine.open({ disk: fuse.disk }, fuse.shadow)
    const again = await after.open('bucket')
    const { items } = await again.list()
    expect(
      items.map(({ key }) => key),
      `cut short after ${steps} steps`,
    ).toEqual(['a', 'c'])
    expect(await textOf(again, 'a')).toBe(`changed ${steps}`)
    expect((await again.head('c'))?.version).toBe(1 + steps)
    await after.close()
  }
}, 60_000)

describe('what we write', () => {
  it('holds up nobody who reads meanwhile, however long it takes', async () => {
    await put(store, 'k', 'old')
    let end = (): void => undefined
    const ended = new Promise<void>((resolve) => (end = resolve))
    const begun = new Promise<void>((resolve) => {
      place.pause = () => (resolve(), ended)
    })
    const writing = put(store, 'k', 'new')
    await begun
    const start = performance.now()
    for (let reads = 0; reads < 5; reads++) expect(await textOf(store, 'k')).toBe('old')
    expect(performance.now() - start).toBeLessThan(2000)
    end()
    await writing
    expect(await textOf(store, 'k')).toBe('new')
  })

  it('is judged by what is there at that moment', async () => {
    const first = await put(store, 'k', 'one')
    writeThere(there, 'k', 'theirs')
    const outcome = await commit(
      store,
      entry(await putChange(store, 'k', 'two', { expect: { version: 1, hash: first.hash } })),
    )
    expect(outcome).toMatchObject({ ok: false, conflicts: [{ current: { version: 2, author: 'unknown' } }] })
    expect(there.blobs.get('k')?.bytes.toString()).toBe('theirs')
  })

  it('is written there once, and equal bytes not at all', async () => {
    const writes: string[] = []
    place.step = (what) => void (what.startsWith('write ') && writes.push(what))
    const input = entry(await putChange(store, 'k', 'one'))
    const [first] = await store.commit([input])
    expect(await store.commit([input])).toEqual([first])
    await put(store, 'k', 'one', { meta: { mode: '755' } })
    await remove(store, 'k')
    await commit(store, entry(deleteChange('k')))
    expect(writes).toEqual(['write k', 'write k'])
    expect(await history()).toEqual(['put k 1', 'put k 2', 'delete k 3', 'bookmark'])
  })

  it('of any size goes there as a stream, and comes back', async () => {
    const bytes = Buffer.alloc(3_000_000, 'large and regular ')
    await put(store, 'large', bytes)
    expect(there.blobs.get('large')?.bytes.equals(bytes)).toBe(true)
    const elsewhere = mirrorMachine(place, { inMemory: true })
    try {
      expect((await bytesOf(await elsewhere.open().open('bucket'), 'large'))?.equals(bytes)).toBe(true)
    } finally {
      await elsewhere.dispose()
    }
  })

  it('is refused, before anything happens, what could never be there', async () => {
    const good = await putChange(store, 'good', 'x')
    const bad = await putChange(store, 'too long for it', 'x')
    await expect(store.commit([entry(good), entry(bad)])).rejects.toMatchObject({ code: 'InvalidKey' })
    expect(there.blobs.size).toBe(0)
  })

  it('is refused unless the user is the only writer, and says how to say so; reading works', async () => {
    writeThere(there, 'k', 'readable')
    const reader = await machine.open({ singleWriter: false }).open('bucket')
    expect(await textOf(reader, 'k')).toBe('readable')
    for (const act of [() => put(reader, 'x', 'x'), () => remove(reader, 'k')]) {
      await expect(act()).rejects.toMatchObject({
        code: 'Refused',
        message: expect.stringContaining('the last one who writes wins'),
        hint: expect.stringContaining('single-writer'),
      })
    }
    expect(there.blobs.size).toBe(1)
  })

  it('of several keys is ended by the next who writes, when it was cut short', async () => {
    await put(store, 'from', 'moved')
    place.step = (what) => {
      if (what === 'write from') throw new Error('cut short')
    }
    const { hash, size } = (await store.head('from')) ?? { hash: '', size: 0 }
    const copy = { key: 'from', version: 1 }
    const move = entry(
      { type: 'put', key: 'to', expect: 'absent', hash, size, body: { copy }, contentType: 'a/b', meta: {} },
      deleteChange('from', { version: 1, hash }),
    )
    await expect(store.commit([move])).rejects.toThrow('cut short')
    expect([...there.blobs.keys()]).toEqual(['from', 'to'])
    place.step = () => undefined
    expect(await store.commit([move])).toMatchObject([{ ok: true }])
    expect([...there.blobs.keys()]).toEqual(['to'])
    expect(await history()).toEqual(['put from 1', 'put to 1', 'delete from 2', 'bookmark'])
  })
})

describe('places', () => {
  it('are listed with what is there, without reading it', async () => {
    writeThere(there, 'k', '12345')
    place.step = (what) => {
      if (what.startsWith('read')) throw new Error('read')
    }
    expect(await collect(machine.open().list())).toMatchObject([{ name: 'bucket', blobs: 1, bytes: 5 }])
  })

  it('have buckets that are made and removed', async () => {
    await expect(buckets.create('bucket')).rejects.toMatchObject({ code: 'AlreadyExists' })
    await put(store, 'k', 'x')
    await buckets.remove('bucket')
    expect(place.buckets.size).toBe(0)
    await expect(store.head('k')).rejects.toMatchObject({ code: 'NotFound' })
    await expect(buckets.open('bucket')).rejects.toMatchObject({ code: 'NotFound' })
  })

  it('are not told what a server must know of tokens', async () => {
    await buckets.create(SYSTEM_BUCKET)
    await put(await buckets.open(SYSTEM_BUCKET), 'token', 'x')
    expect([...place.buckets.keys()]).toEqual(['bucket'])
  })
})

it('several processes of a machine may use a mirror at once: nothing is lost, nothing doubled', async () => {
  const script = fileURLToPath(new URL('adding-process.ts', import.meta.url))
  const children = [1, 2].map(() =>
    spawn(process.execPath, ['--no-warnings', script, machine.home, '8'], { stdio: ['ignore', 'inherit', 'inherit'] }),
  )
  const ends = await Promise.all(children.map((child) => once(child, 'close')))
  expect(ends.map(([code]) => code as number)).toEqual([0, 0])
  const { readPlace } = await import('./adding-process.ts')
  expect(readPlace(machine.home).get('k')).toBe('16')
})
