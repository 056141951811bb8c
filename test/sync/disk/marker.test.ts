import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkRoot, checkRootStands, openRoot, readMarker, writeMarker } from '../../../src/sync/disk/marker.ts'
import { disk } from './folder.ts'

const pairing = {
  format: 1,
  id: 'a'.repeat(32),
  location: 'http://127.0.0.1:7420',
  bucket: 'photos',
  prefix: 'team/x',
  created: '2026-01-02T03:04:05Z',
} as const
let folder: string
let marker: string
const refused = (code: string) =>
  expect.objectContaining({
    code: 'Refused',
    cause: expect.objectContaining({ code }),
    hint: expect.stringContaining('nothing was deleted'),
  })

beforeEach(() => {
  folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'blobs-marker-')))
  marker = join(folder, '.blobs/root.json')
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

describe('the marker', () => {
  test('is read as it was written, and nothing else is left in its folder', async () => {
    expect(readMarker(disk, folder)).toBeNull()
    await writeMarker(disk, folder, pairing)
    await writeMarker(disk, folder, pairing)
    expect(readMarker(disk, folder)).toEqual(pairing)
    expect(fs.readdirSync(join(folder, '.blobs'))).toEqual(['.gitignore', 'root.json'])
    // Where the folder is a checkout, git has no eyes for it.
    expect(fs.readFileSync(join(folder, '.blobs', '.gitignore'), 'utf8')).toBe('*\n')
    expect(fs.statSync(join(folder, '.blobs')).mode & 0o777).toBe(0o700)
  })

  test('of a higher format is refused with a way out', async () => {
    await writeMarker(disk, folder, pairing)
    fs.writeFileSync(marker, JSON.stringify({ ...pairing, format: 2 }))
    expect(() => readMarker(disk, folder)).toThrow(
      expect.objectContaining({
        code: 'Refused',
        message: expect.stringContaining('format 2'),
        hint: expect.stringContaining('update'),
      }),
    )
  })

  test.each([
    '',
    '{',
    'null',
    '[]',
    '{"format":1}',
    '{"format":"1"}',
    '{"format":1,"id":"../../etc"}',
    `{"format":1,"id":"${'a'.repeat(32)}"}`,
  ])('that is damaged (%j) is refused by name and left as it is', async (text) => {
    await writeMarker(disk, folder, pairing)
    fs.writeFileSync(marker, text)
    expect(() => readMarker(disk, folder)).toThrow(
      expect.objectContaining({ code: 'Refused', message: expect.stringContaining(marker) }),
    )
    expect(fs.readFileSync(marker, 'utf8')).toBe(text)
  })

  test('is not read through a link to somewhere else', async () => {
    await writeMarker(disk, folder, pairing)
    fs.renameSync(join(folder, '.blobs'), join(folder, 'elsewhere'))
    fs.symlinkSync(join(folder, 'elsewhere'), join(folder, '.blobs'))
    expect(() => readMarker(disk, folder)).toThrow(expect.objectContaining({ code: 'Refused' }))
    await expect(writeMarker(disk, folder, pairing)).rejects.toThrow(expect.objectContaining({ code: 'Refused' }))
  })
})

describe('the root', () => {
  test('is found through a link to the folder, under its real path', async () => {
    await writeMarker(disk, folder, pairing)
    const link = `${folder}-link`
    fs.symlinkSync(folder, link)
    expect(openRoot(disk, link, pairing.id).path).toBe(folder)
    fs.unlinkSync(link)
  })

  test('is missing when it was moved away, or an empty folder stands in its place', async () => {
    await writeMarker(disk, folder, pairing)
    const root = openRoot(disk, folder, pairing.id)
    checkRoot(disk, root)
    fs.renameSync(folder, `${folder}-away`)
    expect(() => checkRoot(disk, root)).toThrow(refused('root-missing'))
    fs.mkdirSync(folder)
    expect(() => checkRoot(disk, root)).toThrow(refused('root-missing'))
    expect(() => openRoot(disk, folder, pairing.id)).toThrow(refused('root-missing'))
    fs.rmdirSync(folder)
    fs.renameSync(`${folder}-away`, folder)
    checkRoot(disk, root)
  })

  test('is another one when a copy of it, or another synced folder, stands in its place', async () => {
    await writeMarker(disk, folder, pairing)
    const root = openRoot(disk, folder, pairing.id)
    fs.renameSync(folder, `${folder}-away`)
    fs.cpSync(`${folder}-away`, folder, { recursive: true })
    expect(() => checkRoot(disk, root)).toThrow(refused('other-root'))
    expect(() => checkRootStands(disk, root)).toThrow(refused('other-root'))
    expect(() => openRoot(disk, folder, 'b'.repeat(32))).toThrow(refused('other-root'))
    fs.rmSync(`${folder}-away`, { recursive: true })
  })
})
