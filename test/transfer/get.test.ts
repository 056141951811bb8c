import { chmodSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { EMPTY_HASH } from '../../src/content/hash.ts'
import { systemIds } from '../../src/platform/system.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import { faulty } from '../../src/store/faulty.ts'
import { getFile, getFolder, readBlob } from '../../src/transfer/get.ts'
import { segmentsOf } from '../../src/transfer/landing.ts'
import { lookUp, requireBlob } from '../../src/transfer/listing.ts'
import { putItems } from '../../src/transfer/put.ts'
import { removeTarget } from '../../src/transfer/remove.ts'
import { restoreTime, restoreVersion } from '../../src/transfer/restore.ts'
import { walkTree } from '../../src/transfer/tree.ts'
import { collect, openPlace, type Place } from './place.ts'

async function putTree(place: Place, prefix = 't/'): Promise<void> {
  const context = place.context()
  await collect(putItems(context, walkTree(context.fs, place.path('from'), prefix), { expect: 'any' }))
}

describe('a folder', () => {
  test('comes back the same in a few round trips', async () => {
    await using place = await openPlace()
    for (let i = 0; i < 1200; i++) place.write(`from/${i % 7}/${i}`, `file ${i}`)
    const large = randomBytes(2_500_000)
    place.write('from/large', large)
    chmodSync(place.write('from/run.sh', '#!/bin/sh\n'), 0o755)
    await putTree(place)
    let calls = 0
    const store = faulty(place.store, () => ((calls += 1), null))
    const results = await collect(getFolder(place.context({ store }), 't', place.path('to')))
    expect(results.every((result) => result.kind === 'got')).toBe(true)
    expect(results).toHaveLength(1202)
    expect(calls).toBeLessThan(15)
    expect(readFileSync(place.path('to', 'large')).equals(large)).toBe(true)
    expect(readFileSync(place.path('to', '5', '1104'), 'utf8')).toBe('file 1104')
    expect(statSync(place.path('to', 'run.sh')).mode & 0o111).not.toBe(0)
    expect(statSync(place.path('to', 'large')).mtimeMs).toBe(statSync(place.path('from', 'large')).mtimeMs)
    expect(readdirSync(place.path('to')).some((name) => name.includes('blobs-tmp'))).toBe(false)
  })

  test('of which a listing is cut short is not taken for whole', async () => {
    await using place = await openPlace()
    for (let i = 0; i < 30; i++) place.write(`from/${i}`, `${i}`)
    await putTree(place)
    const store = faulty(place.store, ({ method }) => (method === 'list' ? { type: 'truncate', items: 10 } : null))
    const got = collect(getFolder(place.context({ store }), 't', place.path('to')))
    await expect(got).rejects.toMatchObject({ code: 'Unavailable' })
  })

  test('loses only what is corrupt', async () => {
    await using place = await openPlace()
    for (const name of ['a', 'b', 'c']) place.write(`from/${name}`, name)
    await putTree(place)
    const corrupt = new BlobsError('Corrupt', 'bad bytes')
    const broken = faulty(place.store, ({ method }) =>
      method === 'fetch' ? { type: 'cut', items: 1, error: corrupt } : null,
    )
    const store = {
      ...broken,
      get: async (key: string, options?: object) => {
        if (key === 't/b') throw corrupt
        return broken.get(key, options)
      },
    }
    const results = await collect(getFolder(place.context({ store }), 't', place.path('to')))
    expect(results.map((result) => result.kind)).toEqual(['got', 'failed', 'got'])
    expect(readdirSync(place.path('to')).sort()).toEqual(['a', 'c'])
  })

  test('that cannot be made where a file or a link stands is told blob by blob', async () => {
    await using place = await openPlace()
    place.write('from/sub/x', 'x')
    place.write('from/y', 'y')
    place.write('elsewhere/kept', 'kept')
    await putTree(place)
    place.write('to/y/occupied', 'a folder has the name')
    symlinkSync(place.path('elsewhere'), place.path('to', 'sub'))
    const results = await collect(getFolder(place.context(), 't', place.path('to')))
    expect(results).toMatchObject([
      { kind: 'failed', error: { code: 'Refused', message: expect.stringContaining('symbolic link') } },
      { kind: 'failed', error: { code: 'Refused', message: expect.stringContaining('is a folder') } },
    ])
    expect(readdirSync(place.path('elsewhere'))).toEqual(['kept'])
  })
})

describe('where a key may lead', () => {
  test.each(['a', 'a/b.txt', 'ü/日本', 'a/', '...', 'a/.hidden'])('%j is a path below', (key) => {
    expect(Array.isArray(segmentsOf(key))).toBe(true)
  })
  test.each(['..', '../x', 'a/../b', '/abs', 'a//b', '.', './a', 'a/..', '', 'a\0b', 'x'.repeat(256)])(
    '%j leads nowhere',
    (key) => {
      expect(typeof segmentsOf(key)).toBe('string')
    },
  )
})

describe('a single blob', () => {
  test('whose stream breaks leaves the old file as it was, and nothing beside it', async () => {
    await using place = await openPlace()
    place.write('from/large', randomBytes(3_000_000))
    await putTree(place)
    const path = place.write('to/large', 'as it was')
    const store = faulty(place.store, ({ method }) => (method === 'get' ? { type: 'cut', items: 2 } : null))
    const context = place.context({ store })
    const info = await requireBlob(context, 't/large')
    await expect(getFile(context, { info, path })).rejects.toMatchObject({ code: 'Unavailable' })
    expect(readFileSync(path, 'utf8')).toBe('as it was')
    expect(readdirSync(place.path('to'))).toEqual(['large'])
  })

  test('can be read in part', async () => {
    await using place = await openPlace()
    place.write('from/x', '0123456789')
    await putTree(place)
    const context = place.context()
    const info = await requireBlob(context, 't/x')
    const part = async (first: number, last: number): Promise<string> =>
      Buffer.concat(await collect(readBlob(context, info, [first, last]))).toString()
    expect([await part(2, 4), await part(8, Infinity), await part(-3, Infinity)]).toEqual(['234', '89', '789'])
  })
})

describe('what a name means', () => {
  test('a blob, a folder, both, a tombstone, or nothing', async () => {
    await using place = await openPlace()
    place.write('from/a', 'a')
    place.write('from/ab', 'ab')
    place.write('from/d/x', 'x')
    await putTree(place)
    const context = place.context()
    expect(await lookUp(context, 't/a')).toMatchObject({ blob: { key: 't/a' }, folder: false })
    expect(await lookUp(context, 't/d')).toMatchObject({ blob: null, folder: true })
    expect(await lookUp(context, 't/d/')).toMatchObject({ blob: null, folder: true })
    expect(await lookUp(context, 't/')).toMatchObject({ folder: true })
    expect(await lookUp(context, '')).toMatchObject({ folder: true })
    expect(await lookUp(context, 't/abc')).toEqual({ blob: null, folder: false })
    await collect(removeTarget(context, 't/a', { recursive: false, dryRun: false }))
    expect(await lookUp(context, 't/a')).toMatchObject({ blob: { deleted: true }, folder: false })
    await expect(requireBlob(context, 't/a')).rejects.toMatchObject({
      code: 'NotFound',
      hint: expect.stringContaining('blobs restore team/t/a --version 1'),
    })
    await expect(requireBlob(context, 't/d')).rejects.toMatchObject({ code: 'InvalidRequest' })
  })
})

describe('remove and restore', () => {
  test('what changed since it was seen is kept and told', async () => {
    await using place = await openPlace()
    place.write('from/a', 'a')
    place.write('from/b', 'b')
    await putTree(place)
    const change = async (): Promise<void> => {
      await place.store.commit([
        {
          id: systemIds.next(),
          changes: [
            {
              type: 'put',
              key: 't/b',
              expect: 'any',
              hash: EMPTY_HASH,
              size: 0,
              body: { depth: 0, refs: [] },
              contentType: 'text/plain',
              meta: {},
            },
          ],
        },
      ])
    }
    const store = {
      ...place.store,
      commit: async (...args: Parameters<typeof place.store.commit>) => (await change(), place.store.commit(...args)),
    }
    const results = await collect(removeTarget(place.context({ store }), 't', { recursive: true, dryRun: false }))
    expect(results).toMatchObject([
      { kind: 'removed', info: { key: 't/a', deleted: true } },
      { kind: 'failed', key: 't/b', error: { code: 'VersionConflict' } },
    ])
  })

  test('a dry run changes nothing', async () => {
    await using place = await openPlace()
    place.write('from/a', 'a')
    await putTree(place)
    const before = (await place.store.info()).head
    await collect(removeTarget(place.context(), 't', { recursive: true, dryRun: true }))
    expect((await place.store.info()).head).toBe(before)
  })

  test('a restored version is a new one with the old bytes, and no bytes travel', async () => {
    await using place = await openPlace()
    place.write('from/a', 'first')
    await putTree(place)
    place.write('from/a', 'second')
    await putTree(place)
    const calls: string[] = []
    const store = faulty(place.store, ({ method }) => (calls.push(method), null))
    const results = await collect(restoreVersion(place.context({ store }), 't/a', 1))
    expect(results).toMatchObject([{ kind: 'restored', info: { version: 3 }, from: 1 }])
    expect(calls).not.toContain('stage')
    const again = await collect(restoreVersion(place.context(), 't/a', 1))
    expect(again).toMatchObject([{ kind: 'unchanged', info: { version: 3 } }])
  })

  test('a mistyped time does not empty a folder', async () => {
    await using place = await openPlace()
    place.write('from/a', 'a')
    await putTree(place)
    const restored = collect(restoreTime(place.context(), 't', '2001-01-01T00:00:00.000Z'))
    await expect(restored).rejects.toMatchObject({ code: 'NotFound' })
    expect(existsSync(place.path('from', 'a'))).toBe(true)
    expect((await place.store.list()).items).toHaveLength(1)
  })
})
