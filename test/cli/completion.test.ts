import { expect, test } from 'vitest'
import { wanted, type Completable } from '../../src/cli/completion/wanted.ts'
import { wordsToCursor } from '../../src/cli/script.ts'

const flag = (
  name: string,
  char: string | null,
  takesValue = false,
  multiple = false,
  options: readonly string[] = [],
): Completable['flags'][number] => ({
  name,
  char,
  summary: '',
  takesValue,
  options,
  multiple,
})
const arg = (name: string, multiple = false, options: string[] = []): Completable['args'][number] => ({
  name,
  multiple,
  options,
})
const COMMANDS: Completable[] = [
  { words: 'bucket rm', summary: '', args: [arg('bucket')], flags: [flag('yes', 'y')] },
  { words: 'conflicts', summary: '', args: [arg('folder')], flags: [] },
  { words: 'conflicts resolve', summary: '', args: [arg('path')], flags: [] },
  { words: 'put', summary: '', args: [arg('file', true), arg('target')], flags: [flag('meta', null, true, true)] },
  {
    words: 'rm',
    summary: '',
    args: [arg('target', true)],
    flags: [flag('recursive', 'r'), flag('profile', null, true)],
  },
  {
    words: 'import',
    summary: '',
    args: [arg('path')],
    flags: [flag('from', null, true, false, ['changelog', 'addresses'])],
  },
  { words: 'completion', summary: '', args: [arg('shell', false, ['bash', 'zsh'])], flags: [] },
]
const offers = (...words: string[]): string[] => wanted(words, COMMANDS).candidates.map(({ value }) => value)

test.each([
  [[''], ['bucket', 'conflicts', 'put', 'rm', 'import', 'completion']],
  [['co'], ['conflicts', 'completion']],
  [['bucket', ''], ['rm']],
  [['nonsense', ''], []],
  [['conflicts', ''], ['resolve']],
  [
    ['rm', '-'],
    ['--recursive', '--profile'],
  ],
  [['rm', '-r', '--'], ['--profile']],
  [['rm', '--', '-'], []],
  [['put', '--meta', 'a=b', '--'], ['--meta']],
  [['completion', 'z'], ['zsh']],
  [[], ['bucket', 'conflicts', 'put', 'rm', 'import', 'completion']],
])('%j offers %j', (words, values) => {
  expect(offers(...words)).toEqual(values)
})

test('what an argument is decides what is looked up', () => {
  expect(wanted(['rm', 'a', 'b', ''], COMMANDS)).toMatchObject({ targets: 'keys', files: false })
  expect(wanted(['bucket', 'rm', ''], COMMANDS)).toMatchObject({ targets: 'buckets' })
  expect(wanted(['bucket', 'rm', 'x', ''], COMMANDS)).toMatchObject({ targets: null })
  expect(wanted(['put', ''], COMMANDS)).toMatchObject({ targets: null, files: true })
  expect(wanted(['put', '--meta', 'x=y', 'a', ''], COMMANDS)).toMatchObject({ targets: 'keys', files: true })
  expect(wanted(['rm', '--profile', ''], COMMANDS)).toMatchObject({ targets: null, profiles: true })
  expect(wanted(['conflicts', 'resolve', ''], COMMANDS)).toMatchObject({ files: true })
})

test.each([
  ['blobs ls te', ['blobs', 'ls', 'te']],
  ['blobs ls ', ['blobs', 'ls', '']],
  ['blobs cat a\\ b', ['blobs', 'cat', 'a b']],
  ["blobs cat 'a b", ['blobs', 'cat', 'a b']],
  ['blobs cat "a b', ['blobs', 'cat', 'a b']],
])('%j is typed as %j', (line, words) => {
  expect(wordsToCursor(line)).toEqual(words)
})

test('a flag that takes one of some values offers those', () => {
  expect(offers('import', '--from', '')).toEqual(['changelog', 'addresses'])
  expect(offers('import', '--from', 'a')).toEqual(['addresses'])
  expect(wanted(['import', '--from', 'changelog', ''], COMMANDS)).toMatchObject({ files: true, candidates: [] })
})
