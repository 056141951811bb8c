import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { desktop } from '../../src/agent/notify.ts'
import { openService } from '../../src/agent/service/service.ts'
import { launchdPlist, systemdUnit, taskCommand } from '../../src/agent/service/texts.ts'

let home: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'blobs-service-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

/** A program whose name and folder are as awkward as they come. */
function awkward(): string {
  const folder = join(home, 'a b 100% $HOME é')
  mkdirSync(folder)
  const program = join(folder, 'node')
  writeFileSync(program, '#!/bin/sh\n')
  chmodSync(program, 0o755)
  return program
}

const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0

describe.skipIf(!hasSystemd)('the systemd unit (needs systemd-analyze)', () => {
  it.each([
    ['plain paths', () => [process.execPath, '/opt/blobs/bin/run.js', 'agent', 'run'], {}],
    ['awkward paths', () => [awkward(), '/x/$y/%n/"z".js', 'agent', 'run'], { XDG_DATA_HOME: '/d/100% "x" $y' }],
  ])('is taken by systemd-analyze verify, with %s', (_what, command, environment) => {
    const unit = join(home, 'blobs-agent.service')
    writeFileSync(unit, systemdUnit({ command: command(), environment }))
    const verified = spawnSync('systemd-analyze', ['--user', 'verify', unit], {
      encoding: 'utf8',
      env: { ...process.env, XDG_RUNTIME_DIR: home, HOME: home },
      timeout: 30_000,
    })
    const said = verified.stderr.split('\n').filter((line) => line.includes('blobs-agent'))
    expect([verified.status, said]).toEqual([0, []])
  })
})

it('a unit says where this program keeps its things, and no password', () => {
  const env = {
    HOME: home,
    XDG_STATE_HOME: '/s',
    BLOBS_TOKEN: 'secret',
    HTTPS_PROXY: 'http://me:secret@proxy:3128',
    NO_PROXY: 'localhost',
  }
  const { text } = openService(['/usr/bin/node', '/run.js', 'agent', 'run'], env, 'linux')
  expect(text).toContain('Environment="XDG_STATE_HOME=/s"')
  expect(text).toContain('Environment="NO_PROXY=localhost"')
  expect(text).not.toContain('secret')
})

it('a property list holds its words as they are', () => {
  const plist = launchdPlist('blobs.agent', {
    command: ['/a & b/<node>', 'agent'],
    environment: { XDG_STATE_HOME: '/s & t' },
  })
  expect(plist).toContain('<string>/a &amp; b/&lt;node&gt;</string>')
  expect(plist).toContain('<key>XDG_STATE_HOME</key>\n    <string>/s &amp; t</string>')
  expect(plist).toMatch(/<key>KeepAlive<\/key>\s*<dict>\s*<key>SuccessfulExit<\/key>\s*<false\/>/)
})

it('a task of Windows quotes what has spaces', () => {
  const command = ['C:\\Program Files\\node.exe', 'C:\\blobs\\run.js', 'agent', 'run']
  expect(taskCommand({ command, environment: {} })).toBe('"C:\\Program Files\\node.exe" C:\\blobs\\run.js agent run')
})

it('a system that is not known has no service', () => {
  expect(() => openService(['/node'], {}, 'aix')).toThrowError(expect.objectContaining({ code: 'NotSupported' }))
})

describe('the desktop', () => {
  it('is told by notify-send, whatever a folder is called', async () => {
    const told = join(home, 'told')
    const program = join(home, 'notify-send')
    writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" > '${told}.part' && mv '${told}.part' '${told}'\n`)
    chmodSync(program, 0o755)
    const show = desktop({ PATH: `relative:${home}:/usr/bin`, DISPLAY: ':0' }, 'linux')
    show?.('blobs: --hint=evil', '2 files; $(touch x)')
    await expect.poll(() => existsSync(told)).toBe(true)
    expect(readFileSync(told, 'utf8')).toBe('--app-name=blobs\n--\nblobs: --hint=evil\n2 files; $(touch x)\n')
  })

  it.each([
    ['no session', { PATH: '/usr/bin' }, 'linux'],
    ['no program', { PATH: '/nowhere', DISPLAY: ':0' }, 'linux'],
    ['another system', { PATH: '/usr/bin', DISPLAY: ':0' }, 'win32'],
  ] as const)('is not there with %s', (_what, env, platform) => {
    expect(desktop(env, platform)).toBeNull()
  })
})
