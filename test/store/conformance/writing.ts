import { describe, expect, it } from 'vitest'
import { EMPTY_HASH, sha256 } from '../../../src/content/hash.ts'
import type { BlobInfo, Expectation } from '../../../src/store/contract/types.ts'
import type { BlobStore } from '../../../src/store/contract/blob-store.ts'
import { act, bytesOf, commit, deleteChange, entry, newId, put, putChange, remove, textOf } from '../acts.ts'
import type { Laws } from '../conformance.ts'

const EMPTY = {
  hash: EMPTY_HASH,
  size: 0,
  body: { depth: 0, refs: [] },
  contentType: 'text/plain',
  meta: {},
} as const

export function writingLaws({ open, deviations }: Laws): void {
  it('tells everything of the version that a put made', async () => {
    const { store, writer } = await open()
    const before = Date.now()
    const input = {
      ...entry(
        await putChange(writer, 'team/report.txt', 'hello', {
          contentType: 'text/markdown',
          meta: { mtime: '1700000000.5', mode: '755', topic: 'Ελλάδα' },
        }),
      ),
      author: 'ann',
      device: 'laptop',
    }
    const outcome = await commit(writer, input)
    const info = await store.head('team/report.txt')
    expect(outcome).toEqual({ id: input.id, ok: true, cursor: info?.position, blobs: [info] })
    expect(info).toMatchObject({
      key: 'team/report.txt',
      version: 1,
      size: 5,
      hash: sha256(Buffer.from('hello')),
      contentType: 'text/markdown',
      deleted: false,
      meta: { mtime: '1700000000.5', mode: '755', topic: 'Ελλάδα' },
      entry: input.id,
      ...(deviations.author === undefined ? { author: 'ann', device: 'laptop' } : {}),
    })
    const modified = Date.parse(info?.modified ?? '')
    expect(modified).toBeGreaterThanOrEqual(before - 1000)
    expect(modified).toBeLessThanOrEqual(Date.now() + 1000)
    expect(info?.modified).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
  })

  it('counts versions on through deletes and returns', async () => {
    const { store, writer } = await open()
    expect((await put(writer, 'k', '1')).version).toBe(1)
    expect((await put(writer, 'k', '2')).version).toBe(2)
    expect(await remove(writer, 'k')).toMatchObject({ version: 3, deleted: true, size: 0, hash: '', meta: {} })
    expect((await put(writer, 'k', '4')).version).toBe(4)
    expect((await store.head('k'))?.version).toBe(4)
    expect(await store.head('k', { version: 3 })).toMatchObject({ version: 3, deleted: true })
  })

  it('makes a version also of equal bytes', async () => {
    const { writer } = await open()
    await put(writer, 'k', 'same')
    expect((await put(writer, 'k', 'same')).version).toBe(2)
  })

  describe('an expectation', () => {
    expectationLaws({ open, deviations })
  })

  it('makes no version by deleting what is not there', async () => {
    const { store, writer } = await open()
    expect(await commit(writer, entry(deleteChange('never')))).toMatchObject({ ok: true, blobs: [] })
    expect(await store.head('never')).toBeNull()
    await put(writer, 'k', '1')
    await remove(writer, 'k')
    expect(await commit(writer, entry(deleteChange('k')))).toMatchObject({ ok: true, blobs: [] })
    expect(await commit(writer, entry(deleteChange('k', 'absent')))).toMatchObject({ ok: true, blobs: [] })
    expect(await store.head('k')).toMatchObject({ version: 2, deleted: true })
  })

  it('does all changes of an entry or none, and tells every conflict', async () => {
    const { store, writer } = await open()
    const a = await put(writer, 'a', 'a1')
    const b = await put(writer, 'b', 'b1')
    const before = (await store.info()).head
    const change = await putChange(writer, 'new', 'n')
    const refused = await commit(
      writer,
      entry(
        change,
        deleteChange('a', 'absent'),
        deleteChange('b', { version: 7 }),
        deleteChange('never', { version: 1 }),
      ),
    )
    expect(refused).toMatchObject({
      ok: false,
      conflicts: [
        { key: 'a', expected: 'absent', current: a },
        { key: 'b', expected: { version: 7 }, current: b },
        { key: 'never', expected: { version: 1 }, current: null },
      ],
    })
    expect(await store.head('new')).toBeNull()
    expect((await store.info()).head).toBe(before)
    const done = await commit(writer, entry(change, deleteChange('a', { version: 1 }), deleteChange('b')))
    expect(done).toMatchObject({
      ok: true,
      blobs: [
        { key: 'new', version: 1 },
        { key: 'a', version: 2 },
        { key: 'b', version: 2 },
      ],
    })
    const places = done.ok ? done.blobs.map((blob) => blob.position) : []
    expect(new Set(places).size).toBe(1)
  })

  it('lets a refused entry stand between others of its call', async () => {
    const { store, writer } = await open()
    const outcomes = await writer.commit([
      entry(await putChange(writer, 'a', '1')),
      entry(await putChange(writer, 'b', '1', { expect: { version: 4 } })),
      entry(await putChange(writer, 'c', '1')),
    ])
    expect(outcomes.map((outcome) => outcome.ok)).toEqual([true, false, true])
    expect((await store.list()).items.map((item) => item.key)).toEqual(['a', 'c'])
  })

  it('lets an entry build on one before it in the same call', async () => {
    const { store, writer } = await open()
    const first = entry(await putChange(writer, 'k', 'one', { expect: 'absent' }))
    const gone = entry(deleteChange('k', { version: 2 }))
    const outcomes = await writer.commit([
      first,
      entry(await putChange(writer, 'k', 'wrong', { expect: 'absent' })),
      entry(await putChange(writer, 'k', 'two', { expect: { version: 1, hash: sha256(Buffer.from('one')) } })),
      gone,
      entry(await putChange(writer, 'k', 'four', { expect: { version: 3, hash: gone.id } })),
    ])
    expect(outcomes.map((outcome) => outcome.ok)).toEqual([true, false, true, true, true])
    expect(await textOf(store, 'k')).toBe('four')
    expect((await store.head('k'))?.version).toBe(4)
  })

  it('gives a repeated id the first outcome and changes nothing', async () => {
    const { store, writer } = await open()
    const input = entry(await putChange(writer, 'k', '1', { expect: 'absent' }), await putChange(writer, 'l', '1'))
    const first = await commit(writer, input)
    await put(writer, 'k', '2')
    const { head } = await store.info()
    expect(await commit(writer, input)).toEqual(first)
    expect(await commit(writer, { ...input, changes: [deleteChange('k')] })).toEqual(first)
    expect((await store.info()).head).toBe(head)
    expect((await store.head('k'))?.version).toBe(2)
    const twice = entry(await putChange(writer, 'm', '1'))
    const [one, two] = await writer.commit([twice, twice])
    expect(one).toEqual(two)
    expect((await store.head('m'))?.version).toBe(1)
  })

  it('gives no entries no outcomes', async () => {
    const { writer } = await open()
    expect(await writer.commit([])).toEqual([])
  })

  it('lets exactly one of eight writers win who expect the same', async () => {
    const { store, writer } = await open()
    const base = await put(writer, 'k', 'base')
    const inputs = await Promise.all(
      Array.from({ length: 8 }, async (_, index) =>
        entry(await putChange(writer, 'k', `writer ${index}`, { expect: { version: base.version, hash: base.hash } })),
      ),
    )
    const outcomes = await Promise.all(inputs.map((input) => commit(writer, input)))
    const winners = outcomes.filter((outcome) => outcome.ok)
    expect(winners).toHaveLength(1)
    const now = await store.head('k')
    expect(now).toMatchObject({ version: 2, entry: winners[0]?.id })
    for (const outcome of outcomes) {
      if (!outcome.ok)
        expect(outcome.conflicts).toEqual([{ key: 'k', expected: { version: 1, hash: base.hash }, current: now }])
    }
  })

  it('does not lose one of many writers at once', async () => {
    const { store, writer } = await open()
    await Promise.all(Array.from({ length: 40 }, (_, index) => put(writer, `k${index % 4}`, `${index}`)))
    const { items } = await store.list()
    expect(items.map((item) => item.version)).toEqual([10, 10, 10, 10])
  })

  it('keeps empty blobs and folder markers', async () => {
    const { store, writer } = await open()
    await put(writer, 'empty', '')
    await put(writer, 'folder/', '', { contentType: 'application/x-directory' })
    expect(await store.head('empty')).toMatchObject({ size: 0, hash: EMPTY_HASH, deleted: false })
    expect(await bytesOf(store, 'empty')).toEqual(Buffer.alloc(0))
    expect((await store.get('empty'))?.range).toEqual([0, -1])
    expect(await store.head('folder/')).toMatchObject({ key: 'folder/', contentType: 'application/x-directory' })
    expect(await store.head('folder')).toBeNull()
  })

  it('copies a version without bytes', async () => {
    const { store, writer } = await open()
    const old = await put(writer, 'from', 'x'.repeat(200_000))
    await put(writer, 'from', 'newer')
    const copy = {
      type: 'put',
      key: 'to',
      expect: 'absent',
      hash: old.hash,
      size: old.size,
      contentType: 'a/b',
      meta: {},
    } as const
    await act(writer, { ...copy, body: { copy: { key: 'from', version: 1 } } })
    expect(await textOf(store, 'to')).toBe('x'.repeat(200_000))
    expect(await store.head('to')).toMatchObject({ hash: old.hash, size: 200_000, version: 1 })
    const moved = await commit(
      writer,
      entry({ ...copy, key: 'moved', body: { copy: { key: 'to', version: 1 } } }, deleteChange('to', { version: 1 })),
    )
    expect(moved.ok).toBe(true)
    expect(await textOf(store, 'moved')).toBe('x'.repeat(200_000))
    await remove(writer, 'from')
    await act(writer, { ...copy, key: 'again', body: { copy: { key: 'from', version: 1 } } })
    expect((await store.head('again'))?.hash).toBe(old.hash)
  })

  it('refuses a copy of what is not there, or is something else', async () => {
    const { store, writer } = await open()
    const blob = await put(writer, 'from', 'x')
    const copy = {
      type: 'put',
      key: 'to',
      expect: 'any',
      hash: blob.hash,
      size: 1,
      contentType: 'a/b',
      meta: {},
    } as const
    const of = (key: string, version: number, more = {}) =>
      commit(writer, entry({ ...copy, ...more, body: { copy: { key, version } } }))
    await expect(of('never', 1)).rejects.toMatchObject({ code: 'NotFound', key: 'never' })
    await expect(of('from', 2)).rejects.toMatchObject({ code: 'NotFound', key: 'from' })
    await expect(of('from', 1, { hash: sha256(Buffer.from('y')) })).rejects.toMatchObject({
      code: 'InvalidRequest',
      key: 'to',
    })
    expect(await store.head('to')).toBeNull()
  })

  it('keeps an entry of thousands of changes whole', { timeout: 90_000 }, async () => {
    const { store, writer } = await open()
    const changes = Array.from({ length: 5000 }, (_, index) => ({
      ...EMPTY,
      type: 'put' as const,
      key: `${'long folder name/'.repeat(5)}${index}`,
      expect: 'absent' as const,
    }))
    const outcome = await commit(writer, entry(...changes))
    expect(outcome.ok && outcome.blobs.length).toBe(5000)
    expect((await store.info()).blobs).toBe(5000)
  })

  it('refuses a body that does not add up to its size', async () => {
    const { writer } = await open()
    const hash = sha256(Buffer.from('x'))
    const huge = {
      ...EMPTY,
      type: 'put' as const,
      key: 'k',
      expect: 'any' as const,
      hash,
      size: 2,
      body: { depth: 0, refs: [{ hash, size: 1 }] },
    }
    await expect(commit(writer, entry(huge))).rejects.toMatchObject({ code: 'InvalidRequest', key: 'k' })
  })

  it.each<[string, string]>([
    ['an empty key', ''],
    ['NUL in a key', 'a\0b'],
    ['an empty segment', 'a//b'],
    ['a leading slash', '/a'],
    ['a key of more than 1024 bytes', 'é'.repeat(513)],
    ['a key not in form C', 'e\u0301'],
    ['a key of half a character', 'a\ud800'],
  ])('refuses %s, and all that comes with it', async (_, key) => {
    const { store, writer } = await open()
    const good = { ...EMPTY, type: 'put' as const, key: 'good', expect: 'any' as const }
    await expect(writer.commit([entry(good), entry({ ...good, key })])).rejects.toMatchObject({ code: 'InvalidKey' })
    expect(await store.head('good')).toBeNull()
  })

  it.each<[string, object]>([
    ['an id that is none', { id: 'x' }],
    ['an entry without changes', { changes: [] }],
    ['a key twice in an entry', { changes: [deleteChange('k'), deleteChange('k')] }],
    [
      'a content type of several lines',
      { changes: [{ ...EMPTY, type: 'put', key: 'k', expect: 'any', contentType: 'a\nb' }] },
    ],
    ['a mode that is none', { changes: [{ ...EMPTY, type: 'put', key: 'k', expect: 'any', meta: { mode: 'rwx' } }] }],
    ['a hash that is none', { changes: [{ ...EMPTY, type: 'put', key: 'k', expect: 'any', hash: 'abc' }] }],
    ['version 0', { changes: [deleteChange('k', { version: 0 })] }],
  ])('refuses %s', async (_, wrong) => {
    const { store, writer } = await open()
    await expect(writer.commit([{ id: newId(), changes: [deleteChange('k')], ...wrong }])).rejects.toMatchObject({
      code: 'InvalidRequest',
    })
    expect(await store.head('k')).toBeNull()
  })

  if (deviations.writes !== undefined) {
    it('refuses writes, and says so', async () => {
      const { store } = await open()
      await expect(commit(store, entry(deleteChange('k')))).rejects.toMatchObject({ code: 'Forbidden' })
      await expect(store.stage([])).rejects.toMatchObject({ code: 'Forbidden' })
    })
  }

  it('keeps what it said it has when it is opened again', async () => {
    const { store, writer, reopen } = await open()
    const blob = await put(writer, 'k', 'kept')
    const { head } = await store.info()
    if (reopen === undefined) return
    const again = await reopen()
    expect(await again.head('k')).toEqual(blob)
    expect(await textOf(again, 'k')).toBe('kept')
    expect((await again.info()).head).toBe(head)
  })

  it('counts blobs and bytes', async () => {
    const { store, writer } = await open()
    await put(writer, 'a', '12345')
    await put(writer, 'b', '123')
    await put(writer, 'b', '1')
    await remove(writer, 'a')
    const info = await store.info()
    expect(info).toMatchObject({ blobs: 1, bytes: 1, options: {} })
    expect(info.head.split(':')[0]).toBe(info.epoch)
    expect(Date.parse(info.created)).toBeLessThanOrEqual(Date.now() + 1000)
  })
}

