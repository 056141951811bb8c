import * as fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/content/hash.ts'
import type { FileSystem } from '../../../src/platform/ports.ts'
import type { DiskResult, DiskWork } from '../../../src/sync/disk/transition.ts'
import { faultyDisk, type Fault } from './faulty-disk.ts'
import { disk, testFolder, type TestFolder } from './folder.ts'
import { conflict, download, file, openTestDisk, removal, split } from './steps.ts'

interface Scene {
  readonly name: string
  readonly before: Record<string, string>
  readonly work: () => DiskWork[]
  readonly server: string[]
  /** What every name may hold at the end of all. */
  readonly after: Record<string, string[]>
  readonly base?: (folder: TestFolder, saved: () => void) => FileSystem
}

/** Waits for no platter, and does the rest. */
const quick = faultyDisk(Infinity, 'dies before')

const noExchange: FileSystem = { ...disk, exchange: () => false }
const noLinks: FileSystem = {
  ...disk,
  link: () => {
    throw Object.assign(new Error('no links'), { code: 'EPERM' })
  },
}
/** A save lands right before the exchange. */
const savedOver = (folder: TestFolder, saved: () => void): FileSystem => ({
  ...disk,
  exchange: (a, b) => {
    fs.writeFileSync(folder.at('save'), 'saved')
    fs.renameSync(folder.at('save'), folder.at('doc'))
    saved()
    return disk.exchange(a, b)
  },
})

const SCENES: Scene[] = [
  {
    name: 'a replacement',
    before: { 'a/doc': 'old' },
    work: () => [download('a/doc', 'new', file('old'))],
    server: ['old', 'new'],
    after: { 'a/doc': ['new'] },
  },
  {
    name: 'a replacement without exchange',
    before: { 'a/doc': 'old' },
    work: () => [download('a/doc', 'new', file('old'))],
    server: ['old', 'new'],
    after: { 'a/doc': ['new'] },
    base: () => noExchange,
  },
  {
    name: 'a replacement with a save in its instant',
    before: { doc: 'old' },
    work: () => [download('doc', 'new', file('old'))],
    server: ['old', 'new'],
    after: { doc: ['new', 'saved', 'old'] },
    base: savedOver,
  },
  {
    name: 'a new file',
    before: {},
    work: () => [download('x/y/z', 'new', null)],
    server: ['new'],
    after: { 'x/y/z': ['new'] },
  },
  {
    name: 'a delete',
    before: { 'a/b/doc': 'old' },
    work: () => [removal('a/b/doc', file('old'))],
    server: ['old'],
    after: {},
  },
  {
    name: 'a conflict',
    before: { doc: 'mine' },
    work: () => [conflict('doc', 'mine', 'theirs')],
    server: ['theirs'],
    after: { doc: ['theirs'] },
  },
  {
    name: 'a conflict without hard links',
    before: { doc: 'mine' },
    work: () => [conflict('doc', 'mine', 'theirs')],
    server: ['theirs'],
    after: { doc: ['theirs'] },
    base: () => noLinks,
  },
  {
    name: 'a conflict without exchange',
    before: { doc: 'mine' },
    work: () => [conflict('doc', 'mine', 'theirs')],
    server: ['theirs'],
    after: { doc: ['theirs'] },
    base: () => noExchange,
  },
  {
    name: 'a conflict that makes way for a folder, and what comes into it',
    before: { doc: 'mine' },
    work: () => [conflict('doc', 'mine', null), download('doc/x', 'theirs', null)],
    server: ['theirs'],
    after: { 'doc/x': ['theirs'] },
  },
  {
    name: 'all at once',
    before: { one: '1', 'd/two': '2', three: '3' },
    work: () => [
      download('one', '1b', file('1')),
      removal('d/two', file('2')),
      conflict('three', '3', '3b'),
      download('four', '4', null),
    ],
    server: ['1', '1b', '2', '3b', '4'],
    after: { one: ['1b'], three: ['3b'], four: ['4'] },
  },
]

