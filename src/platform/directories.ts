import { mkdirSync, statSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** Where this program keeps its things; absolute, none of them made yet (`makePrivate` does that). */
export interface Directories {
  /** `config.toml`: profiles, never a secret. */
  readonly config: string
  /** The embedded store. */
  readonly data: string
  /** May be deleted at any time. */
  readonly cache: string
  /** The device file, and a folder for each synced folder. */
  readonly state: string
  /** Control sockets. */
  readonly runtime: string
}

/**
 * The XDG base directories of `env` with `/blobs` below each. A variable that is empty or not an absolute path counts as not set, as
 * the specification asks. `BLOBS_DATA` names the data directory itself.
 */
export function directories(env: Environment): Directories {
  const home = absolute(env['HOME']) ?? homedir()
  const under = (name: string, fallback: string): string => join(absolute(env[name]) ?? join(home, fallback), 'blobs')
  const runtime = absolute(env['XDG_RUNTIME_DIR'])
  return {
    config: under('XDG_CONFIG_HOME', '.config'),
    data: absolute(env['BLOBS_DATA']) ?? under('XDG_DATA_HOME', '.local/share'),
    cache: under('XDG_CACHE_HOME', '.cache'),
    state: under('XDG_STATE_HOME', '.local/state'),
    runtime: runtime ? join(runtime, 'blobs') : join(absolute(env['TMPDIR']) ?? tmpdir(), `blobs-${userId()}`),
  }
}

/**
 * Makes a folder and what is missing above it, mode 0700. Throws EPERM if the folder belongs to another user: in a shared place such as
 * `/tmp` someone else could have made it first.
 */
export function makePrivate(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const stat = statSync(directory)
  if (stat.uid === userId() || userId() === 0 || process.platform === 'win32') return directory
  throw Object.assign(new Error(`${directory} belongs to another user (uid ${stat.uid})`), {
    code: 'EPERM',
    path: directory,
  })
}

function absolute(value: string | undefined): string | null {
  return value !== undefined && isAbsolute(value) ? value : null
}

function userId(): number {
  return process.getuid?.() ?? 0
}
