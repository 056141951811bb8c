import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FileSystem } from '../../../src/platform/ports.ts'
import { systemClock } from '../../../src/platform/system.ts'
import { lookAtFile } from '../../../src/sync/disk/look.ts'
import type { Disk, DiskWork } from '../../../src/sync/disk/transition.ts'
import { faultyDisk } from './faulty-disk.ts'
import { disk, testFolder, type TestFolder } from './folder.ts'
import { conflict, contents, download, file, folderComes, openTestDisk, removal, split } from './steps.ts'

let folder: TestFolder
beforeEach(async () => {
  folder = await testFolder()
})
afterEach(() => folder.remove())

describe('against a program that saves all the time', () => {
  async function race(now: Disk, seed: number): Promise<{ saved: string[]; done: number }> {
    const script = fileURLToPath(new URL('writer.ts', import.meta.url))
    const writer = spawn(process.execPath, [script, folder.at('doc'), String(seed), '1500'])
    let output = ''
    writer.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
    const end = new Promise((resolve) => writer.once('close', resolve))
    let done = 0
    for (let i = 0; writer.exitCode === null; i++) {
      const look = await lookAtFile(disk, systemClock, folder.at('doc'))
      const [result] = look.kind === 'unknown' ? [] : await now.apply([next(look, i)])
      if (result?.type === 'done') done++
      await now.lateWrites()
      await new Promise(setImmediate)
    }
    await end
    await now.lateWrites()
    return { saved: output.trim().split('\n'), done }
  }

  const next = (look: Awaited<ReturnType<typeof lookAtFile>>, i: number): DiskWork => {
    const text = `from the bucket ${i}\n`
    if (look.kind !== 'file') return download('doc', text, null)
    const { content } = look
    if (i % 3 === 0) return removal('doc', content)
    if (i % 3 === 1) return download('doc', text, content)
    const planned = conflict('doc', '', text)
    return planned.step.type === 'conflict'
      ? ({ ...planned, step: { ...planned.step, local: content } } as DiskWork)
      : planned
  }

  test.each([
    ['exchanging', disk, 7],
    ['renaming aside', { ...disk, exchange: () => false } satisfies FileSystem, 11],
  ])('not one save is lost, %s', async (_, fs_, seed) => {
    const { saved, done } = await race(openTestDisk(folder, fs_), seed)
    const all = Object.values(contents(folder)).join('\n')
    expect(saved.filter((token) => !all.includes(`${token}\n`))).toEqual([])
    // On a busy machine not much happens; but something does.
    expect(saved.length).toBeGreaterThan(20)
    expect(done).toBeGreaterThan(2)
    expect(split(folder).tmp).toEqual([])
  })
})

test('a reader never sees a file half, mixed or absent while it is replaced (I9)', async () => {
  const versions = Array.from({ length: 40 }, (_, i) => `${i}:`.padEnd(5000, String(i % 10)))
  folder.write('doc', versions[0] ?? '')
  const script = `
    const fs = require('node:fs'), path = process.argv[1], seen = new Set()
    process.stdout.write('ready')
    for (const end = Date.now() + 1200; Date.now() < end;) { try { seen.add(fs.readFileSync(path, 'utf8')) } catch (e) { seen.add(e.code) } }
    process.stdout.write(JSON.stringify([...seen]))`
  const reader = spawn(process.execPath, ['-e', script, folder.at('doc')])
  let output = ''
  reader.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
  const end = new Promise((resolve) => reader.once('close', resolve))
  await new Promise((resolve) => reader.stdout.once('data', resolve))
  const now = openTestDisk(folder)
  for (let i = 1; i < versions.length; i++) {
    expect(await now.apply([download('doc', versions[i] ?? '', file(versions[i - 1] ?? ''))])).toMatchObject([
      { type: 'done' },
    ])
  }
  await end
  const seen = JSON.parse(output.slice('ready'.length)) as string[]
  expect(seen.filter((text) => !versions.includes(text))).toEqual([])
  expect(seen.length).toBeGreaterThan(3)
})

