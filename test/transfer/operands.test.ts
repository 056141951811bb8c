import * as fc from 'fast-check'
import { mkdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { contentTypeOf } from '../../src/transfer/media-types.ts'
import { isExecutable, metaOf, mtimeOf } from '../../src/transfer/metadata.ts'
import { planGet, planPut, type PutGroup } from '../../src/transfer/operands.ts'
import { openPlace, type Place } from './place.ts'

let place: Place
let before: string
beforeAll(async () => {
  place = await openPlace()
  place.write('a.txt', 'a')
  place.write('b.txt', 'b')
  place.write('dir/x', 'x')
  place.write('other/a.txt', 'a')
  mkdirSync(place.path('into'))
  before = process.cwd()
  process.chdir(place.folder)
})
afterAll(async () => {
  process.chdir(before)
  await place[Symbol.asyncDispose]()
})

const stdin = (async function* (): AsyncGenerator<Uint8Array> {})()
function plan(files: readonly string[], key: string, recursive = false): string[] {
  return planPut(files, { bucket: 'team', key }, { recursive, stdin }).flatMap(targets)
}
function targets(group: PutGroup): string[] {
  if (group.kind === 'tree') return [`${group.root} => ${group.prefix}*`]
  return group.items.map((item) => `${item.kind} ${item.path} => ${'key' in item ? item.key : '?'}`)
}

describe('put FILE… TARGET', () => {
  test.each([
    ['a bucket means into', ['a.txt'], '', ['file a.txt => a.txt']],
    ['a trailing / means into', ['a.txt'], 'x/', ['file a.txt => x/a.txt']],
    ['otherwise it is the exact key', ['a.txt'], 'x', ['file a.txt => x']],
    ['several go into', ['a.txt', './b.txt'], 'x/', ['file a.txt => x/a.txt', 'file ./b.txt => x/b.txt']],
    ['stdin has an exact key', ['-'], 'x', ['stream - => x']],
    ['a missing file fails by itself', ['nowhere', 'a.txt'], 'x/', ['failed nowhere => ?', 'file a.txt => x/a.txt']],
  ])('%s', (_, files, key, expected) => {
    expect(plan(files, key)).toEqual(expected)
  })

  test.each([
    ['-r dir b/x makes b/x/…', ['dir'], 'x', ['dir => x/*']],
    ['-r dir b/x/ makes b/x/dir/…', ['dir'], 'x/', ['dir => x/dir/*']],
    ['-r dir b makes b/dir/…', ['dir/'], '', ['dir/ => dir/*']],
    ['-r of the current folder goes by its name', ['other/.'], 'x/', ['other/. => x/other/*']],
    [
      '-r takes files as well',
      ['a.txt', 'dir', 'b.txt'],
      'x/',
      ['file a.txt => x/a.txt', 'dir => x/dir/*', 'file b.txt => x/b.txt'],
    ],
  ])('%s', (_, files, key, expected) => {
    expect(plan(files, key, true)).toEqual(expected)
  })

  test.each([
    ['several files into one key', ['a.txt', 'b.txt'], 'x', false],
    ['a folder without -r', ['dir'], 'x', false],
    ['stdin without a key', ['-'], 'x/', false],
    ['two files of one name', ['a.txt', 'other/a.txt'], 'x/', false],
    ['the root folder without a name', ['/'], 'x/', true],
  ])('%s is a usage error before anything is put', (_, files, key, recursive) => {
    expect(() => plan(files, key, recursive)).toThrow(expect.objectContaining({ code: 'InvalidRequest' }) as Error)
  })
})

describe('get SOURCE… DEST', () => {
  test.each([
    ['-', false, { kind: 'stdout' }],
    ['into', false, { kind: 'into', folder: 'into', make: false }],
    ['new/', true, { kind: 'into', folder: 'new/', make: true }],
    ['a.txt', false, { kind: 'exact', path: 'a.txt' }],
    ['new', false, { kind: 'exact', path: 'new' }],
    ['/dev/null', false, { kind: 'device', path: '/dev/null' }],
  ] as const)('%s', (destination, several, expected) => {
    expect(planGet(destination, several)).toEqual(expected)
  })

  test('several sources need a folder', () => {
    expect(() => planGet('new', true)).toThrow(/not a folder/)
    expect(() => planGet('a.txt', true)).toThrow(/not a folder/)
  })
})

test('the content type comes from the extension', () => {
  expect(
    ['a/b.TXT', 'x.tar.gz', '.gitignore', 'noext', 'a.b/c', 'x.constructor', 'photo.jpeg'].map(contentTypeOf),
  ).toEqual([
    'text/plain',
    'application/gzip',
    'application/octet-stream',
    'application/octet-stream',
    'application/octet-stream',
    'application/octet-stream',
    'image/jpeg',
  ])
})

test('every time and mode that a file can have survives its metadata', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(10n ** 19n), max: 10n ** 19n }),
      fc.integer({ min: 0, max: 0o7777 }),
      (mtimeNs, mode) => {
        const meta = metaOf({ mtimeNs, mode })
        expect(mtimeOf(meta)).toBe(mtimeNs)
        expect(isExecutable(meta)).toBe((mode & 0o100) !== 0)
      },
    ),
  )
  expect([mtimeOf({}), mtimeOf({ mtime: 'x' }), mtimeOf({ mtime: '1.1234567890' })]).toEqual([null, null, null])
})
