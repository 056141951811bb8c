import { expect, test } from 'vitest'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import type { EntryInput } from '../../src/store/contract/types.ts'
import type { TransferContext } from '../../src/transfer/context.ts'
import { removeTarget } from '../../src/transfer/remove.ts'
import { planUndo, undo } from '../../src/transfer/undo.ts'
import { entry, putChange } from '../store/acts.ts'
import { collect, openPlace, type Place } from './place.ts'

const DEVICE = '1'.repeat(32)

async function write(place: Place, operation: string, values: Readonly<Record<string, string>>): Promise<void> {
  const entries: EntryInput[] = []
  for (const [key, value] of Object.entries(values)) {
    entries.push({ ...entry(await putChange(place.store, key, value)), operation })
  }
  await place.store.commit(entries)
}
async function takeBack(context: TransferContext): Promise<readonly string[]> {
  const plan = await planUndo(context, DEVICE)
  if (!plan) return []
  return (await undo(plan)).map(({ info, from }) => `${info.key} ${from === null ? 'deleted' : `as v${from}`}`)
}
async function live(place: Place): Promise<readonly string[]> {
  return (await place.store.list()).items.map(({ key, version }) => `${key} v${version}`)
}

test('takes back what one command did with new, changed and deleted keys, in one entry', async () => {
  await using place = await openPlace()
  await write(place, `${DEVICE}.1`, { old: '1', gone: '1' })
  await write(place, `${DEVICE}.2`, { old: '2', fresh: '1' })
  const operation = `${DEVICE}.2`
  await collect(removeTarget(place.context({ operation }), 'gone', { recursive: false, dryRun: false }))
  expect(await takeBack(place.context())).toEqual(['old as v1', 'fresh deleted', 'gone as v1'])
  expect(await live(place)).toEqual(['gone v3', 'old v3'])
  const heads = await Promise.all(['old', 'fresh', 'gone'].map((key) => place.store.head(key)))
  expect(new Set(heads.map((info) => info?.entry)).size).toBe(1)
})

test('a second undo takes the first one back', async () => {
  await using place = await openPlace()
  await write(place, `${DEVICE}.1`, { a: '1' })
  const context = (n: number): TransferContext => place.context({ operation: `${DEVICE}.undo${n}` })
  expect(await takeBack(context(1))).toEqual(['a deleted'])
  expect(await takeBack(context(2))).toEqual(['a as v1'])
  expect(await takeBack(context(3))).toEqual(['a deleted'])
})

test('undoes nothing when one of its keys moved on, be it in between', async () => {
  await using place = await openPlace()
  await write(place, `${DEVICE}.1`, { a: '1', b: '1', c: '1' })
  await write(place, 'other.1', { b: 'theirs' })
  const conflict = await takeBack(place.context()).catch((error: unknown) => error)
  expect(isBlobsError(conflict, 'VersionConflict') && conflict.conflicts[0]?.current?.version).toBe(2)
  await write(place, `${DEVICE}.1`, { b: 'mine again' })
  const again = await takeBack(place.context()).catch((error: unknown) => error)
  expect(isBlobsError(again, 'VersionConflict') && again.hint).toContain('nothing was undone')
  expect(await live(place)).toEqual(['a v1', 'b v3', 'c v1'])
})

test('takes a large command back with few calls', async () => {
  await using place = await openPlace()
  const many = (value: string): Record<string, string> =>
    Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`f/${n}\u{1F600}`, `${value} ${n}`]))
  await write(place, `${DEVICE}.1`, { ...many('one'), 'g/other': 'x' })
  await write(place, `${DEVICE}.2`, many('two'))
  let heads = 0
  const store = { ...place.store, head: async () => (heads++, null) }
  expect(await takeBack(place.context({ store }))).toHaveLength(300)
  expect(heads).toBe(0)
  expect(await place.store.head('f/7\u{1F600}')).toMatchObject({ version: 3, size: 'one 7'.length })
})

test('finds the last command behind many entries of others', async () => {
  await using place = await openPlace()
  await write(place, `${DEVICE}.1`, { mine: '1' })
  const change = await putChange(place.store, 'k', 'same')
  for (let batch = 0; batch < 25; batch++) {
    await place.store.commit(Array.from({ length: 1000 }, () => ({ ...entry(change), operation: 'other.1' })))
  }
  expect(await takeBack(place.context())).toEqual(['mine deleted'])
})
