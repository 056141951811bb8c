import { expect, test } from 'vitest'
import { nearest, unknownWords, viewUnknown } from '../../src/cli/unknown-command.ts'

const COMMANDS = ['bucket create', 'cat', 'conflicts', 'conflicts resolve', 'get', 'ls', 'put', 'rm', 'status', 'sync']

test.each([
  ['stauts', 'status'],
  ['satus', 'status'],
  ['snyc', 'sync'],
  ['SYNC', 'sync'],
  ['conflict', 'conflicts'],
  ['conflict resolve', 'conflicts resolve'],
  ['bucket craete', 'bucket create'],
  ['sl', 'ls'],
  ['upload', 'put'],
  ['delete', 'rm'],
  ['versions', null],
  ['frobnicate', null],
  ['constructor', null],
  ['', null],
])('%j is meant as %j', (typed, meant) => {
  expect(nearest(typed, COMMANDS)).toBe(meant)
})

test.each([
  ['stauts notes', 'there is no command stauts', 'status'],
  ['conflict resolve x', 'there is no command conflict resolve', 'conflicts resolve'],
  ['bucket craete notes', 'there is no command bucket craete', 'bucket create'],
  ['bucket frobnicate x', 'there is no command bucket frobnicate', null],
  ['upload a b', 'there is no command upload', 'put'],
  ['frobnicate a b', 'there is no command frobnicate', null],
  ['--hlep', 'there is no flag --hlep', null],
])('of %j is told: %s', (words, message, meant) => {
  const hint = `${meant === null ? '' : `did you mean blobs ${meant}? · `}what there is: blobs --help`
  expect(viewUnknown(words, COMMANDS)).toMatchObject({ message, hint, exitCode: 2 })
})

test.each([
  ['command bucket:make not found', 'bucket make'],
  ['Command make not found.', 'make'],
  ['Nonexistent flag: --nope', null],
])('%j is about the command %j', (message, words) => {
  expect(unknownWords(message)).toBe(words)
})