/** All a user had is still somewhere: at a name, in the trash, or on the server. Nothing lies about. */
function nothingIsLost(folder: TestFolder, scene: Scene, texts: string[], allowTmp = false): void {
  const { files, trash, tmp } = split(folder)
  const found = new Set([...Object.values(files), ...trash, ...(allowTmp ? tmp : []), ...scene.server])
  for (const text of texts) expect(found, `${text} is lost`).toContain(text)
  if (!allowTmp) expect(tmp).toEqual([])
}

async function run(scene: Scene, index: number, fault: Fault): Promise<boolean> {
  const folder = await testFolder(undefined, quick)
  try {
    for (const [path, text] of Object.entries(scene.before)) folder.write(path, text)
    const texts = Object.values(scene.before)
    const base = scene.base?.(folder, () => texts.push('saved')) ?? disk
    const first = openTestDisk(folder, quick)
    const faulty = faultyDisk(index, fault, base)
    const known = (_: string, hash: string) => scene.server.some((text) => sha256(Buffer.from(text)) === hash)
    await until(async () => openTestDisk(folder, faulty).apply(scene.work()))
    nothingIsLost(folder, scene, texts, true)
    await first.recover(known)
    nothingIsLost(folder, scene, texts)
    expect(fs.readdirSync(join(first.state, 'journal'))).toEqual([])
    await settle(folder, scene)
    nothingIsLost(folder, scene, texts)
    const { files } = split(folder)
    for (const [path, allowed] of Object.entries(scene.after)) expect(allowed).toContain(files[path])
    return faulty.failed() !== null
  } catch (error) {
    throw new Error(`${scene.name}: ${fault} at call ${index}`, { cause: error })
  } finally {
    folder.remove()
  }
}

/** Lives until the fault. */
async function until(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!/died|dead/.test(String(error)) && !(error as { code?: string }).code) throw error
  }
}

/** Does again what a session would plan again: whatever is still as the plan saw it. */
async function settle(folder: TestFolder, scene: Scene): Promise<void> {
  await openTestDisk(folder, quick).apply(scene.work())
  const { files } = split(folder)
  for (const { step } of scene.work()) {
    if (step.type !== 'download' || step.replaces === null || step.path in files) continue
    const text = scene.after[step.path]?.[0] ?? ''
    await openTestDisk(folder, quick).apply([download(step.path, text, null)])
  }
}

describe.each(SCENES)('$name', (scene) => {
  test.each(['dies before', 'dies after', 'EIO'] as const)('loses nothing when it %s at any call', async (fault) => {
    let index = 0
    while (await run(scene, index, fault)) index++
    expect(index).toBeGreaterThan(20)
  })
})

test('D4 a conflict that died and was done again has one sibling, not two', async () => {
  for (let index = 0; ; index++) {
    const folder = await testFolder(undefined, quick)
    folder.write('doc', 'mine')
    const faulty = faultyDisk(index, 'dies after')
    await until(async () => openTestDisk(folder, faulty).apply([conflict('doc', 'mine', 'theirs')]))
    await openTestDisk(folder, quick).recover((_, hash) => hash === file('theirs').hash)
    await openTestDisk(folder, quick).apply([conflict('doc', 'mine', 'theirs')])
    expect(Object.values(split(folder).files).sort()).toEqual(['mine', 'theirs'])
    folder.remove()
    if (faulty.failed() === null) break
  }
})

test.each(SCENES.filter(({ work }) => work().length === 1))(
  'whatever call of $name fails: what is said to have failed was not done, and what is said to be done was',
  async (scene) => {
    const wanted = Object.entries(scene.after).map(([path, [text]]) => [path, text])
    for (let index = 0, failed = true; failed; index++) {
      const folder = await testFolder(undefined, quick)
      for (const [path, text] of Object.entries(scene.before)) folder.write(path, text)
      const faulty = faultyDisk(index, 'EIO', scene.base?.(folder, () => undefined) ?? disk)
      const apply = async (): Promise<readonly DiskResult[]> => openTestDisk(folder, faulty).apply(scene.work())
      const [result] = await apply().catch(() => [])
      const { files } = split(folder)
      const there = Object.fromEntries(wanted.map(([path]) => [path, files[path ?? '']]))
      if (result?.type === 'failed') expect(files, `at call ${index}`).toMatchObject(scene.before)
      if (result?.type === 'failed' && Object.keys(scene.before).length === 0)
        expect(files[wanted[0]?.[0] ?? '']).toBeUndefined()
      if (result?.type === 'done') expect(there, `at call ${index}`).toEqual(Object.fromEntries(wanted))
      failed = faulty.failed() !== null
      folder.remove()
    }
  },
)

