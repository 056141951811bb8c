import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openMachine, type Machine } from './blobs.ts'

/** On a terminal of its own: script(1) makes one. */
let machine: Machine
beforeAll(async () => {
  machine = openMachine()
  await machine.blobs(['bucket', 'create', 'team'])
  machine.write('large.bin', Buffer.alloc(6_000_000, 'large'))
})
afterAll(() => machine.dispose())

// oxlint-disable-next-line no-control-regex
const COLOUR = /\u001B\[[\d;]*m/

async function onTerminal(line: string, env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await machine.shell('exec script -qec "$LINE" /dev/null', {
    env: { TERM: 'xterm-256color', ...env, LINE: line },
  })
  return stdout
}

describe.skipIf(spawnSync('script', ['--version']).status !== 0)('on a terminal', () => {
  test('an error has colour, and none with NO_COLOR', async () => {
    expect(await onTerminal('blobs cat team/nowhere')).toMatch(COLOUR)
    const plain = await onTerminal('blobs cat team/nowhere', { NO_COLOR: '1' })
    expect(plain).toContain('not found: there is no team/nowhere')
    expect(plain).not.toMatch(COLOUR)
    expect(await onTerminal('blobs cat team/nowhere', { TERM: 'dumb' })).not.toMatch(COLOUR)
  })

  test.each([
    ['help', 'blobs put --help'],
    ['a usage error', 'blobs ls --nope'],
    ['an unknown command', 'blobs frobnicate'],
    ['a progress', 'blobs put large.bin team/ --limit-rate 4MB'],
    ['a question', 'echo n | blobs bucket rm team'],
  ])('%s has none with NO_COLOR', async (_, line) => {
    expect(await onTerminal(line, { NO_COLOR: '1' })).not.toMatch(COLOUR)
  })
})

test('what is piped never has colour', async () => {
  const { stdout, stderr } = await machine.blobs(['cat', 'team/nowhere'], { env: { TERM: 'xterm-256color' } })
  expect(stdout + stderr).not.toMatch(COLOUR)
})
