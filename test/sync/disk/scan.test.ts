import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FileSystem } from '../../../src/platform/ports.ts'
import { systemClock } from '../../../src/platform/system.ts'
import { disk, short, tell, testFolder, type TestFolder } from './folder.ts'

let folder: TestFolder
beforeEach(async () => {
  folder = await testFolder()
})
afterEach(() => folder.remove())

/** Sees every file as written long ago, so that nothing is looked at twice for being new. */
const later = { ...systemClock, now: () => Date.now() + 60_000 }
const failing = (call: 'list' | 'lstat' | 'open', path: string, code: string): FileSystem => ({
  ...disk,
  [call]: (at: string) => {
    if (at === path) throw Object.assign(new Error(code), { code })
    return disk[call](at)
  },
})

describe('a scan of everything', () => {
  test('finds files, modes and empty folders, and then nothing', async () => {
    folder.write('a.txt', 'a')
    folder.write('bin/run', 'x', 0o755)
    folder.write('deep/er/est/file', 'd')
    fs.mkdirSync(folder.at('empty/inner'), { recursive: true })
    await folder.look(undefined, { clock: later })
    expect(folder.tree.plain()).toEqual({
      'a.txt': short('a'),
      'bin/run': `${short('x')}+x`,
      'deep/er/est/file': short('d'),
      'empty/inner/': 'folder',
    })
    expect(await folder.look(undefined, { clock: later })).toEqual([])
  })

  test('tells edits, deletes, moves, and a file that became a folder and back', async () => {
    folder.write('edit', '1')
    folder.write('gone', '2')
    folder.write('dir/gone/x', '3')
    folder.write('swap', '4')
    folder.write('back/y', '5')
    await folder.look()
    folder.write('edit', '11')
    fs.rmSync(folder.at('gone'))
    fs.rmSync(folder.at('dir/gone'), { recursive: true })
    fs.rmSync(folder.at('swap'))
    folder.write('swap/in', '6')
    fs.rmSync(folder.at('back'), { recursive: true })
    folder.write('back', '7')
    expect(tell(await folder.look(undefined, { clock: later }))).toEqual(
      ['+back', '+dir/', '+edit', '+swap/in', '-back/y', '-dir/gone/x', '-gone', '-swap'].sort(),
    )
    expect(await folder.look(undefined, { clock: later })).toEqual([])
  })

  test('takes a folder as empty only when nothing at all is in it', async () => {
    fs.mkdirSync(folder.at('e'))
    expect(tell(await folder.look())).toEqual(['+e/'])
    folder.write('.blobsignore', '*.tmp')
    folder.write('e/x.tmp', '')
    expect(tell(await folder.look())).toEqual(['+.blobsignore', '-e/'])
    fs.rmSync(folder.at('e'), { recursive: true })
    expect(tell(await folder.look()).filter((line) => line.includes('e/'))).toEqual([])
  })

  test('S21 sees an edit of the same size with the time set back', async () => {
    folder.write('a', 'one')
    await folder.look(undefined, { clock: later })
    const { mtime, atime } = fs.statSync(folder.at('a'))
    fs.writeFileSync(folder.at('a'), 'two')
    fs.utimesSync(folder.at('a'), atime, mtime)
    await folder.look(undefined, { clock: later })
    expect(folder.tree.plain()).toEqual({ a: short('two') })
  })

  test('reads a file again that was written too close to the look, until the times can tell', async () => {
    const opened: string[] = []
    const counting: FileSystem = { ...disk, open: (path) => (opened.push(path), disk.open(path)) }
    folder.write('a', 'x')
    fs.utimesSync(folder.at('a'), 1, 1)
    await folder.look(undefined, { fs: counting, clock: { ...systemClock, now: () => Date.now() - 10_000 } })
    expect(folder.tree.get('a')).toMatchObject({ identity: '' })
    expect(tell(await folder.look(undefined, { fs: counting, clock: later }))).toEqual(['+a'])
    expect(await folder.look(undefined, { fs: counting, clock: later })).toEqual([])
    expect(opened.length).toBe(2)
  })

  test('reads no file of a folder that has another name now, but those that changed', async () => {
    for (const path of ['old/a', 'old/in/b', 'old/c']) folder.write(path, path)
    await folder.look(undefined, { clock: later })
    const opened: string[] = []
    const counting: FileSystem = { ...disk, open: (path) => (opened.push(path), disk.open(path)) }
    fs.renameSync(folder.at('old'), folder.at('new'))
    folder.write('new/c', 'edit')
    folder.write('new/d', 'new')
    const seen = await folder.look(undefined, { fs: counting, clock: later })
    expect(tell(seen)).toEqual(['+new/a', '+new/c', '+new/d', '+new/in/b', '-old/a', '-old/c', '-old/in/b'])
    expect(folder.tree.plain()).toEqual({
      'new/a': short('old/a'),
      'new/in/b': short('old/in/b'),
      'new/c': short('edit'),
      'new/d': short('new'),
    })
    expect(opened.map((path) => path.slice(-1)).sort()).toEqual(['c', 'd'])
    expect(await folder.look(undefined, { clock: later })).toEqual([])
  })

  test('flags as other reasons what is neither file nor folder, and follows no link', async () => {
    folder.write('real/file', 'x')
    fs.symlinkSync(folder.at('real'), folder.at('link'))
    fs.symlinkSync('/etc/passwd', folder.at('out'))
    execFileSync('mkfifo', [folder.at('pipe')])
    await folder.look()
    expect(folder.tree.plain()).toEqual({
      'real/file': short('x'),
      link: 'symlink',
      out: 'symlink',
      pipe: 'special-file',
    })
    // The file may have been too young to be trusted at the first look.
    await folder.look(undefined, { clock: later })
    expect(await folder.look(undefined, { clock: later })).toEqual([])
  })

  test('judges nothing below a folder that became a link, and all of it once it is a folder again', async () => {
    folder.write('dir/a', '1')
    folder.write('dir/sub/b', '2')
    fs.mkdirSync(folder.at('e'))
    await folder.look()
    fs.renameSync(folder.at('dir'), `${folder.path}-moved`)
    fs.symlinkSync(`${folder.path}-moved`, folder.at('dir'))
    fs.rmdirSync(folder.at('e'))
    fs.symlinkSync('/', folder.at('e'))
    expect(tell(await folder.look())).toEqual([
      '?dir symlink',
      '?dir/a symlink',
      '?dir/sub/b symlink',
      '?e symlink',
      '?e/ symlink',
    ])
    expect(await folder.look()).toEqual([])
    fs.unlinkSync(folder.at('dir'))
    fs.renameSync(`${folder.path}-moved`, folder.at('dir'))
    fs.unlinkSync(folder.at('e'))
    expect(tell(await folder.look())).toEqual(['+dir/a', '+dir/sub/b', '-dir', '-e', '-e/'])
  })
})

