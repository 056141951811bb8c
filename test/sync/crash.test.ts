import { readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import { dieAt, type Death } from './dying.ts'
import { openWorld, settle, type Folder, type World } from './world.ts'

/** Both sides changed in every way there is; `a` has yet to sync. */
async function diverged(): Promise<{ world: World; a: Folder; b: Folder }> {
  const world = await openWorld()
  const a = await world.folder('a')
  const b = await world.folder('b')
  a.write('edited-here', 'base of edited-here')
  a.write('edited-there', 'base of edited-there')
  a.write('both.txt', 'base of both')
  a.write('deleted-here', 'base of deleted-here')
  a.write('deleted-there', 'base of deleted-there')
  a.write('moved/from', 'base of moved')
  a.write('kind', 'base of kind')
  await settle(a, b)
  b.write('edited-there', 'edited-there by b')
  b.write('both.txt', 'both by b')
  b.write('made-there/new', 'made by b')
  b.remove('deleted-there')
  b.remove('kind')
  b.write('kind/inside', 'a folder now')
  await b.sync()
  a.write('edited-here', 'edited-here by a')
  a.write('both.txt', 'both by a')
  a.write('made-here/new', 'made by a')
  a.remove('deleted-here')
  renameSync(join(a.root, 'moved'), join(a.root, 'elsewhere'))
  return { world, a, b }
}

async function dieDuring(folder: Folder, death: Death): Promise<void> {
  const agent = await folder.open({ fs: death.fs(systemFileSystem()), wrap: death.store })
  await agent.syncOnce().catch((error: unknown) => {
    if (isBlobsError(error) && !death.happened()) throw error
  })
  await agent.close()
}

/** Texts by name, where a sibling is named after its original alone. */
function texts(folder: Folder): Record<string, string | null> {
  return Object.fromEntries(
    Object.entries(folder.tree()).map(([path, text]) => [path.replace(/\.conflict-[^.]*/, '.conflict'), text]),
  )
}

const EXPECTED = {
  'edited-here': 'edited-here by a',
  'edited-there': 'edited-there by b',
  'both.txt': 'both by b',
  'both.conflict.txt': 'both by a',
  'made-here/new': 'made by a',
  'made-there/new': 'made by b',
  'elsewhere/from': 'base of moved',
  'kind/inside': 'a folder now',
}

test('without a crash, this is the outcome', async () => {
  const { world, a, b } = await diverged()
  await settle(a, b)
  expect(texts(a)).toEqual(EXPECTED)
  expect(b.tree()).toEqual(a.tree())
  await world.close()
})

test('killed after any effect, an agent that starts anew comes to the same outcome', { timeout: 120_000 }, async () => {
  const { world, a } = await diverged()
  const none = dieAt(Number.POSITIVE_INFINITY, false)
  await dieDuring(a, none)
  await world.close()
  const effects = none.count()
  expect(effects).toBeGreaterThan(20)
  // Before an effect is after the one before it.
  for (let at = 1; at <= effects; at++) {
    const now = await diverged()
    await dieDuring(now.a, dieAt(at, true))
    await settle(now.a, now.b)
    expect(texts(now.a), `killed after effect ${at} of ${effects}`).toEqual(EXPECTED)
    expect(now.b.tree()).toEqual(now.a.tree())
    expect(readdirSync(join(now.a.root, '.blobs/tmp'))).toEqual([])
    expect(readFileSync(join(now.a.root, '.blobs/root.json'), 'utf8')).toContain('"team"')
    await now.world.close()
  }
})
