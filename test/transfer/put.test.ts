import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import type { ListItem } from '../../src/store/contract/types.ts'
import { faulty } from '../../src/store/faulty.ts'
import { putItems, type PutItem, type PutResult } from '../../src/transfer/put.ts'
import { walkTree } from '../../src/transfer/tree.ts'
import { collect, openPlace, type Place } from './place.ts'

const ANY = { expect: 'any' } as const

async function keys(place: Place): Promise<readonly ListItem[]> {
  return (await place.store.list()).items
}
function counting(store: BlobStore, calls: Record<string, number>): BlobStore {
  return faulty(store, ({ method, count }) => {
    calls[method] = count
    return null
  })
}

test('thousands of small files take tens of calls, and their results come in order', async () => {
  await using place = await openPlace()
  for (let i = 0; i < 2500; i++) place.write(`t/${String(i).padStart(4, '0')}`, `file ${i}`)
  const calls: Record<string, number> = {}
  const context = place.context({ store: counting(place.store, calls) })
  const results = await collect(putItems(context, walkTree(context.fs, place.path('t'), 't/'), ANY))
  expect(results.map((result) => result.path)).toEqual(results.map((result) => result.path).sort())
  expect(results.every((result) => result.kind === 'put')).toBe(true)
  expect(results).toHaveLength(2500)
  const total = Object.values(calls).reduce((sum, count) => sum + count, 0)
  expect(total).toBeLessThan(40)
})

test('every change is an entry of its own and carries device and operation', async () => {
  await using place = await openPlace()
  place.write('t/a', 'a')
  place.write('t/b', 'b')
  const context = place.context()
  await collect(putItems(context, walkTree(context.fs, place.path('t'), ''), ANY))
  const [a, b] = await keys(place)
  expect(a?.entry).not.toBe(b?.entry)
  expect(a?.device).toBe('laptop')
})

test('one blob that is too large does not stop its neighbours', async () => {
  await using place = await openPlace({ maxBlobSize: 10 })
  for (let i = 0; i < 20; i++) place.write(`t/${i}`, 'x'.repeat(i === 7 ? 11 : 5))
  const context = place.context()
  const results = await collect(putItems(context, walkTree(context.fs, place.path('t'), ''), ANY))
  const failed = results.filter((result) => result.kind === 'failed')
  expect(failed).toMatchObject([{ path: place.path('t', '7'), error: { code: 'TooLarge' } }])
  expect(await keys(place)).toHaveLength(19)
})

test('a stale expectation fails that blob alone, with what stands there', async () => {
  await using place = await openPlace()
  place.write('t/a', 'a')
  place.write('t/b', 'b')
  const context = place.context()
  await collect(putItems(context, [...walkTree(context.fs, place.path('t'), '')].slice(0, 1), ANY))
  const results = await collect(putItems(context, walkTree(context.fs, place.path('t'), ''), { expect: 'absent' }))
  expect(results).toMatchObject([
    { kind: 'failed', error: { code: 'VersionConflict', conflicts: [{ key: 'a', current: { version: 1 } }] } },
    { kind: 'put', info: { key: 'b', version: 1 } },
  ])
})

test('a server that goes away ends the put with its error, after what was done', async () => {
  await using place = await openPlace()
  for (let i = 0; i < 3; i++) place.write(`t/${i}`, Buffer.alloc(6_000_000, i))
  const gone = new BlobsError('Unavailable', 'gone')
  const store = faulty(place.store, ({ method, count }) =>
    method === 'commit' && count > 1 ? { type: 'before', error: gone } : null,
  )
  const context = place.context({ store })
  const results: PutResult[] = []
  const all = async (): Promise<void> => {
    for await (const result of putItems(context, walkTree(context.fs, place.path('t'), ''), ANY)) results.push(result)
  }
  await expect(all()).rejects.toBe(gone)
  expect(results.length).toBeLessThanOrEqual(1)
})

test('a file that changes while it is read is not put as a mixture', async () => {
  await using place = await openPlace()
  place.write('growing', Buffer.alloc(3_000_000))
  place.write('still', 'still')
  const context = place.context()
  const { fs } = context
  const touched = {
    ...fs,
    open: async (path: string) => {
      const file = await fs.open(path)
      if (!path.endsWith('growing')) return file
      return { ...file, read: (buffer: Uint8Array, at: number) => (appendFileSync(path, 'x'), file.read(buffer, at)) }
    },
  }
  const items = [...walkTree(fs, place.folder, '')]
  const results = await collect(putItems({ ...context, fs: touched }, items, ANY))
  expect(results).toMatchObject([
    { kind: 'failed', error: { code: 'Unavailable', message: expect.stringContaining('changed while it was read') } },
    { kind: 'put' },
  ])
  expect((await keys(place)).map((item) => item.key)).toEqual(['still'])
})

test('a stream is put whole, with the type of its name, and the given metadata', async () => {
  await using place = await openPlace()
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 30; i++) yield Buffer.alloc(100_000, i)
  }
  const item: PutItem = { kind: 'stream', path: '-', key: 'a/film.mp4', source: source() }
  const [result] = await collect(putItems(place.context(), [item], { ...ANY, meta: { by: 'ada' } }))
  expect(result).toMatchObject({ info: { size: 3_000_000, contentType: 'video/mp4', meta: { by: 'ada' } } })
})

test('aborting ends a put at once, though its source is silent', async () => {
  await using place = await openPlace()
  const controller = new AbortController()
  const silent = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('x')
    await new Promise(() => undefined)
  }
  const item: PutItem = { kind: 'stream', path: '-', key: 'x', source: silent() }
  setTimeout(() => controller.abort(new Error('stop')), 20)
  await expect(collect(putItems(place.context({ signal: controller.signal }), [item], ANY))).rejects.toThrow('stop')
})

test('a walk tells what it leaves out and why, and what cannot be named', async () => {
  await using place = await openPlace()
  const context = place.context()
  mkdirSync(place.path('t', 'empty'), { recursive: true })
  mkdirSync(place.path('t', '.blobs'))
  writeFileSync(place.path('t', '.blobs', 'root.json'), '{}')
  place.write('t/inner/.blobs/root.json', '{}')
  writeFileSync(place.path('t', `.x.${'0'.repeat(32)}.blobs-tmp`), 'ours')
  symlinkSync('nowhere', place.path('t', 'link'))
  writeFileSync(join(place.folder, 't', 'e\u0301'), 'decomposed')
  writeFileSync(join(place.folder, 't', '\u00e9'), 'composed')
  writeFileSync(Buffer.concat([Buffer.from(`${place.path('t')}/bad-`), Buffer.from([0xff])]), 'not UTF-8')
  const items = [...walkTree(context.fs, place.path('t'), 't/')]
  const shown = items.map((item) => [item.kind, item.path.slice(place.folder.length + 3)] as const)
  expect(shown).toContainEqual(['folder', 'empty'])
  expect(shown).toContainEqual(['skipped', 'link'])
  expect(shown).toContainEqual(['skipped', '.blobs'])
  expect(shown.filter(([kind]) => kind === 'file')).toHaveLength(1)
  const failed = items.filter((item) => item.kind === 'failed').map((item) => String(item.error))
  expect(failed.join()).toContain('Unicode normal form C')
  expect(failed.join()).toContain('not UTF-8')
  expect(shown).toContainEqual(['skipped', 'inner/.blobs'])
  expect(items).toHaveLength(7)
})
