import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ALL = [...Array.from({ length: 33 }, (_, n) => `S${n + 1}`), ...Array.from({ length: 15 }, (_, n) => `D${n + 1}`)]

test('every scenario has a test whose name begins with its id', () => {
  const folder = join(import.meta.dirname, '..')
  const found = new Set<string>()
  for (const file of globSync('**/*.test.ts', { cwd: folder })) {
    // The name of a test, or of a table of tests, is the first argument of a call.
    for (const [, id = ''] of readFileSync(join(folder, file), 'utf8').matchAll(/\(\s*'([SD]\d+) /g)) found.add(id)
  }
  expect(ALL.filter((id) => !found.has(id))).toEqual([])
})
