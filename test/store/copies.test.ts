import { expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { sha256 } from '../../src/content/hash.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { encodeEntry, type Entry } from '../../src/store/entry.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import { newId, put, textOf } from './acts.ts'

it('a put that is dropped from the start makes a version without bytes, which a checkpoint keeps; in format 1 the word means nothing', async () => {
  const backend = openMemory()
  await backend.create('copy')
  const { promises } = backend
  const open = async () => {
    const ports = await backend.open('copy')
    if (ports === null) throw new Error('no bucket')
    return { ports, store: await openLogStore({ name: 'copy', ports, viewDirectory: null, promises, clock, ids }) }
  }
  const first = await open()
  await put(first.store, 'there', 'x')
  const hash = sha256(Buffer.from('x'))
  const base = { time: 7, author: 'ann', device: '', based: 2 }
  const change = { expect: 'any', hash, size: 1, depth: 0, type: 'text/plain', meta: {}, dropped: true } as const
  const [old, fresh] = [newId(), newId()]
  const entries: readonly Entry[] = [
    { v: 1, id: old, ...base, changes: [{ put: 'old', refs: [[hash, 1]], ...change }] },
    { v: 2, id: fresh, ...base, changes: [{ put: 'fresh', refs: [], ...change }] },
  ]
  await first.ports.log.append(entries.map((entry) => ({ id: entry.id, data: encodeEntry(entry) })))
  await first.store.checkpoint()
  await first.store.close()
  const { store } = await open()
  expect(await textOf(store, 'old')).toBe('x')
  expect(await store.get('fresh')).toBeNull()
  const modified = new Date(7).toISOString()
  expect(await store.head('fresh')).toMatchObject({ version: 1, size: 1, hash, author: 'ann', modified, dropped: true })
  expect(await put(store, 'fresh', 'again')).toMatchObject({ version: 2 })
  await store.close()
})
