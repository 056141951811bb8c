import { expect, test } from 'vitest'
import { plan } from '../../../src/sync/core/plan.ts'
import type { Row } from '../../../src/sync/core/types.ts'
import { hashOf, row } from './rows.ts'

/** `PATH: base local remote flags`, a line a row. */
function rows(text: string): Row[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [path = '', rest = ''] = line.trim().split(': ')
      return row(path, rest)
    })
}
const paths = (steps: readonly { readonly path: string }[]): string[] => steps.map((step) => step.path)

test('nothing differs, nothing is planned', () => {
  expect(plan(rows('a: A@1 A A@1\nb/: /@2 / /@2'))).toEqual({
    records: [],
    uploads: [],
    remoteDeletes: [],
    localDeletes: [],
    conflicts: [],
    downloads: [],
    skips: [],
  })
})

test('a file moved here is copied in the bucket and then deleted at its old key', () => {
  const made = plan(rows('old: A@4 - A@4\nnew: - A -'))
  expect(made.uploads).toEqual([
    expect.objectContaining({ path: 'new', expect: 'absent', copyOf: { path: 'old', version: 4 } }),
  ])
  expect(made.remoteDeletes).toEqual([
    { type: 'delete-remote', path: 'old', expect: { version: 4, hash: hashOf('A') }, movedTo: 'new' },
  ])
})

test('a file moved and made executable is still a move', () => {
  const [upload] = plan(rows('old: A@4 - A@4\nnew: - Ax -')).uploads
  expect(upload?.copyOf).toEqual({ path: 'old', version: 4 })
  expect(upload?.local.executable).toBe(true)
})

test('a file moved there is deleted here as the half of a rename', () => {
  const made = plan(rows('old: A@4 A †@5\nnew: - - A@1'))
  expect(made.localDeletes).toEqual([expect.objectContaining({ path: 'old', movedTo: 'new' })])
  expect(paths(made.downloads)).toEqual(['new'])
})

test('several moves of the same bytes are paired in key order, whatever order the rows come in', () => {
  const text = rows('a/1: A@1 - A@1\na/2: A@2 - A@2\na/3: A@3 - A@3\nb/1: - A -\nb/2: - A -')
  for (const order of [text, text.toReversed()]) {
    const made = plan(order)
    expect(made.uploads.map(({ path, copyOf }) => [path, copyOf?.path])).toEqual([
      ['b/1', 'a/1'],
      ['b/2', 'a/2'],
    ])
    expect(made.remoteDeletes.map(({ path, movedTo }) => [path, movedTo])).toEqual([
      ['a/1', 'b/1'],
      ['a/2', 'b/2'],
      ['a/3', undefined],
    ])
  }
})

test('bytes that the bucket has elsewhere are copied, empty files are not worth it', () => {
  const knownCopy = (hash: string): { path: string; version: number } | null =>
    hash === hashOf('A') ? { path: 'kept', version: 7 } : null
  const made = plan(rows('a: - A -\nb: - B -'), { knownCopy })
  expect(made.uploads.map(({ copyOf }) => copyOf)).toEqual([{ path: 'kept', version: 7 }, null])
  const empty = row('c', '- A -')
  const emptied = { ...empty, local: { kind: 'file' as const, hash: hashOf('A'), size: 0, executable: false } }
  expect(plan([emptied], { knownCopy }).uploads[0]?.copyOf).toBeNull()
})

test('a folder that moves is no copy of another folder', () => {
  const made = plan(rows('a/: /@1 - /@1\nb/: - / -'))
  expect(made.uploads[0]?.copyOf).toBeNull()
  expect(made.remoteDeletes[0]?.movedTo).toBeUndefined()
})

test('lists are in key order by bytes, markers after files, and deletes on disk go from the inside out', () => {
  const up = plan(rows('b/: - / -\n\u{1f600}: - A -\n\uffee: - B -\na/x: - C -'))
  expect(paths(up.uploads)).toEqual(['a/x', '\uffee', '\u{1f600}', 'b/'])
  const down = plan(rows('d/: /@1 / †@2\nd/e/: /@1 / †@2\nd/a: A@1 A †@2\nd/e/f: A@1 A †@2'))
  expect(paths(down.localDeletes)).toEqual(['d/e/f', 'd/a', 'd/e/', 'd/'])
})

test('a name that only changed its case on a case-blind disk is renamed in the bucket, not listed', () => {
  const made = plan(rows('A.txt: A@3 - A@3 unfit:name-clash\na.txt: - A -'))
  expect(made.skips).toEqual([])
  expect(made.remoteDeletes).toEqual([expect.objectContaining({ path: 'A.txt', movedTo: 'a.txt' })])
  expect(made.uploads[0]?.copyOf).toEqual({ path: 'A.txt', version: 3 })
})

test.each([
  ['with other bytes', 'A.txt: A@3 - A@3 unfit:name-clash\na.txt: - B -'],
  ['edited there', 'A.txt: A@3 - B@4 unfit:name-clash\na.txt: - A -'],
  ['that was never here', 'A.txt: - - A@3 unfit:name-clash\na.txt: - A -'],
])('a clashing name %s is listed and never deleted', (_case, text) => {
  const made = plan(rows(text))
  expect(made.remoteDeletes).toEqual([])
  expect(made.skips).toEqual([{ type: 'skip', path: 'A.txt', reason: 'name-clash' }])
})
