import { Readable } from 'node:stream'
import { array, assert, property, string } from 'fast-check'
import { expect, test } from 'vitest'
import { readScript, splitWords } from '../../src/cli/script.ts'

test.each([
  ['ls team', ['ls', 'team']],
  ['  ls\tteam  ', ['ls', 'team']],
  ['put "a b" \'c d\' e\\ f', ['put', 'a b', 'c d', 'e f']],
  ['put a"b c"\'d e\'', ['put', 'ab cd e']],
  ['put "" x', ['put', '', 'x']],
  ['put "a \\"b\\" \\$c \\d"', ['put', 'a "b" $c \\d']],
  ["put 'a\\b'", ['put', 'a\\b']],
  ['put $HOME * ~ `ls` $(ls)', ['put', '$HOME', '*', '~', '`ls`', '$(ls)']],
  ['# all', []],
  ['ls # rest', ['ls']],
  ['ls a#b', ['ls', 'a#b']],
  ['', []],
  ["put 'a", "has a ' without its end"],
  ['put "a\\"', 'has a " without its end'],
  ['put a\\', 'ends with a backslash: a command is one line'],
])('%j is read as %j', (line, words) => {
  expect(splitWords(line)).toEqual(words)
})

test('every word survives quoting', () => {
  assert(
    property(array(string().filter((word) => !/[\n\r]/.test(word))), (words) => {
      const line = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
      expect(splitWords(line)).toEqual(words)
    }),
  )
})

test('lines are numbered as in the file, with any line end', async () => {
  const lines = []
  for await (const line of readScript('-', Readable.from(['# one\r\nls\r\n\r\n', 'cat x']))) lines.push(line)
  expect(lines).toEqual([
    { number: 2, words: ['ls'] },
    { number: 4, words: ['cat', 'x'] },
  ])
})