describe('recovery', () => {
  test('without a journal keeps what the server does not know under a name that says so', async () => {
    const folder = await testFolder(undefined, quick)
    fs.mkdirSync(folder.at('.blobs/tmp'))
    folder.write(`.blobs/tmp/${'a'.repeat(32)}.new`, 'a user wrote this')
    folder.write(`.blobs/tmp/${'b'.repeat(32)}.new`, 'known')
    folder.write(`.blobs/tmp/${'c'.repeat(32)}.part`, 'half a down')
    folder.write(`.blobs/tmp/${'d'.repeat(32)}.add`, 'never placed')
    const back = await openTestDisk(folder, quick).recover((path, hash) => path === '' && hash === file('known').hash)
    expect(back.map(({ path }) => path)).toEqual(['recovered-aaaaaaaa'])
    expect(split(folder)).toEqual({ files: { 'recovered-aaaaaaaa': 'a user wrote this' }, trash: ['known'], tmp: [] })
    folder.remove()
  })

  test('leaves what cannot be read to the next one, with its note, and makes no conflict of it', async () => {
    for (const left of ['old', 'saved']) {
      for (let index = 0, done = false; !done; index++) {
        const folder = await testFolder(undefined, quick)
        folder.write('doc', 'old')
        const full: FileSystem = {
          ...disk,
          exchange: (a, b) => {
            if (left === 'saved') fs.writeFileSync(folder.at('doc'), left)
            return disk.exchange(a, b)
          },
          renameNew: () => {
            throw Object.assign(new Error('full'), { code: 'ENOSPC' })
          },
        }
        await openTestDisk(folder, full).apply([download('doc', 'new', file('old'))])
        expect(split(folder), `at call ${index}`).toEqual({ files: { doc: 'new' }, trash: [], tmp: [left] })
        const unreadable = faultyDisk(index, 'EIO')
        const known = (_: string, hash: string) => hash !== file('saved').hash
        const agreed = () => true
        await until(async () => openTestDisk(folder, unreadable).recover(known, agreed))
        await openTestDisk(folder, quick).recover(known, agreed)
        const { files, trash, tmp } = split(folder)
        const siblings = Object.keys(files).filter((name) => name !== 'doc')
        if (left === 'old') expect({ files, trash }).toEqual({ files: { doc: 'new' }, trash: ['old'] })
        else expect(siblings.map((name) => files[name])).toEqual(['saved'])
        expect(tmp).toEqual([])
        expect(fs.readdirSync(join(folder.state, 'journal'))).toEqual([])
        folder.remove()
        done = unreadable.failed() === null
      }
    }
  })

  test('can itself die at any call, and go on', async () => {
    for (const fault of ['dies before', 'dies after', 'EIO'] as const) {
      for (let index = 0; ; index++) {
        const folder = await testFolder(undefined, quick)
        folder.write('doc', 'old')
        let calls = 0
        const dying: FileSystem = {
          ...disk,
          exchange: (a, b) => {
            fs.writeFileSync(folder.at('doc'), 'saved')
            disk.exchange(a, b)
            calls = 1
            throw new Error('died')
          },
        }
        await until(async () => openTestDisk(folder, dying).apply([download('doc', 'new', file('old'))]))
        expect(calls).toBe(1)
        const faulty = faultyDisk(index, fault)
        const known = (_: string, hash: string) => hash !== file('saved').hash
        await until(async () => openTestDisk(folder, faulty).recover(known))
        await openTestDisk(folder, quick).recover(known)
        const { files, tmp } = split(folder)
        expect(Object.values(files).sort()).toEqual(['new', 'saved'])
        // Its note is kept until it is needed no more.
        expect(Object.keys(files).filter((name) => name.startsWith('recovered-'))).toEqual([])
        expect(tmp).toEqual([])
        folder.remove()
        if (faulty.failed() === null) break
      }
    }
  })
})
