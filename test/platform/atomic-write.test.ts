import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { writeAtomically } from '../../src/platform/atomic-write.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { systemIds } from '../../src/platform/system.ts'

const disk = systemFileSystem()
let folder: string
let path: string
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'blobs-atomic-'))
  path = join(folder, 'report.txt')
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

async function* pieces(...texts: (string | Error)[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) {
    if (text instanceof Error) throw text
    yield Buffer.from(text)
  }
}

describe('writeAtomically', () => {
  test('makes a file with its time and mode and leaves nothing beside it', async () => {
    const options = { mode: 0o755, mtimeNs: 1_600_000_000_000_000_001n }
    expect(await writeAtomically(disk, systemIds, path, pieces('one ', 'two'), options)).toBe(7)
    expect(fs.readFileSync(path, 'utf8')).toBe('one two')
    expect(disk.lstat(path)).toMatchObject({ mode: 0o755, mtimeNs: options.mtimeNs })
    expect(fs.readdirSync(folder)).toEqual(['report.txt'])
  })

  test('shows the old bytes until the new ones are whole', async () => {
    fs.writeFileSync(path, 'old')
    let seen = ''
    async function* source() {
      yield Buffer.from('new')
      seen = fs.readFileSync(path, 'utf8')
    }
    await writeAtomically(disk, systemIds, path, source())
    expect(seen).toBe('old')
    expect(fs.readFileSync(path, 'utf8')).toBe('new')
  })

  test('leaves the path as it was, and nothing beside it, when the source fails', async () => {
    fs.writeFileSync(path, 'old')
    await expect(writeAtomically(disk, systemIds, path, pieces('half', new Error('cut')))).rejects.toThrow('cut')
    expect(fs.readFileSync(path, 'utf8')).toBe('old')
    expect(fs.readdirSync(folder)).toEqual(['report.txt'])
  })

  test('replaces a link instead of writing through it', async () => {
    const target = join(folder, 'target')
    fs.writeFileSync(target, 'keep')
    fs.symlinkSync(target, path)
    await writeAtomically(disk, systemIds, path, pieces('new'))
    expect(fs.readFileSync(target, 'utf8')).toBe('keep')
    expect(fs.lstatSync(path).isFile()).toBe(true)
  })

  test('works for the longest name a folder can hold', async () => {
    const long = join(folder, 'é'.repeat(127))
    await writeAtomically(disk, systemIds, long, pieces('x'))
    expect(fs.readFileSync(long, 'utf8')).toBe('x')
  })

  test('fails plainly when the folder is not there', async () => {
    await expect(writeAtomically(disk, systemIds, join(folder, 'no/x'), pieces('x'))).rejects.toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    )
  })
})
