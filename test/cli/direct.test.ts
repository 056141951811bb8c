import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT } from '../../scripts/harness.ts'
import { runDirectly } from '../../src/cli/direct.ts'

const options = { root: ROOT, pjson: JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) }

it.each([
  ['nothing', []],
  ['a word that is no command', ['bogus']],
  ['a topic', ['token', 'create']],
  ['a topic that is a command, too', ['conflicts', 'resolve']],
  ['an alias', ['config']],
  ['a flag', ['--help']],
  ['a path', ['../ls']],
  ['a command asked for help', ['ls', 'a', '--help']],
  ['a command asked for help in short', ['ls', '-h']],
])('%s is left to the framework', async (_, argv) => {
  expect(await runDirectly(argv, options)).toBe(false)
})
