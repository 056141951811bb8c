import { afterEach, expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { handle } from '../../src/store/handle.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import { present } from '../backends/conformance.ts'
import { openWorld, type World } from './world.ts'

let world: World
afterEach(() => world.close())

const FILES = ['same', 'edited there', 'edited here', 'edited on both', 'removed there', 'removed here']

it('a machine whose cursor is behind the floor of a trimmed log loses nothing, and conflicts where both edited alone', async () => {
  world = await openWorld()
  const backend = openMemory()
  await backend.create('notes')
  const open = async () =>
    openLogStore({
      name: 'notes',
      ports: present(await backend.open('notes')),
      viewDirectory: null,
      promises: backend.promises,
      clock,
      ids,
      pageSizes: { least: 300, around: 300, most: 3000 },
    })
  let store = await open()
  const settings = { wrap: () => handle(store, async () => undefined) }
  const ann = await world.folder('ann', settings)
  const bob = await world.folder('bob', settings)
  for (const name of FILES) ann.write(`${name}.txt`, name)
  await ann.sync()
  await bob.sync()
  expect(bob.tree()).toEqual(ann.tree())

  ann.write('edited there.txt', 'new there')
  ann.write('edited on both.txt', "ann's")
  ann.write('made there.txt', 'made there')
  ann.remove('removed there.txt')
  await ann.sync()
  bob.write('edited here.txt', 'new here')
  bob.write('edited on both.txt', "bob's")
  bob.write('made here.txt', 'made here')
  bob.remove('removed here.txt')
  expect(await store.trim({ positions: 1, time: 0 })).toBeGreaterThan(6)
  await store.close()
  store = await open()

  await bob.sync()
  await ann.sync()
  await bob.sync()
  expect(bob.events.filter(({ type }) => type === 'relinked')).toHaveLength(1)
  const { [siblingIn(bob.tree())]: sibling, ...rest } = bob.tree()
  expect(sibling).toBe("bob's")
  expect(rest).toEqual({
    'same.txt': 'same',
    'edited there.txt': 'new there',
    'edited here.txt': 'new here',
    'edited on both.txt': "ann's",
    // That it was removed is not told any more, and a listing does not prove it.
    'removed there.txt': 'removed there',
    'made there.txt': 'made there',
    'made here.txt': 'made here',
  })
  expect(ann.tree()).toEqual(bob.tree())
  await store.close()
}, 60_000)

/** The conflict file in a tree that has one. */
function siblingIn(tree: Record<string, string | null>): string {
  const [name = '', ...more] = Object.keys(tree).filter((path) => path.includes('.conflict-'))
  expect(more).toEqual([])
  return name
}
