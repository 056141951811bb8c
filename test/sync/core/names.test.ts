import { describe, expect, test } from 'vitest'
import {
  clashes,
  clashKey,
  compareSiblings,
  unfit,
  type NameTraits,
  type Sibling,
} from '../../../src/sync/core/names.ts'

const LINUX: NameTraits = { caseBlind: false, windows: false }
const MAC: NameTraits = { caseBlind: true, windows: false }
const WINDOWS: NameTraits = { caseBlind: true, windows: true }

describe('a path that no disk takes', () => {
  test.each([
    ['..', 'name-reserved'],
    ['a/../b', 'name-reserved'],
    ['a/./b', 'name-reserved'],
    ['/abs', 'name-reserved'],
    ['a//b', 'name-reserved'],
    ['', 'name-reserved'],
    ['/', 'name-reserved'],
    ['a\0b', 'name-reserved'],
    ['.blobs', 'name-reserved'],
    ['.blobs/', 'name-reserved'],
    ['.blobs/root.json', 'name-reserved'],
    ['.Blobs/x', 'name-reserved'],
    ['.blob\u017f', 'name-reserved'],
    ['.blo\u200cbs/x', 'name-reserved'],
    ['x'.repeat(256), 'name-too-long'],
    [`a/${'é'.repeat(128)}/b`, 'name-too-long'],
    ['a\ud800', 'name-not-unicode'],
  ])('D10 %j: %s', (path, reason) => {
    for (const traits of [LINUX, MAC, WINDOWS]) expect(unfit(path, traits)).toBe(reason)
  })
})

describe('a path that only Windows refuses', () => {
  test.each([
    'con',
    'CON.txt',
    'a/nul',
    'com1.tar.gz',
    'LPT9',
    'COM¹',
    'conin$',
    'aux ',
    'nul .txt',
    'a:b',
    'a?',
    'a*',
    'a<b',
    'a|b',
    'a"b',
    'a\\b',
    'tab\t',
    'dot.',
    'space ',
    'a./b',
    '...',
    'BLOBS~1/x',
  ])('D10 %j', (path) => {
    expect(unfit(path, WINDOWS)).toBe('name-reserved')
    expect(unfit(path, LINUX)).toBeNull()
  })
})

test.each([
  'a',
  'a/b/c',
  'a/',
  '.blobsignore',
  'a/.blobs',
  '.blobs2',
  'console',
  'com',
  'com10',
  '~',
  'é'.repeat(127),
  '...x',
  'a b',
])('%j fits every disk', (path) => {
  for (const traits of [LINUX, MAC, WINDOWS]) expect(unfit(path, traits)).toBeNull()
})

describe('names that are one to a disk', () => {
  test.each([
    ['é', 'e\u0301', true, true],
    ['a', 'A', false, true],
    ['É', 'e\u0301', false, true],
    ['straße', 'STRASSE', false, true],
    ['ὈΔΥΣΣΕΎΣ', 'ὀδυσσεύς', false, true],
    ['a', 'b', false, false],
    ['a', 'a ', false, false],
  ])('%j and %j: %s with case, %s without', (a, b, withCase, without) => {
    expect(clashKey(a, LINUX) === clashKey(b, LINUX)).toBe(withCase)
    expect(clashKey(a, MAC) === clashKey(b, MAC)).toBe(without)
  })
})

describe('of names that clash', () => {
  const losers = (siblings: readonly Sibling[], traits = MAC): string[] => [
    ...clashes(
      siblings.toSorted((a, b) => compareSiblings(a, b, traits)),
      traits,
    ),
  ]
  const there = (name: string): Sibling => ({ name, onDisk: false, known: false })
  const here = (name: string): Sibling => ({ name, onDisk: true, known: false })
  const known = (name: string): Sibling => ({ name, onDisk: false, known: true })

  test('the first by bytes stays', () => {
    expect(losers([there('b'), there('a'), there('B'), there('c')])).toEqual(['b'])
  })
  test('the one on disk stays, whatever its spelling', () => {
    expect(losers([there('A'), here('a')])).toEqual(['A'])
    expect(losers([known('A'), here('a')])).toEqual(['A'])
  })
  test('one that was in sync comes before one that never was', () => {
    expect(losers([there('A'), known('a')])).toEqual(['A'])
  })
  test('all but one stay away', () => {
    expect(losers([there('ab'), there('AB'), there('Ab'), there('aB')])).toEqual(['Ab', 'aB', 'ab'])
  })
  test('two Unicode forms of a name clash on any disk', () => {
    expect(losers([here('é'), here('e\u0301')], LINUX)).toEqual(['é'])
    expect(losers([here('a'), here('A')], LINUX)).toEqual([])
  })
})
