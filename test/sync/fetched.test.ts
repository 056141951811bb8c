import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseConflictName } from '../../src/sync/core/conflict-name.ts'
import { openWorld, settle, type Folder, type World } from './world.ts'

let world: World
let a: Folder
let b: Folder
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a')
  b = await world.folder('b')
  a.write('doc.txt', 'one')
  await settle(a, b)
  a.write('doc.txt', 'two')
  await a.sync()
  // As an agent leaves it that is killed between the replacement and its record.
  b.write('doc.txt', 'two')
})
afterEach(() => world.close())

test('a file that was fetched and not written down, and then edited elsewhere, is no conflict', async () => {
  a.write('doc.txt', 'three')
  await a.sync()
  await settle(b, a)
  expect(b.tree()).toEqual({ 'doc.txt': 'three' })
  expect(a.tree()).toEqual({ 'doc.txt': 'three' })
})

test('a file that was fetched and not written down, and then deleted elsewhere, stays deleted', async () => {
  a.remove('doc.txt')
  await a.sync()
  await settle(b, a)
  expect(b.tree()).toEqual({})
  expect(a.tree()).toEqual({})
})

test('going back to what was there before the last sync is an edit', async () => {
  await settle(b, a)
  b.write('doc.txt', 'one')
  a.write('doc.txt', 'three')
  await a.sync()
  await settle(b, a)
  const sibling = Object.keys(b.tree()).find((path) => parseConflictName(path) !== null) ?? ''
  expect(b.tree()).toEqual({ 'doc.txt': 'three', [sibling]: 'one' })
})
