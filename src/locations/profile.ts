import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'smol-toml'
import { BlobsError } from '../store/contract/errors.ts'
import { nearNames } from '../store/near-names.ts'
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

/** What a profile may say. */
export const SETTINGS = ['server', 'token-file', 'ca-cert'] as const
export type Setting = (typeof SETTINGS)[number]
const KNOWN: ReadonlySet<string> = new Set(SETTINGS)
const NOTHING: Profile = { server: '' }

/**
 * Reads a profile of `directory`/config.toml. Without a name it is `default`, which need not exist. Throws `InvalidRequest`, naming the
 * file and what is wrong in it, and `NotFound` for a name that is not there.
 */
export function readProfile(directory: string, name: string | undefined): Profile {
  const file = configFile(directory)
  const profiles = readProfiles(file)
  const found = profiles[name ?? 'default']
  if (found === undefined) {
    if (name === undefined) return NOTHING
    const names = Object.keys(profiles).sort()
    const near = nearNames(name, names)
    const guess = near.length === 0 ? '' : `did you mean ${near.join(' or ')}? · `
    const all = names.length === 0 ? '' : `there are: ${names.join(', ')} · `
    throw new BlobsError('NotFound', `there is no profile ${JSON.stringify(name)} in ${file}`, {
      hint: `${guess}${all}make it: blobs config set server URL --profile ${name}`,
    })
  }
  return toProfile(found, file, name ?? 'default')
}

/** The file that holds the profiles. */
export function configFile(directory: string): string {
  return join(directory, 'config.toml')
}

/** Null: there is none. */
export function readConfigText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** What the file has for each profile; see `settingsOf`. Throws `InvalidRequest` for a file that cannot be read. */
export function readProfiles(file: string): Readonly<Record<string, unknown>> {
  const text = readConfigText(file)
  if (text === null) return {}
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

/** What a profile says, by the names of the settings. Throws `InvalidRequest` for what is none, a secret among it. */
export function settingsOf(value: unknown, file: string, name: string): ReadonlyMap<string, string> {
  if (typeof value !== 'object' || value === null) throw broken(file, `"profiles.${name}" is not a table`)
  const entries = Object.entries(value)
  for (const [key, entry] of entries) {
    if (key === 'token')
      throw broken(file, `"profiles.${name}.token" is a secret; put it in a file and name that with token-file`)
    if (!KNOWN.has(key))
      throw broken(file, `"profiles.${name}.${key}" is not known; there are ${[...KNOWN].join(', ')}`)
    if (typeof entry !== 'string') throw broken(file, `"profiles.${name}.${key}" is not a text`)
  }
  return new Map(entries as [string, string][])
}

function toProfile(value: unknown, file: string, name: string): Profile {
  const texts = settingsOf(value, file, name)
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
