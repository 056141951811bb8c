import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { BlobsError } from '../../store/contract/errors.ts'
import { launchdPlist, systemdUnit, taskCommand, type ServiceProgram } from './texts.ts'

/** What starts the background agent at login, and again after a crash. */
export interface Service {
  readonly manager: 'systemd' | 'launchd' | 'Windows'
  /** The file that tells the manager; '' where it needs none. */
  readonly file: string
  readonly text: string
  installed(): boolean
  /** Writes the file, and starts it after `before`. False: the file is there, but the manager does not answer; `byHand` does the rest. */
  install(before: () => Promise<void>): Promise<boolean>
  /** False: it does not answer. */
  start(): Promise<boolean>
  /** Stops it and removes the file; false: there was none. */
  uninstall(): Promise<boolean>
  readonly byHand: string
}

const UNIT = 'blobs-agent.service'
const LABEL = 'blobs.agent'
const TASK = 'blobs-agent'
/** Variables that say where things are; none is a secret. */
const KEPT = [
  'XDG_CONFIG_HOME',
  'XDG_DATA_HOME',
  'XDG_STATE_HOME',
  'XDG_CACHE_HOME',
  'BLOBS_DATA',
  'BLOBS_METRICS_DIR',
  'NODE_EXTRA_CA_CERTS',
  'HTTPS_PROXY',
  'NO_PROXY',
  'AWS_PROFILE',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
  'AWS_ENDPOINT_URL',
  'AWS_ENDPOINT_URL_S3',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
]

type Environment = Readonly<Record<string, string | undefined>>

/** The service of this system for `command` (absolute paths). Throws `NotSupported` where there is none. */
export function openService(command: readonly string[], env: Environment, platform: NodeJS.Platform): Service {
  const program: ServiceProgram = { command, environment: keptOf(env) }
  const home = absolute(env['HOME']) ?? homedir()
  if (platform === 'linux') return systemd(program, absolute(env['XDG_CONFIG_HOME']) ?? join(home, '.config'))
  if (platform === 'darwin') return launchd(program, home)
  if (platform === 'win32') return task(program)
  throw new BlobsError('NotSupported', `there is no service manager known for ${platform}`, {
    hint: 'run it in the background: blobs agent start',
  })
}

function systemd(program: ServiceProgram, config: string): Service {
  const file = join(config, 'systemd', 'user', UNIT)
  const control = (...args: string[]): Promise<boolean> => ran('systemctl', ['--user', ...args])
  return fileService('systemd', file, systemdUnit(program), {
    ready: () => control('daemon-reload'),
    install: () => control('enable', '--now', UNIT),
    start: () => control('start', UNIT),
    uninstall: async () => {
      await control('disable', '--now', UNIT)
    },
    after: async () => {
      await control('daemon-reload')
    },
    byHand: `systemctl --user daemon-reload && systemctl --user enable --now ${UNIT}`,
  })
}

function launchd(program: ServiceProgram, home: string): Service {
  const file = join(home, 'Library', 'LaunchAgents', `${LABEL}.plist`)
  const domain = `gui/${userInfo().uid}`
  return fileService('launchd', file, launchdPlist(LABEL, program), {
    ready: () => ran('launchctl', ['print', domain]),
    install: () => ran('launchctl', ['bootstrap', domain, file]),
    start: () => ran('launchctl', ['kickstart', `${domain}/${LABEL}`]),
    uninstall: async () => {
      await ran('launchctl', ['bootout', `${domain}/${LABEL}`])
    },
    after: async () => undefined,
    byHand: `launchctl bootstrap ${domain} ${file}`,
  })
}

function task(program: ServiceProgram): Service {
  const text = taskCommand(program)
  const args = ['/Create', '/F', '/SC', 'ONLOGON', '/RL', 'LIMITED', '/TN', TASK, '/TR', text]
  const run = (): Promise<boolean> => ran('schtasks', ['/Run', '/TN', TASK])
  return {
    manager: 'Windows',
    file: '',
    text,
    installed: () => false,
    install: async (before) => {
      if (!(await ran('schtasks', args))) return false
      await before()
      return run()
    },
    start: run,
    uninstall: () => ran('schtasks', ['/Delete', '/F', '/TN', TASK]),
    byHand: `schtasks /Create /SC ONLOGON /TN ${TASK} /TR '${text}'`,
  }
}

interface Acts {
  readonly ready: () => Promise<boolean>
  readonly install: () => Promise<boolean>
  readonly start: () => Promise<boolean>
  readonly uninstall: () => Promise<void>
  readonly after: () => Promise<void>
  readonly byHand: string
}

function fileService(manager: 'systemd' | 'launchd', file: string, text: string, acts: Acts): Service {
  return {
    manager,
    file,
    text,
    byHand: acts.byHand,
    installed: () => existsSync(file),
    install: async (before) => {
      mkdirSync(dirname(file), { recursive: true })
      if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text, { mode: 0o644 })
      if (!(await acts.ready())) return false
      await before()
      return acts.install()
    },
    start: acts.start,
    uninstall: async () => {
      if (!existsSync(file)) return false
      await acts.uninstall()
      rmSync(file)
      await acts.after()
      return true
    },
  }
}

/** False when it cannot be run or fails. */
async function ran(command: string, args: readonly string[]): Promise<boolean> {
  try {
    await promisify(execFile)(command, args, { timeout: 20_000 })
    return true
  } catch {
    return false
  }
}

function keptOf(env: Environment): Record<string, string> {
  const found = KEPT.flatMap((name): [string, string][] => {
    const value = env[name]
    // A proxy's password is a secret, and a unit is none.
    return value && !/:\/\/[^/]*@/.test(value) ? [[name, value]] : []
  })
  return Object.fromEntries(found)
}

function absolute(value: string | undefined): string | null {
  return value !== undefined && isAbsolute(value) ? value : null
}
