import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why there can be no real Secret Service here, or null. */
export function keychainLacks(): string | null {
  if (process.platform !== 'linux') return 'it is another system'
  for (const program of ['dbus-daemon', 'gnome-keyring-daemon']) {
    if (spawnSync(program, ['--version'], { stdio: 'ignore', timeout: 10_000 }).error)
      return `${program} is not installed`
  }
  const load = spawnSync(process.execPath, ['-e', "require('keytar')"], { stdio: 'ignore', timeout: 10_000 })
  return load.status === 0 ? null : 'keytar or libsecret is not installed'
}

/** A D-Bus session of its own, in which gnome-keyring keeps secrets. */
export interface KeychainSession {
  /** What a program of this session has in its environment. */
  readonly env: Readonly<Record<string, string>>
  /** From now on the keyring is another process that nobody has unlocked. */
  lock(): Promise<void>
  /** It does not answer any more; it answers again. */
  stop(): void
  resume(): void
  dispose(): void
}

export async function openKeychainSession(): Promise<KeychainSession> {
  const home = mkdtempSync(join(tmpdir(), 'blobs-keychain-'))
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, XDG_RUNTIME_DIR: home, XDG_DATA_HOME: join(home, 'data') }
  const bus = spawn(
    'dbus-daemon',
    ['--session', '--nofork', '--print-address', `--address=unix:path=${join(home, 'bus')}`],
    {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  const address = await firstLine(bus)
  const session = { ...env, DBUS_SESSION_BUS_ADDRESS: address }
  let keyring = await startKeyring(session, 'password')
  return {
    env: { DBUS_SESSION_BUS_ADDRESS: address },
    lock: async () => {
      await end(keyring)
      keyring = await startKeyring(session, null)
    },
    stop: () => void keyring.kill('SIGSTOP'),
    resume: () => void keyring.kill('SIGCONT'),
    dispose: () => {
      keyring.kill('SIGKILL')
      bus.kill('SIGKILL')
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/** Null: it stays locked. */
async function startKeyring(env: Readonly<Record<string, string>>, password: string | null): Promise<ChildProcess> {
  const how = password === null ? '--start' : '--unlock'
  const keyring = spawn('gnome-keyring-daemon', ['--foreground', '--components=secrets', how], {
    env,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  keyring.stdin?.end(password ?? '')
  for (let tries = 0; tries < 100; tries++) {
    const asked = spawnSync(
      'dbus-send',
      [
        '--session',
        '--print-reply',
        '--dest=org.freedesktop.DBus',
        '/',
        'org.freedesktop.DBus.GetNameOwner',
        'string:org.freedesktop.secrets',
      ],
      { env, stdio: 'ignore', timeout: 5000 },
    )
    if (asked.status === 0) return keyring
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('gnome-keyring does not begin to answer')
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (text: Buffer) => resolve(text.toString().split('\n', 1)[0] ?? ''))
    child.once('error', reject)
    child.once('close', () => reject(new Error('dbus-daemon ended')))
  })
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('close', () => resolve())
    child.kill('SIGKILL')
  })
}
