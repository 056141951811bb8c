import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { sha256 } from '../../src/content/hash.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { dieAt } from './dying.ts'
import { openWorld, settle, type Folder, type World } from './world.ts'

const PATHS = ['x', 'y', 'd/x', 'd/y', 'd/e/z', 'f/1', 'f/2', 'x/inner']

type Act =
  | { type: 'write'; folder: number; path: string; size: number }
  | { type: 'remove'; folder: number; path: string; whole: boolean }
  | { type: 'move'; folder: number; path: string; to: string }
  | { type: 'chmod'; folder: number; path: string }
  | { type: 'sync'; folder: number }
  | { type: 'crash'; folder: number; at: number; done: boolean }
  | { type: 'forget'; folder: number }

const folder = fc.nat(2)
const path = fc.constantFrom(...PATHS)
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('write' as const), folder, path, size: fc.nat(40) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('remove' as const), folder, path, whole: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('move' as const), folder, path, to: path }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('chmod' as const), folder, path }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('sync' as const), folder }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('crash' as const),
      folder,
      at: fc.integer({ min: 1, max: 25 }),
      done: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget' as const), folder }) },
)

/** What a person saved in each folder and has not replaced or deleted there since. */
type Owed = Map<string, string>[]

function forgive(owed: Map<string, string> | undefined, path: string): void {
  for (const name of owed?.keys() ?? []) if (name === path || name.startsWith(`${path}/`)) owed?.delete(name)
}

/** Does what a person does in a folder; what the folder does not allow is not done. */
function edit(one: Folder, owed: Map<string, string>, next: Act, text: string): void {
  try {
    if (next.type === 'write') {
      one.write(next.path, text)
      forgive(owed, next.path)
      owed.set(next.path, text)
    } else if (next.type === 'remove') {
      const gone = next.whole ? (next.path.split('/')[0] ?? '') : next.path
      one.remove(gone)
      forgive(owed, gone)
    } else if (next.type === 'chmod') one.chmod(next.path, 0o755)
    else if (next.type === 'move') move(one, owed, next.path, next.to)
  } catch (error) {
    if (!['EISDIR', 'ENOTDIR', 'EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

function move(one: Folder, owed: Map<string, string>, from: string, to: string): void {
  const [source, target] = [join(one.root, from), join(one.root, to)]
  if (from === to || existsSync(target) || !lstatSync(source).isFile()) return
  mkdirSync(dirname(target), { recursive: true })
  renameSync(source, target)
  const text = owed.get(from)
  owed.delete(from)
  if (text !== undefined) owed.set(to, text)
}

async function live(folders: readonly Folder[], acts: readonly Act[], owed: Owed): Promise<void> {
  for (const [n, next] of acts.entries()) {
    const one = folders[next.folder]
    const debt = owed[next.folder]
    if (one === undefined || debt === undefined) continue
    if (next.type === 'sync') await one.sync()
    else if (next.type === 'forget') rmSync(one.state, { recursive: true, force: true })
    else if (next.type === 'crash') {
      const death = dieAt(next.at, next.done)
      await one.sync({ fs: death.fs(systemFileSystem()), wrap: death.store }).catch((error: unknown) => {
        if (!death.happened()) throw error
      })
    } else edit(one, debt, next, `text ${n} ${'.'.repeat(next.type === 'write' ? next.size : 0)}`)
  }
}

/** SHA-256 of all bytes that can still be found: in the folders, their trash, and every version in the bucket. */
async function findable(world: World, folders: readonly Folder[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  const walk = (at: string): void => {
    for (const item of readdirSync(at, { withFileTypes: true })) {
      if (item.isDirectory()) walk(join(at, item.name))
      else found.add(sha256(readFileSync(join(at, item.name))))
    }
  }
  for (const { root } of folders) walk(root)
  const page = await world.store.list({ versions: true, deleted: true, limit: 10_000 })
  for (const { hash } of page.items) found.add(hash)
  return found
}

test(
  'whatever three people do, and whoever is killed or loses its state: all folders end the same, and no save is lost',
  { timeout: 240_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 10, maxLength: 60, size: 'max' }), async (acts) => {
        const world = await openWorld()
        try {
          const settings = { maxDelete: { percent: 100 } }
          const folders = [
            await world.folder('a', settings),
            await world.folder('b', settings),
            await world.folder('c', settings),
          ]
          const owed: Owed = folders.map(() => new Map())
          await live(folders, acts, owed)
          await settle(...folders)
          const [first, ...others] = folders.map((one) => one.tree())
          for (const other of others) expect(other).toEqual(first)
          const found = await findable(world, folders)
          for (const debt of owed)
            for (const [name, text] of debt) expect(found.has(sha256(Buffer.from(text))), `${name}: ${text}`).toBe(true)
        } finally {
          await world.close()
        }
      }),
      { numRuns: Number(process.env['RUNS'] ?? 8) },
    )
  },
)