describe('names', () => {
  test('S8 in another Unicode form are known by their NFC key', async () => {
    folder.write('e\u0301te\u0301/u\u0308.txt', 'x')
    await folder.look()
    expect(folder.tree.plain()).toEqual({ '\u00e9t\u00e9/\u00fc.txt': short('x') })
    expect(tell(await folder.look([{ path: '\u00e9t\u00e9', deep: false }], { clock: later }))).toEqual([
      '+\u00e9t\u00e9/\u00fc.txt',
    ])
    expect(await folder.look([{ path: '\u00e9t\u00e9', deep: false }], { clock: later })).toEqual([])
    fs.renameSync(folder.at('e\u0301te\u0301'), folder.at('\u00e9t\u00e9'))
    expect(await folder.look(undefined, { clock: later })).toEqual([])
  })

  test('that share a key are a clash: the NFC one has it, the other is listed', async () => {
    folder.write('e\u0301', 'nfd')
    await folder.look()
    folder.write('\u00e9', 'nfc')
    await folder.look()
    expect(folder.tree.plain()).toEqual({ '\u00e9': short('nfc'), 'e\u0301': 'name-clash' })
    fs.rmSync(folder.at('\u00e9'))
    await folder.look()
    expect(folder.tree.plain()).toEqual({ '\u00e9': short('nfd') })
  })

  test('that are not UTF-8 are listed under a readable name', async () => {
    fs.writeFileSync(Buffer.concat([Buffer.from(folder.at('caf')), Buffer.from([0xe9])]), 'x')
    expect(tell(await folder.look())).toEqual(['?caf\uFFFD name-not-unicode'])
    expect(await folder.look()).toEqual([])
  })
})