type At = 'never was' | 'version 1' | 'version 2' | 'a tombstone'

function expectationLaws({ open }: Laws): void {
  const other = sha256(Buffer.from('other'))
  const make: Record<At, (store: BlobStore) => Promise<BlobInfo | null>> = {
    'never was': async () => null,
    'version 1': (store) => put(store, 'k', 'one'),
    'version 2': async (store) => (await put(store, 'k', 'one'), put(store, 'k', 'two')),
    'a tombstone': async (store) => (await put(store, 'k', 'one'), remove(store, 'k')),
  }
  const table: [At, string, (info: BlobInfo | null) => Expectation, boolean][] = [
    ['never was', 'any', () => 'any', true],
    ['never was', 'absent', () => 'absent', true],
    ['never was', 'version 1', () => ({ version: 1 }), false],
    ['version 1', 'any', () => 'any', true],
    ['version 1', 'absent', () => 'absent', false],
    ['version 1', 'version 1', () => ({ version: 1 }), true],
    ['version 1', 'version 1 and its hash', (info) => ({ version: 1, hash: info?.hash ?? '' }), true],
    ['version 1', 'version 1 and another hash', () => ({ version: 1, hash: other }), false],
    ['version 1', 'version 2', () => ({ version: 2 }), false],
    ['version 2', 'version 1', () => ({ version: 1 }), false],
    ['version 2', 'version 1 and the hash of 2', (info) => ({ version: 1, hash: info?.hash ?? '' }), false],
    ['version 2', 'version 2', () => ({ version: 2 }), true],
    ['a tombstone', 'any', () => 'any', true],
    ['a tombstone', 'absent', () => 'absent', true],
    ['a tombstone', 'its version', () => ({ version: 2 }), true],
    ['a tombstone', 'its version and entry id', (info) => ({ version: 2, hash: info?.entry ?? '' }), true],
    ['a tombstone', 'its version and a hash', () => ({ version: 2, hash: other }), false],
    ['a tombstone', 'the version before', () => ({ version: 1 }), false],
  ]
  it.each(table)('of what is %s: %s', async (at, _, expectation, holds) => {
    const { store, writer } = await open()
    const info = await make[at](writer)
    const outcome = await commit(writer, entry(await putChange(writer, 'k', 'next', { expect: expectation(info) })))
    expect(outcome.ok).toBe(holds)
    expect(outcome).toMatchObject(
      holds
        ? { blobs: [{ version: (info?.version ?? 0) + 1 }] }
        : { conflicts: [{ key: 'k', expected: expectation(info), current: info }] },
    )
    expect(await store.head('k')).toEqual(outcome.ok ? outcome.blobs[0] : info)
  })
  it('of a delete holds by the same rules', async () => {
    const { writer } = await open()
    const info = await put(writer, 'k', 'one')
    expect((await commit(writer, entry(deleteChange('k', 'absent')))).ok).toBe(false)
    expect((await commit(writer, entry(deleteChange('k', { version: 1, hash: other })))).ok).toBe(false)
    const gone = await act(writer, deleteChange('k', { version: 1, hash: info.hash }))
    expect(await commit(writer, entry(deleteChange('k', { version: 2, hash: gone.entry })))).toMatchObject({
      ok: true,
      blobs: [],
    })
  })
}
