import * as fs from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import type { FileSystem } from '../../../src/platform/ports.ts'
import { identityOf } from '../../../src/sync/disk/look.ts'
import type { DiskResult, DiskWork } from '../../../src/sync/disk/transition.ts'
import { faultyDisk, type Fault } from './faulty-disk.ts'
import { disk, testFolder, type TestFolder } from './folder.ts'
import { download, file, openTestDisk, removal, split } from './steps.ts'

/** Waits for no platter, and does the rest. */
const quick = faultyDisk(Infinity, 'dies before')
const AN_HOUR_AGO = new Date(Math.floor(Date.now() / 1000 - 3600) * 1000)
const TIME = BigInt(AN_HOUR_AGO.getTime()) * 1_000_000n

async function openFolder(files: Record<string, string>): Promise<TestFolder> {
  const folder = await testFolder(undefined, quick)
  onTestFinished(() => folder.remove())
  for (const [path, text] of Object.entries(files)) {
    folder.write(path, text)
    fs.utimesSync(folder.at(path), AN_HOUR_AGO, AN_HOUR_AGO)
  }
  return folder
}

/** The two halves of a move, as a plan has them once the file was looked at. */
function moving(folder: TestFolder, from: string, to: string, text: string, mtimeNs: bigint = TIME): DiskWork[] {
  const stat = disk.lstat(folder.at(from))
  const gone = removal(from, file(text), stat && identityOf(stat))
  if (gone.step.type !== 'delete-local') throw new Error('not a removal')
  const source = { from: 'disk', path: from, orElse: () => never() } as const
  return [{ ...gone, step: { ...gone.step, movedTo: to } }, download(to, text, null, { source, mtimeNs })]
}

async function* never(): AsyncGenerator<Uint8Array> {
  yield* []
  throw new Error('the bucket was asked for bytes that are on disk')
}

/** Without empty folders. */
function filesOf(folder: TestFolder): { files: Record<string, string>; trash: string[] } {
  const { files, trash } = split(folder)
  return { files: Object.fromEntries(Object.entries(files).filter(([path]) => !path.endsWith('/'))), trash }
}

const types = (results: readonly DiskResult[]): string[] => results.map(({ type }) => type)

test('a file that gets another name is the very same file there, and no copy of it goes to the trash', async () => {
  const folder = await openFolder({ 'a/doc': 'text', 'a/other': 'stays' })
  const { ino } = fs.statSync(folder.at('a/doc'))
  const results = await openTestDisk(folder, quick).apply(moving(folder, 'a/doc', 'b/c/doc', 'text'))
  expect(split(folder)).toEqual({ files: { 'a/other': 'stays', 'b/c/doc': 'text' }, trash: [], tmp: [] })
  expect(fs.statSync(folder.at('b/c/doc')).ino).toBe(ino)
  const now = disk.lstat(folder.at('b/c/doc'))
  const { hash, size, executable } = file('text')
  const node = { kind: 'file', hash, size, executable, identity: now && identityOf(now), mtimeNs: TIME }
  expect(results).toMatchObject([
    { type: 'done', now: [{ path: 'a/doc', node: { kind: 'absent' } }] },
    { type: 'done', now: expect.arrayContaining([{ path: 'b/c/doc', node }]) },
  ])
})

test('a folder whose files all move away is gone, and said to be', async () => {
  const folder = await openFolder({ 'a/b/one': '1', 'a/b/two': '2' })
  const work = [...moving(folder, 'a/b/one', 'c/one', '1'), ...moving(folder, 'a/b/two', 'c/two', '2')]
  const results = await openTestDisk(folder, quick).apply(work)
  expect(types(results)).toEqual(['done', 'done', 'done', 'done'])
  expect(split(folder).files).toEqual({ 'c/one': '1', 'c/two': '2' })
  const gone = results.flatMap((result) => (result.type === 'done' ? result.now : []))
  expect(gone).toEqual(
    expect.arrayContaining([
      { path: 'a/b/', node: { kind: 'absent' } },
      { path: 'a/', node: { kind: 'absent' } },
    ]),
  )
})

