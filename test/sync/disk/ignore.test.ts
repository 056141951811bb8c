import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openIgnore } from '../../../src/sync/disk/ignore.ts'
import { disk } from './folder.ts'

let root: string
const write = (path: string, text: string) => {
  fs.mkdirSync(dirname(join(root, path)), { recursive: true })
  fs.writeFileSync(join(root, path), text)
}
const rules = (exclude: string[] = []) => openIgnore({ fs: disk, root, exclude })

beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'blobs-ignore-')))
})
afterEach(() => fs.rmSync(root, { recursive: true, force: true }))

describe('without any rule', () => {
  test.each([
    ['.blobs', true, true],
    ['.blobs/root.json', false, true],
    ['.BLOBS/root.json', false, true],
    ['sub/.blobs', true, false],
    [`sub/.report.txt.${'0'.repeat(32)}.blobs-tmp`, false, true],
    ['my.blobs-tmp', false, false],
    ['.blobsignore', false, false],
    ['a/b/c', false, false],
  ])('%s (folder: %s) is ignored: %s', (path, isFolder, ignored) => {
    expect(rules().ignores(path, isFolder)).toBe(ignored)
  })
})

test('rules are those of git, file by file, in subfolders too', () => {
  write('.blobsignore', '# notes\n*.log\n!keep.log\nbuild/\n/top\ndoc/**/draft.md\n\\#odd\nsp ace\nfoo[0-9]\n')
  write('sub/.blobsignore', '!important.log\n/local\n*.tmp\n')
  write('sub/deep/.blobsignore', '!wanted.tmp\n')
  execFileSync('git', ['init', '-q'], { cwd: root })
  const folders = ['build', 'sub/build', 'top', 'sub/top', 'local', 'sub/local', 'sub/deep', 'doc/a/b']
  const files = [
    'x.log',
    'keep.log',
    'sub/important.log',
    'sub/keep.log',
    'sub/x.log',
    'sub/a.tmp',
    'sub/deep/a.tmp',
    'sub/deep/wanted.tmp',
  ]
  files.push(
    'doc/draft.md',
    'doc/a/b/draft.md',
    '#odd',
    'sp ace',
    'foo1',
    'foox',
    'BUILD',
    'X.LOG',
    'build/keep.log',
    'sub/build/a/b',
    'sub/deep/local',
  )
  for (const folder of folders) fs.mkdirSync(join(root, folder), { recursive: true })
  for (const file of files) write(file, '')
  const found = rules()
  const ours = [...folders, ...files].filter((path) => found.ignores(path, fs.statSync(join(root, path)).isDirectory()))
  for (const file of ['.blobsignore', 'sub/.blobsignore', 'sub/deep/.blobsignore']) {
    fs.renameSync(join(root, file), join(root, dirname(file), '.gitignore'))
  }
  const git = execFileSync('sh', ['-c', 'git check-ignore --stdin || true'], {
    cwd: root,
    input: [...folders, ...files].join('\n'),
  })
  expect(ours.sort()).toEqual(
    git
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.replaceAll('"', ''))
      .sort(),
  )
})

test('patterns of this machine are stronger than the files', () => {
  write('.blobsignore', '*.log\n')
  const found = rules(['secret/', '!wanted.log'])
  expect(found.ignores('secret', true)).toBe(true)
  expect(found.ignores('secret/a', false)).toBe(true)
  expect(found.ignores('wanted.log', false)).toBe(false)
  expect(found.ignores('a.log', false)).toBe(true)
})

test('the digest tells every change of a rule, and nothing else', () => {
  const digest = (exclude?: string[]) => {
    const found = rules(exclude)
    found.ignores('sub/x', false)
    return found.digest()
  }
  write('sub/x', '')
  const none = digest()
  write('other', 'x')
  expect(digest()).toBe(none)
  write('sub/.blobsignore', 'a\n')
  const nested = digest()
  write('.blobsignore', 'a\n')
  expect(new Set([none, nested, digest(), digest(['b'])]).size).toBe(4)
})

test('a rule file that cannot be read is an error, not an empty one', () => {
  write('.blobsignore', 'x'.repeat(1024 * 1024 + 1))
  expect(() => rules().ignores('a', false)).toThrow(expect.objectContaining({ code: 'EFBIG' }))
})

test('a hundred thousand paths are judged in well under a second, and are not kept', () => {
  write('.blobsignore', '*.log\n!keep.log\nbuild/\nnode_modules/\n')
  const found = rules()
  const started = performance.now()
  let count = 0
  for (let i = 0; i < 100_000; i++) if (found.ignores(`dir${i % 100}/file${i}.${i % 2 ? 'log' : 'txt'}`, false)) count++
  expect(count).toBe(50_000)
  expect(performance.now() - started).toBeLessThan(3000)
})
