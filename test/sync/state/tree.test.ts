import { expect, test } from 'vitest'
import { openDatabase } from '../../../src/platform/sqlite.ts'
import { migrate } from '../../../src/sync/state/schema.ts'
import { knownTree } from '../../../src/sync/state/tree.ts'

const ROWS: readonly (readonly [parent: string, name: string, kind: string | null])[] = [
  ['', 'top', 'f'],
  ['a/', 'x', 'f'],
  ['a/b/c/', 'x', 'f'],
  ['a0/', 'x', 'f'],
  ['empty/', '', 'd'],
  ['filled/', '', 'd'],
  ['filled/sub/', 'x', 'f'],
  ['gone/', 'x', null],
  ['unknown/', '', 'u'],
  ['ä/', 'x', 'f'],
  ['ä/𝄞/', '', 'd'],
]
const EMPTY = { kind: 'folder' } as const

test.each([
  ['', ['a', 'a0', 'filled', 'ä'], ['empty/', 'filled/', 'unknown/'], ['top']],
  ['a', ['b'], [], ['x']],
  ['a/b', ['c'], [], []],
  ['filled', ['sub'], [], []],
  ['empty', [], [], []],
  ['ä', [], ['𝄞/'], ['x']],
  ['none', [], [], []],
])('what is known directly in %j', (folder, folders, others, files) => {
  const db = openDatabase(':memory:', { synchronous: 'normal' })
  migrate(db)
  for (const row of ROWS) db.run('INSERT INTO paths (parent, name, l_kind) VALUES (?, ?, ?)', ...row)
  const children = knownTree(db).children(folder)
  expect([...children.folders]).toEqual(folders)
  expect([...children.others.keys()]).toEqual(others)
  expect(children.others.get('empty/') ?? EMPTY).toEqual(EMPTY)
  expect([...children.files.keys()]).toEqual(files)
  db.close()
})