test.each<[string, (folder: TestFolder) => void]>([
  ['was edited', (folder) => folder.write('doc', 'edit')],
  [
    'was replaced by a save',
    (folder) => (folder.write('save', 'edit'), fs.renameSync(folder.at('save'), folder.at('doc'))),
  ],
])('a file that %s since it was seen stays where it is', async (_what, act) => {
  const folder = await openFolder({ doc: 'text' })
  const work = moving(folder, 'doc', 'new/doc', 'text')
  act(folder)
  expect(types(await openTestDisk(folder, quick).apply(work))).toEqual(['dropped', 'dropped'])
  expect(split(folder).files).toEqual({ doc: 'edit' })
})

test('a save in the very instant of a move gets its name back, and the next time the halves are done apart', async () => {
  const folder = await openFolder({ doc: 'text' })
  let due = true
  const racing: FileSystem = {
    ...quick,
    renameNew: (from, to) => {
      if (due) fs.writeFileSync(folder.at('doc'), 'edit')
      due = false
      quick.renameNew(from, to)
    },
  }
  const opened = openTestDisk(folder, racing)
  const work = moving(folder, 'doc', 'moved', 'text')
  expect(types(await opened.apply(work))).toEqual(['dropped', 'dropped'])
  expect(split(folder).files).toEqual({ doc: 'edit' })
})

test('what stands at the new name is not touched', async () => {
  const folder = await openFolder({ doc: 'text', moved: 'mine' })
  await openTestDisk(folder, quick).apply(moving(folder, 'doc', 'moved', 'text'))
  const { files, trash } = split(folder)
  expect(files['moved']).toBe('mine')
  expect([...Object.values(files), ...trash]).toContain('text')
})

test.each([
  ['into a folder of its own old name', 'doc', 'doc/inside'],
  ['to the name of its own folder', 'doc/inside', 'doc'],
])('a file moves %s', async (_what, from, to) => {
  const folder = await openFolder({ [from]: 'text' })
  const source = { from: 'memory', bytes: Buffer.from('text') } as const
  const [gone, comes] = moving(folder, from, to, 'text')
  if (!gone || comes?.step.type !== 'download' || !('mtimeNs' in comes)) throw new Error('no move')
  expect(types(await openTestDisk(folder, quick).apply([gone, { ...comes, source }]))).toEqual(['done', 'done'])
  expect(split(folder).files).toEqual({ [to]: 'text' })
})

test('a file of another time than the bucket says is copied the next time, and has that time then', async () => {
  const folder = await openFolder({ doc: 'text' })
  const opened = openTestDisk(folder, quick)
  const work = moving(folder, 'doc', 'moved', 'text', TIME - 5_000_000_000n)
  expect(types(await opened.apply(work))).toEqual(['dropped', 'dropped'])
  expect(types(await opened.apply(work))).toEqual(['done', 'done'])
  expect(split(folder).files).toEqual({ moved: 'text' })
  expect(disk.lstat(folder.at('moved'))?.mtimeNs).toBe(TIME - 5_000_000_000n)
})

test.each<Fault>(['dies before', 'dies after', 'EIO'])(
  'a move that %s at any call leaves the file at one of its names, and tells which',
  async (fault) => {
    let index = 0
    for (let failed = true; failed; index++) {
      const folder = await openFolder({ 'a/doc': 'text' })
      const work = moving(folder, 'a/doc', 'b/doc', 'text')
      const placings: { path: string; op: string }[] = []
      const faulty = faultyDisk(index, fault)
      await (async () =>
        openTestDisk(folder, faulty).apply(work, { onPlacing: (list) => placings.push(...list) }))().catch(
        (error: unknown) => {
          if (!/died|dead|EIO/.test(String(error))) throw error
        },
      )
      const { files, trash } = filesOf(folder)
      expect([files, trash], `at call ${index}`).toEqual([{ [files['a/doc'] ? 'a/doc' : 'b/doc']: 'text' }, []])
      const again = openTestDisk(folder, quick)
      const found = await again.placed(placings.map((one) => ({ ...one, comes: file('text').hash, before: null })))
      if (placings.length > 0) expect(found.map(({ path }) => path)).toEqual(files['b/doc'] ? ['b/doc'] : [])
      await again.recover(() => false)
      expect(filesOf(folder).files).toEqual(files)
      failed = faulty.failed() !== null
    }
    expect(index).toBeGreaterThan(15)
  },
)