describe('what cannot be judged is not absent', () => {
  test.each(['EACCES', 'EIO', 'EMFILE'])('a folder that answers %s', async (code) => {
    folder.write('dir/a', '1')
    folder.write('dir/sub/b', '2')
    folder.write('c', '3')
    await folder.look(undefined, { clock: later })
    const broken = failing('list', folder.at('dir'), code)
    expect(tell(await folder.look(undefined, { fs: broken }))).toEqual([
      '?dir unreadable',
      '?dir/a unreadable',
      '?dir/sub/b unreadable',
    ])
    expect(await folder.look(undefined, { fs: broken, clock: later })).toEqual([])
    expect(tell(await folder.look([{ path: '', deep: false }], { clock: later }))).toEqual([
      '+dir/a',
      '+dir/sub/b',
      '-dir',
    ])
  })

  test('a name whose look fails, and a file whose bytes cannot be read', async () => {
    folder.write('dir/a', '1')
    folder.write('f', '2')
    await folder.look()
    expect(tell(await folder.look(undefined, { fs: failing('lstat', folder.at('dir'), 'EACCES') }))).toContain(
      '?dir/a unreadable',
    )
    fs.appendFileSync(folder.at('f'), 'x')
    expect(tell(await folder.look(undefined, { fs: failing('open', folder.at('f'), 'EACCES') }))).toContain(
      '?f unreadable',
    )
  })

  test('a folder whose rules cannot be read', async () => {
    folder.write('dir/a', '1')
    await folder.look()
    folder.write('dir/.blobsignore', 'x'.repeat(2_000_000))
    expect(tell(await folder.look())).toEqual(['?dir unreadable', '?dir/.blobsignore unreadable', '?dir/a unreadable'])
  })

  test('a file that somebody has open for writing, unless it waited long enough', async () => {
    folder.write('log', 'x')
    const writer = fs.openSync(folder.at('log'), 'a')
    expect(tell(await folder.look())).toEqual(['?log busy'])
    expect(tell(await folder.look(undefined, { takeBusy: () => true }))).toEqual(['+log'])
    fs.closeSync(writer)
    expect(tell(await folder.look(undefined, { clock: later }))).toEqual(['+log'])
  })

  test('a file that changes while it is read', async () => {
    folder.write('a', 'x'.repeat(300_000))
    const grown: FileSystem = {
      ...disk,
      open: async (path) => {
        const file = await disk.open(path)
        return {
          ...file,
          read: async (buffer, position) => {
            fs.writeFileSync(path, 'y'.repeat(300_000))
            return file.read(buffer, position)
          },
        }
      },
    }
    expect(tell(await folder.look(undefined, { fs: grown }))).toEqual(['?a changing'])
  })

  test('S4 a root that is not there any more, at the start or in the middle', async () => {
    folder.write('a/x', '1')
    folder.write('b/y', '2')
    await folder.look()
    fs.rmSync(folder.at('b'), { recursive: true })
    const away = `${folder.path}-away`
    const vanishing: FileSystem = {
      ...disk,
      list: (path) => {
        const items = disk.list(path)
        if (path === folder.at('a')) {
          fs.renameSync(folder.path, away)
          fs.mkdirSync(folder.path)
        }
        return items
      },
    }
    const refused = expect.objectContaining({
      code: 'Refused',
      cause: expect.objectContaining({ code: 'root-missing' }),
    })
    await expect(folder.look(undefined, { fs: vanishing })).rejects.toThrow(refused)
    expect(Object.keys(folder.tree.plain()).sort()).toEqual(['a/x', 'b/y'])
    await expect(folder.look()).rejects.toThrow(refused)
    fs.rmdirSync(folder.path)
    fs.renameSync(away, folder.path)
    expect(tell(await folder.look(undefined, { clock: later }))).toContain('-b/y')
  })
})

describe('rules', () => {
  test('that now leave known paths alone yield ignored, never absent, on disk or not (I20)', async () => {
    folder.write('keep', '0')
    folder.write('logs/a.log', '1')
    folder.write('cache/deep/b', '2')
    folder.write('gone.log', '3')
    fs.mkdirSync(folder.at('cache/empty'))
    await folder.look(undefined, { clock: later })
    fs.rmSync(folder.at('gone.log'))
    const exclude = ['*.log', 'cache/']
    expect(tell(await folder.look(undefined, { exclude }))).toEqual([
      '!cache/deep/b',
      '!cache/empty/',
      '!gone.log',
      '!logs/a.log',
    ])
    fs.rmSync(folder.at('cache'), { recursive: true })
    expect(await folder.look(undefined, { exclude })).toEqual([])
  })

  test('are found in subfolders during the scan', async () => {
    folder.write('a/.blobsignore', 'x\n')
    folder.write('a/x', '1')
    folder.write('a/y', '2')
    expect(tell(await folder.look())).toEqual(['+a/.blobsignore', '+a/y'])
  })
})

