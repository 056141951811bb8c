import { lstatSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { array, assert, asyncProperty, constantFrom, oneof, record } from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { listSettings, writeSetting } from '../../src/locations/config-file.ts'
import { systemIds } from '../../src/platform/system.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'blobs-config-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const file = (): string => join(folder, 'config.toml')
const set = (profile: string, name: 'server' | 'ca-cert', value: string | null): Promise<string | null> =>
  writeSetting(folder, systemIds, { profile, name, value })

test('what a file has besides stays, and the file is the same behind a link', async () => {
  const text = '# all mine\n[profiles.default]\n# the old place\nserver = "http://a"   \n\n[other]\nx = 1 # kept\n'
  writeFileSync(join(folder, 'elsewhere.toml'), text)
  symlinkSync('elsewhere.toml', file())
  await set('default', 'ca-cert', '/ca.pem')
  await set('default', 'server', 'http://b')
  await set('new.one', 'server', 'http://c')
  expect(readFileSync(join(folder, 'elsewhere.toml'), 'utf8')).toBe(
    '# all mine\n[profiles.default]\n# the old place\nserver = "http://b"\nca-cert = "/ca.pem"\n\n[other]\nx = 1 # kept\n\n[profiles."new.one"]\nserver = "http://c"\n',
  )
  expect(lstatSync(file()).isSymbolicLink()).toBe(true)
})

test.each([
  ['an inline table', 'profiles = { default = { server = "http://a" } }\n'],
  ['dotted keys', 'profiles.default.server = "http://a"\n'],
  ['dotted keys in a table', '[profiles]\ndefault.server = "http://a"\n'],
  ['a text over lines', '[profiles.default]\nserver = """\\\nhttp://a"""\n'],
])('%s is set as well', async (_, text) => {
  writeFileSync(file(), text)
  await set('default', 'server', 'http://b')
  await set('work', 'server', 'http://c')
  expect(listSettings(folder)).toEqual({ default: { server: 'http://b' }, work: { server: 'http://c' } })
})

test('whatever is set and taken away in turn, the file says the last of it', async () => {
  const step = record({
    profile: constantFrom('default', 'work', 'a.b', 'a-b', '1'),
    name: constantFrom('server' as const, 'ca-cert' as const),
    value: oneof(constantFrom('http://x', 'http://y'), constantFrom(null)),
  })
  await assert(
    asyncProperty(array(step, { maxLength: 12 }), async (steps) => {
      rmSync(file(), { force: true })
      const wanted: Record<string, Record<string, string>> = {}
      for (const { profile, name, value } of steps) {
        if (value === null && wanted[profile]?.[name] === undefined) continue
        const written = await set(profile, name, value)
        const settings = (wanted[profile] ??= {})
        if (written === null) delete settings[name]
        else settings[name] = written
      }
      expect(listSettings(folder)).toEqual(wanted)
    }),
    { numRuns: 60 },
  )
})
