import * as fs from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemFileSystem } from '../../src/platform/file-system.ts'

const disk = systemFileSystem()
const linux = process.platform === 'linux'
let folder: string
const at = (name: string) => join(folder, name)
const code = (value: string) => expect.objectContaining({ code: value })

beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'blobs-fs-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

describe('looking', () => {
  test('tells files, folders, links and the rest apart without following', () => {
    fs.writeFileSync(at('file'), 'abc', { mode: 0o640 })
    fs.symlinkSync('/etc', at('link'))
    execFileSync('mkfifo', [at('pipe')])
    expect(disk.lstat(at('file'))).toMatchObject({ kind: 'file', size: 3, mode: 0o640 })
    expect(disk.lstat(folder)?.kind).toBe('folder')
    expect(disk.lstat(at('link'))?.kind).toBe('symlink')
    expect(disk.lstat(at('pipe'))?.kind).toBe('other')
    expect(
      disk
        .list(folder)
        .map((item) => [item.name, item.kind])
        .sort(),
    ).toEqual([
      ['file', 'file'],
      ['link', 'symlink'],
      ['pipe', 'other'],
    ])
  })

  test('says null for what is not there, and throws for everything else', () => {
    fs.writeFileSync(at('file'), '')
    expect(disk.lstat(at('none'))).toBeNull()
    expect(disk.lstat(at('file/below'))).toBeNull()
    expect(() => disk.lstat(at('x'.repeat(300)))).toThrow(code('ENAMETOOLONG'))
    expect(() => disk.list(at('none'))).toThrow(code('ENOENT'))
  })

  test('shows a name that is not UTF-8 without taking it for another', () => {
    fs.writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0x61, 0xff])]), '')
    fs.writeFileSync(at('b\uFFFD'), '')
    const items = disk.list(folder).sort((x, y) => (x.shown < y.shown ? -1 : 1))
    expect(items.map(({ name, shown }) => ({ name, shown }))).toEqual([
      { name: null, shown: 'a\uFFFD' },
      { name: 'b\uFFFD', shown: 'b\uFFFD' },
    ])
  })
})

describe('renaming', () => {
  test('to a new name refuses a name that is taken, for files and folders', () => {
    fs.writeFileSync(at('a'), 'a')
    fs.writeFileSync(at('b'), 'b')
    fs.mkdirSync(at('d'))
    fs.mkdirSync(at('e'))
    expect(() => disk.renameNew(at('a'), at('b'))).toThrow(code('EEXIST'))
    expect(() => disk.renameNew(at('d'), at('e'))).toThrow(code('EEXIST'))
    expect(() => disk.renameNew(at('none'), at('c'))).toThrow(code('ENOENT'))
    disk.renameNew(at('a'), at('c'))
    disk.renameNew(at('d'), at('f'))
    expect(fs.readdirSync(folder).sort()).toEqual(['b', 'c', 'e', 'f'])
    expect(fs.readFileSync(at('b'), 'utf8')).toBe('b')
  })

  test.runIf(linux)('can swap two paths at once', () => {
    fs.writeFileSync(at('a'), 'a')
    fs.mkdirSync(at('b'))
    expect(disk.exchange(at('a'), at('b'))).toBe(true)
    expect(fs.readFileSync(at('b'), 'utf8')).toBe('a')
    expect(() => disk.exchange(at('a'), at('none'))).toThrow(code('ENOENT'))
  })
})