describe.runIf(process.platform === 'linux')('a folder that is swapped for a link at any instant', () => {
  const WORK: [string, () => DiskWork][] = [
    ['a new file', () => download('a/b/c/new', 'new', null)],
    ['a replacement', () => download('a/b/c/doc', 'new', file('doc'))],
    ['a mode', () => download('a/b/c/doc', 'doc', file('doc'), { executable: true, source: null })],
    ['a delete', () => removal('a/b/c/doc', file('doc'))],
    ['a conflict', () => conflict('a/b/c/doc', 'doc', 'new')],
    ['a folder', () => folderComes('a/b/c/empty/')],
  ]
  const tree = (path: string): string[] =>
    fs.readdirSync(path, { recursive: true, withFileTypes: true }).map((item) => {
      const full = join(item.parentPath, item.name)
      const stat = fs.lstatSync(full)
      return `${full} ${stat.mode} ${stat.mtimeMs} ${stat.ino} ${item.isFile() ? fs.readFileSync(full, 'utf8') : ''}`
    })

  /** The same disk, where something happens right before the n-th call. */
  const swapping = (index: number, swap: () => void): { fs: FileSystem; calls: () => number } => {
    let calls = 0
    const count = (): void => {
      if (calls++ === index) swap()
    }
    const entries = Object.entries(faultyDisk(Infinity, 'EIO')).map(([name, call]) => [
      name,
      (...args: unknown[]) => {
        count()
        return (call as (...all: unknown[]) => unknown)(...args)
      },
    ])
    return { fs: Object.fromEntries(entries) as FileSystem, calls: () => calls }
  }

  test.each(WORK)('S18 %s never goes through it', async (_, work) => {
    const outside = `${folder.path}-outside`
    for (const level of ['a', 'a/b', 'a/b/c']) {
      for (let index = 0; ; index++) {
        for (const path of ['a', 'moved']) fs.rmSync(folder.at(path), { recursive: true, force: true })
        fs.rmSync(outside, { recursive: true, force: true })
        for (const base of [folder.path, outside]) {
          fs.mkdirSync(join(base, 'a/b/c'), { recursive: true })
          fs.writeFileSync(join(base, 'a/b/c/doc'), 'doc')
        }
        const before = tree(outside)
        const { fs: racing, calls } = swapping(index, () => {
          if (!fs.existsSync(folder.at(level))) return
          fs.renameSync(folder.at(level), folder.at('moved'))
          fs.symlinkSync(join(outside, level), folder.at(level))
        })
        await openTestDisk(folder, racing).apply([work()])
        expect(tree(outside), `swapped ${level} at call ${index}`).toEqual(before)
        expect(Object.values(contents(folder)).some((text) => text === 'doc')).toBe(true)
        if (calls() <= index) break
      }
    }
    fs.rmSync(outside, { recursive: true })
  })
})

describe('names that lead out', () => {
  test.each([
    '../out',
    'a/../../out',
    '/abs',
    'a//b',
    './x',
    'a/.',
    '.blobs/tmp/x',
    '.BLOBS/root.json',
    '.blobs',
    'a/\0b',
  ])('%j is refused', async (path) => {
    const before = contents(folder)
    expect(await openTestDisk(folder).apply([download(path, 'x', null)])).toMatchObject([
      { type: 'failed', reason: 'name-reserved' },
    ])
    expect(contents(folder)).toEqual(before)
  })

  test('a name too long for the disk has its reason, and so has a file in the way of a folder', async () => {
    folder.write('a', 'mine')
    fs.symlinkSync('/', folder.at('link'))
    expect(
      await openTestDisk(folder).apply([
        download('x'.repeat(300), 'x', null),
        download('a/b', 'x', null),
        download('link/b', 'x', null),
      ]),
    ).toMatchObject([
      { type: 'failed', reason: 'name-too-long' },
      { type: 'failed', reason: 'file-and-folder' },
      { type: 'failed', reason: 'symlink' },
    ])
    expect(split(folder)).toEqual({ files: { a: 'mine', link: '-> /' }, trash: [], tmp: [] })
  })
})