describe('a scan of dirty folders', () => {
  test('looks at those alone, and into folders that are new', async () => {
    folder.write('a/1', '1')
    folder.write('b/2', '2')
    await folder.look(undefined, { clock: later })
    folder.write('a/new/deep/3', '3')
    folder.write('b/2', '22')
    expect(tell(await folder.look([{ path: 'a', deep: false }]))).toEqual(['+a/new/deep/3'])
    expect(tell(await folder.look([{ path: 'b', deep: false }]))).toEqual(['+b/2'])
  })

  test('asks nothing of the folders next to a change', async () => {
    folder.write('one/x', '1')
    folder.write('two/x', '2')
    await folder.look()
    folder.write('three/x', '3')
    folder.write('note', '4')
    const asked: string[] = []
    const lstat: FileSystem['lstat'] = (path) => {
      asked.push(path)
      return disk.lstat(path)
    }
    expect(tell(await folder.look([{ path: '', deep: false }], { fs: { ...disk, lstat } }))).toEqual([
      '+note',
      '+three/x',
    ])
    expect(asked).toContain(folder.at('three'))
    expect(asked).not.toContain(folder.at('one'))
  })

  test('that are gone tells it from the nearest folder that is left', async () => {
    folder.write('a/b/c/1', '1')
    folder.write('a/x', '2')
    await folder.look(undefined, { clock: later })
    fs.rmSync(folder.at('a/b'), { recursive: true })
    const scope = ['a/b/c', 'a/b', 'a'].map((path) => ({ path, deep: true }))
    expect(tell(await folder.look(scope))).toEqual(['-a/b/c/1'])
  })

  test('goes deep where it is told to, and never through a link', async () => {
    folder.write('a/b/c', '1')
    await folder.look(undefined, { clock: later })
    folder.write('a/b/c', '11')
    expect(await folder.look([{ path: 'a', deep: false }])).toEqual([])
    expect(tell(await folder.look([{ path: 'a', deep: true }]))).toEqual(['+a/b/c'])
    fs.renameSync(folder.at('a/b'), folder.at('real'))
    fs.symlinkSync(folder.at('real'), folder.at('a/b'))
    expect(tell(await folder.look([{ path: 'a/b', deep: true }]))).toEqual(['?a/b symlink', '?a/b/c symlink'])
  })
})

test.runIf(process.getuid?.() === 0)(
  'a disk mounted inside the folder is another device; when it goes, what was there before is back',
  async (context) => {
    folder.write('mnt/a', '1')
    folder.write('b', '2')
    await folder.look(undefined, { clock: later })
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', folder.at('mnt')], { stdio: 'ignore' })
    } catch {
      context.skip('mounting is not permitted here')
    }
    try {
      expect(tell(await folder.look(undefined, { clock: later }))).toEqual(['?mnt other-device', '?mnt/a other-device'])
      expect(await folder.look([{ path: 'mnt', deep: true }], { clock: later })).toEqual([])
    } finally {
      execFileSync('umount', [folder.at('mnt')])
    }
    expect(tell(await folder.look(undefined, { clock: later }))).toEqual(['+mnt/a', '-mnt'])
  },
)

test('nothing changed: a hundred thousand files a second, in slices', async () => {
  for (let i = 0; i < 100; i++) {
    fs.mkdirSync(folder.at(`d${i}`))
    for (let j = 0; j < 100; j++) fs.writeFileSync(join(folder.path, `d${i}`, `f${j}`), '')
  }
  await folder.look(undefined, { clock: later })
  // The tree in memory walks all its paths for each folder: here it gets an index, as a session's has.
  const index = new Map([...Array(100).keys()].map((i) => [`d${i}`, folder.tree.children(`d${i}`)]))
  const top = folder.tree.children('')
  const known = { ...folder.tree, children: (path: string) => index.get(path) ?? top }
  const started = performance.now()
  expect(await folder.look(undefined, { known, clock: later })).toEqual([])
  expect(performance.now() - started).toBeLessThan(1000)
})

test('an aborted scan ends without an error and says nothing of the rest', async () => {
  folder.write('a', '1')
  const stop = new AbortController()
  stop.abort()
  expect(await folder.look(undefined, { signal: stop.signal })).toEqual([])
})
