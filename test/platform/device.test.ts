import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openDevice, shortName } from '../../src/platform/device.ts'
import { systemIds } from '../../src/platform/system.ts'

let state: string
beforeEach(() => {
  state = join(mkdtempSync(join(tmpdir(), 'blobs-device-')), 'state')
})

afterEach(() => rmSync(dirname(state), { recursive: true }))

describe('the device', () => {
  test('is made on the first call and the same ever after', () => {
    const first = openDevice(state, 'laptop.example.org', systemIds)
    expect(first).toEqual({ id: expect.stringMatching(/^[0-9a-f]{32}$/), name: 'laptop' })
    expect(openDevice(state, 'renamed', systemIds)).toEqual(first)
    expect(JSON.parse(readFileSync(join(state, 'device'), 'utf8'))).toEqual(first)
    expect(readdirSync(state)).toEqual(['device'])
  })

  test('is one and the same for several processes that start together', async () => {
    const module = new URL('../../src/platform/', import.meta.url).href
    const script = `
      const { openDevice } = await import('${module}device.ts')
      const { systemIds } = await import('${module}system.ts')
      process.stdout.write(openDevice(process.argv[1], 'host', systemIds).id)`
    const start = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, state])
    const answers = await Promise.all([start(), start(), start(), start()])
    expect(new Set(answers.map((answer) => answer.stdout)).size).toBe(1)
    expect(readdirSync(state)).toEqual(['device'])
  })

  test('names the file when it holds something else, and leaves it alone', () => {
    openDevice(state, 'x', systemIds)
    for (const text of ['', '{', 'null', '{"id":"short","name":"x"}']) {
      writeFileSync(join(state, 'device'), text)
      expect(() => openDevice(state, 'x', systemIds)).toThrow(join(state, 'device'))
      expect(readFileSync(join(state, 'device'), 'utf8')).toBe(text)
    }
  })
})

test.each([
  ['laptop', 'laptop'],
  ['Ann’s MacBook Pro.local', 'ann-s-macbook-pro'],
  ['', 'device'],
  ['---', 'device'],
  ['x'.repeat(40), 'x'.repeat(24)],
  ['日本', 'device'],
])('the short name of %j is %j', (host, name) => {
  expect(shortName(host)).toBe(name)
})
