import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EMPTY_HASH } from '../../src/content/hash.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { Entry, EntryChange } from '../../src/store/entry.ts'
import { openView, type View } from '../../src/store/view/view.ts'
import { newId } from './acts.ts'

const REACH = 100_000
let view: View
beforeEach(async () => {
  view = await openView({ path: null, bucket: 'bucket', clock, ids })
  const bucket = { name: 'bucket', created: '2026-01-01T00:00:00.000Z', options: {} }
  await view.apply([{ position: 1, entry: { ...entryOf(), bucket } }])
})
afterEach(() => view.close())

function entryOf(...changes: readonly EntryChange[]): Entry {
  return { v: 1, id: newId(), time: 1000, author: '', device: '', changes, based: 0 }
}
function putOf(key: string, more: Partial<EntryChange> = {}): EntryChange {
  return {
    put: key,
    expect: 'any',
    hash: EMPTY_HASH,
    size: 0,
    depth: 0,
    refs: [],
    type: 'a/b',
    meta: {},
    ...more,
  } as EntryChange
}
async function happens(position: number, entry: Entry): Promise<boolean | undefined> {
  await view.apply([{ position, entry }])
  return view.outcomes([entry.id])[0]?.ok
}

describe('an entry', () => {
  it('based up to 100,000 positions back takes effect, and no further', async () => {
    expect(await happens(REACH + 5, { ...entryOf(putOf('a')), based: 5 })).toBe(true)
    expect(await happens(REACH + 6, { ...entryOf(putOf('a')), based: 5 })).toBe(false)
    expect(view.find('a')?.version).toBe(1)
  })

  it('with the id of one up to 100,000 positions back is a repeat', async () => {
    const first = entryOf(putOf('a'))
    expect(await happens(2, first)).toBe(true)
    await view.apply([{ position: REACH + 2, entry: { ...first, based: REACH } }])
    expect(view.find('a')?.version).toBe(1)
    expect(view.outcomes([first.id])[0]).toMatchObject({ ok: true, blobs: [{ version: 1 }] })
    await view.apply([{ position: 2 * REACH + 3, entry: { ...first, based: 2 * REACH } }])
    expect(view.find('a')?.version).toBe(2)
    expect(view.outcomes([first.id])[0]).toMatchObject({ ok: true, blobs: [{ version: 2 }] })
  })

  it('that was void stays void when it is repeated', async () => {
    const first = entryOf(putOf('a', { expect: { version: 1 } }))
    expect(await happens(2, first)).toBe(false)
    await happens(3, entryOf(putOf('a')))
    expect(await happens(4, first)).toBe(false)
    expect(view.find('a')?.version).toBe(1)
    expect(view.outcomes([first.id])[0]).toMatchObject({ conflicts: [{ key: 'a', current: null }] })
  })

  it('that names a key twice is void', async () => {
    expect(await happens(2, entryOf(putOf('a'), putOf('b'), putOf('a')))).toBe(false)
    expect(view.find('b')).toBeNull()
  })

  it('of the first position cannot come again', async () => {
    const { epoch } = view.state()
    const bucket = { name: 'other', created: 'now', options: { maxBlobSize: 1 } }
    expect(await happens(2, { ...entryOf(), id: epoch, bucket })).toBe(true)
    expect(view.state().options).toBe('{}')
    expect(await happens(3, { ...entryOf(), bucket })).toBe(true)
    expect(view.state()).toMatchObject({ epoch, options: '{"maxBlobSize":1}', created: '2026-01-01T00:00:00.000Z' })
  })

  it('that was read already is passed over', async () => {
    const entry = entryOf(putOf('a'))
    await view.apply([{ position: 2, entry }])
    await view.apply([
      { position: 2, entry },
      { position: 7, entry: entryOf(putOf('b')) },
    ])
    expect(view.state()).toMatchObject({ position: 7, blobs: 2 })
    expect(view.find('a')?.version).toBe(1)
  })

  it('with a wrong clock spoils only its own keys at a time', async () => {
    await happens(2, { ...entryOf(putOf('future')), time: 9000 })
    await happens(3, { ...entryOf(putOf('past')), time: 0 })
    await happens(4, { ...entryOf(putOf('now')), time: 2000 })
    const at = (time: number): string[] => view.list({ prefix: '', limit: 10, at: time }).items.map(({ key }) => key)
    expect(at(1500)).toEqual(['past'])
    expect(at(2500)).toEqual(['now', 'past'])
    expect(at(9000)).toEqual(['future', 'now', 'past'])
  })
})

it('a listing of a large bucket touches the page and not the rest', async () => {
  const entries = Array.from({ length: 40 }, (_, batch) => {
    const changes = Array.from({ length: 500 }, (_, index) => putOf(`d${batch % 4}/${batch}-${index}`))
    return { position: batch + 2, entry: entryOf(...changes) }
  })
  await view.apply(entries)
  const start = performance.now()
  for (let round = 0; round < 50; round++) {
    expect(view.list({ prefix: '', limit: 10, delimiter: '/' })).toMatchObject({
      items: [],
      prefixes: ['d0/', 'd1/', 'd2/', 'd3/'],
      complete: true,
    })
    expect(view.list({ prefix: 'd2/', limit: 3, after: 'd2/3' }).items).toHaveLength(3)
  }
  // 20,000 keys read a hundred times would take seconds.
  expect(performance.now() - start).toBeLessThan(500)
})