describe('files', () => {
  test('are created, never opened, and read back by position', async () => {
    const big = Buffer.alloc(300_000, 7)
    const file = await disk.create(at('a'))
    await file.write(Buffer.from('head'))
    await file.write(big)
    await file.sync()
    expect(file.stat()).toMatchObject({ size: 300_004, mode: 0o600 })
    await file.close()
    await expect(disk.create(at('a'))).rejects.toThrow(code('EEXIST'))
    const read = await disk.open(at('a'))
    const buffer = Buffer.alloc(400_000)
    expect(await read.read(buffer, 4)).toBe(300_000)
    expect(buffer.subarray(0, 300_000).equals(big)).toBe(true)
    expect(await read.read(buffer, 300_004)).toBe(0)
    await read.close()
  })

  test('are not opened through a link, nor a pipe that took the name', async () => {
    fs.writeFileSync(at('file'), 'x')
    fs.symlinkSync(at('file'), at('link'))
    execFileSync('mkfifo', [at('pipe')])
    await expect(disk.open(at('link'))).rejects.toThrow(code('ELOOP'))
    await expect(disk.open(at('pipe'))).rejects.toThrow(code('ENXIO'))
    await expect(disk.open(folder)).rejects.toThrow(code('EISDIR'))
    await expect(disk.copy(at('link'), at('copy'))).rejects.toThrow(code('ELOOP'))
  })

  test('that are small are read at once, or not at all', () => {
    fs.writeFileSync(at('a'), 'bytes')
    fs.symlinkSync(at('a'), at('link'))
    expect(Buffer.from(disk.readSmall(at('a'), 5) ?? []).toString()).toBe('bytes')
    expect(disk.readSmall(at('none'), 5)).toBeNull()
    expect(() => disk.readSmall(at('a'), 4)).toThrow(code('EFBIG'))
    expect(() => disk.readSmall(at('link'), 5)).toThrow(code('ELOOP'))
    expect(() => disk.readSmall(folder, 5)).toThrow(code('EISDIR'))
  })

  test('are copied into a new name only', async () => {
    fs.writeFileSync(at('a'), 'bytes')
    await disk.copy(at('a'), at('b'))
    expect(fs.readFileSync(at('b'), 'utf8')).toBe('bytes')
    await expect(disk.copy(at('a'), at('b'))).rejects.toThrow(code('EEXIST'))
  })

  test.runIf(linux)('that somebody has open for writing are known', async () => {
    fs.writeFileSync(at('a'), 'x')
    const read = await disk.open(at('a'))
    expect(read.openForWriting()).toBe(false)
    const writer = fs.openSync(at('a'), 'r+')
    expect(read.openForWriting()).toBe(true)
    fs.closeSync(writer)
    expect(read.openForWriting()).toBe(false)
    await read.close()
  })
})

test.runIf(linux)('a writer that opens during the look survives it, and so do we', async () => {
  fs.writeFileSync(at('a'), 'x')
  const { spawn } = await import('node:child_process')
  const writer = spawn('sh', [
    '-c',
    `i=0; while [ $i -lt 400 ]; do echo $i >> '${at('a')}' || exit 1; i=$((i+1)); done`,
  ])
  const ended = new Promise((resolve) => writer.once('exit', resolve))
  const read = await disk.open(at('a'))
  let looks = 0
  while (writer.exitCode === null) {
    for (let i = 0; i < 2000; i++, looks++) read.openForWriting()
    await new Promise(setImmediate)
  }
  expect(await ended).toBe(0)
  expect(looks).toBeGreaterThan(2000)
  await read.close()
})

describe('metadata', () => {
  test('modification times are exact to the nanosecond, before 1970 too', () => {
    fs.writeFileSync(at('a'), '')
    for (const time of [1_700_000_000_123_456_789n, 0n, -1_500_000_001n]) {
      disk.setModified(at('a'), time)
      expect(disk.lstat(at('a'))?.mtimeNs).toBe(time)
    }
  })

  test('neither time nor mode is set through a link', () => {
    fs.writeFileSync(at('a'), '', { mode: 0o600 })
    const before = disk.lstat(at('a'))
    fs.symlinkSync(at('a'), at('link'))
    expect(() => disk.chmod(at('link'), 0o777)).toThrow(code('ELOOP'))
    disk.setModified(at('link'), 5n)
    expect(disk.lstat(at('a'))).toEqual(before)
    disk.chmod(at('a'), 0o755)
    expect(disk.lstat(at('a'))?.mode).toBe(0o755)
  })
})

describe('an open folder', () => {
  test.runIf(linux)('stays the same folder when its name is given to another', () => {
    fs.mkdirSync(at('real'))
    fs.mkdirSync(at('other'))
    const handle = disk.openFolder(at('real'))
    fs.renameSync(at('real'), at('moved'))
    fs.symlinkSync(at('other'), at('real'))
    fs.writeFileSync(`${handle.path}/x`, 'x')
    expect(disk.lstat(handle.path)?.kind).toBe('folder')
    expect(fs.readdirSync(at('moved'))).toEqual(['x'])
    expect(fs.readdirSync(at('other'))).toEqual([])
    expect(handle.stat().kind).toBe('folder')
    handle.close()
  })

  test('is never a link or a file', () => {
    fs.mkdirSync(at('real'))
    fs.symlinkSync(at('real'), at('link'))
    fs.writeFileSync(at('file'), '')
    expect(() => disk.openFolder(at('link'))).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/ELOOP|ENOTDIR/) }),
    )
    expect(() => disk.openFolder(at('file'))).toThrow(code('ENOTDIR'))
  })
})

test('a group is made durable in one call, or one by one when it is small', async () => {
  const files = Array.from({ length: 20 }, (_, i) => at(`f${i}`))
  for (const file of files) fs.writeFileSync(file, 'x')
  await disk.syncGroup(folder, files)
  await disk.syncGroup(folder, [at('f1'), folder])
  disk.syncFolder(folder)
  await expect(disk.syncGroup(folder, [at('none')])).rejects.toThrow(code('ENOENT'))
})
