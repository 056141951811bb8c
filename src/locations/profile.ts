import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'smol-toml'
import { BlobsError } from '../store/contract/errors.ts'
import { parseLocation, type Location } from './target.ts'

/** A named set of defaults: `[profiles.NAME]` of config.toml. Never holds a secret. */
export interface Profile {
  /** '' when the profile names none: the embedded store. */
  readonly server: Location
  /** Absolute. */
  readonly tokenFile?: string
  /** Absolute. */
  readonly caCert?: string
}

const KNOWN: ReadonlySet<string> = new Set(['server', 'token-file', 'ca-cert'])
const NOTHING: Profile = { server: '' }

/**
 * Reads a profile of `directory`/config.toml. Without a name it is `default`, which need not exist. Throws `InvalidRequest`, naming the
 * file and what is wrong in it, and `NotFound` for a name that is not there.
 */
export function readProfile(directory: string, name: string | undefined): Profile {
  const file = join(directory, 'config.toml')
  const profiles = readProfiles(file)
  const found = profiles[name ?? 'default']
  if (found === undefined) {
    if (name === undefined) return NOTHING
    const names = Object.keys(profiles).sort()
    throw new BlobsError('NotFound', `there is no profile ${JSON.stringify(name)} in ${file}`, {
      hint: names.length === 0 ? `add it: [profiles.${name}]` : `there are: ${names.join(', ')}`,
    })
  }
  return toProfile(found, file, name ?? 'default')
}

function readProfiles(file: string): Readonly<Record<string, unknown>> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
  let document: Record<string, unknown>
  try {
    document = parse(text)
  } catch (cause) {
    const [first] = (cause as Error).message.split('\n')
    throw broken(file, `it is not TOML: ${first ?? ''}`, cause)
  }
  const profiles = document['profiles'] ?? {}
  if (typeof profiles !== 'object' || Array.isArray(profiles)) throw broken(file, '"profiles" is not a table')
  return profiles as Record<string, unknown>
}

function toProfile(value: unknown, file: string, name: string): Profile {
  if (typeof value !== 'object' || value === null) throw broken(file, `"profiles.${name}" is not a table`)
  const entries = Object.entries(value)
  for (const [key, entry] of entries) {
    if (key === 'token')
      throw broken(file, `"profiles.${name}.token" is a secret; put it in a file and name that with token-file`)
    if (!KNOWN.has(key))
      throw broken(file, `"profiles.${name}.${key}" is not known; there are ${[...KNOWN].join(', ')}`)
    if (typeof entry !== 'string') throw broken(file, `"profiles.${name}.${key}" is not a text`)
  }
  const texts = new Map(entries as [string, string][])
  const server = texts.get('server') ?? ''
  const tokenFile = texts.get('token-file')
  const caCert = texts.get('ca-cert')
  return {
    server: server === '' ? '' : parseLocation(server, `"profiles.${name}.server" in ${file}`),
    ...(tokenFile === undefined ? {} : { tokenFile: absolute(tokenFile, file) }),
    ...(caCert === undefined ? {} : { caCert: absolute(caCert, file) }),
  }
}

function absolute(path: string, file: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : resolve(dirname(file), path)
}

function broken(file: string, what: string, cause?: unknown): BlobsError {
  return new BlobsError('InvalidRequest', `${file}: ${what}`, { cause, hint: 'correct the file' })
}
