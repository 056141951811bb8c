import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { parse, stringify } from 'smol-toml'
import { writeAtomically } from '../platform/atomic-write.ts'
import { makePrivate } from '../platform/directories.ts'
import { systemFileSystem } from '../platform/file-system.ts'
import type { Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { nearNames } from '../store/near-names.ts'
import { configFile, readConfigText, readProfiles, settingsOf, SETTINGS, type Setting } from './profile.ts'
import { parseLocation } from './target.ts'

/** The settings of every profile, as the file has them. Throws `InvalidRequest` for what is wrong in it. */
export function listSettings(directory: string): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const file = configFile(directory)
  return Object.fromEntries(
    Object.entries(readProfiles(file)).map(([name, value]) => [
      name,
      Object.fromEntries(settingsOf(value, file, name)),
    ]),
  )
}

/** The name of a setting. Throws `InvalidRequest`, with what was meant. */
export function checkSetting(name: string): Setting {
  const known = SETTINGS.find((setting) => setting === name)
  if (known !== undefined) return known
  if (/token|secret|password/.test(name)) {
    throw new BlobsError(
      'InvalidRequest',
      `${JSON.stringify(name)} is not kept in the configuration, which holds no secret`,
      {
        hint: 'put a token into a file of your own, and name that: blobs config set token-file FILE',
      },
    )
  }
  const near = nearNames(name, SETTINGS)
  throw new BlobsError('InvalidRequest', `there is no setting ${JSON.stringify(name)}`, {
    hint: `${near.length === 0 ? '' : `did you mean ${near.join(' or ')}? · `}there are: ${SETTINGS.join(', ')}`,
  })
}

export interface SettingToWrite {
  readonly profile: string
  readonly name: Setting
  /** As a person gave it; null takes the setting away. */
  readonly value: string | null
}

/**
 * Writes one setting into config.toml of the directory, and leaves the rest of the file as it is, comments too; gives what was written. Throws
 * `InvalidRequest` for a value that cannot be, a secret among them, and `NotFound` for taking away what is not there.
 */
export async function writeSetting(directory: string, ids: Ids, setting: SettingToWrite): Promise<string | null> {
  const { profile, name } = setting
  const file = configFile(directory)
  const value = setting.value === null ? null : checkValue(name, setting.value)
  if (!/^[\w.-]+$/.test(profile)) {
    throw new BlobsError('InvalidRequest', `${JSON.stringify(profile)} cannot be the name of a profile`, {
      hint: 'a name has letters, digits and . _ -',
    })
  }
  const before = listSettings(directory)[profile]
  if (value === null && before?.[name] === undefined) {
    throw new BlobsError('NotFound', `the profile ${profile} has no ${name}`, {
      hint: 'what there is: blobs config list',
    })
  }
  const text = edited(readConfigText(file) ?? '', { profile, name, value })
  makePrivate(directory)
  const bytes = (async function* () {
    yield Buffer.from(text)
  })()
  await writeAtomically(systemFileSystem(), ids, behindLinks(file), bytes)
  return value
}

function checkValue(name: Setting, value: string): string {
  if (/^eyJ[\w-]+\.[\w-]+\./.test(value)) {
    throw new BlobsError('InvalidRequest', `the value of ${name} is a token, and the configuration holds no secret`, {
      hint: 'put it into a file of your own, and name that: blobs config set token-file FILE',
    })
  }
  if (value === '') {
    throw new BlobsError('InvalidRequest', `${name} is empty`, { hint: `take it away: blobs config unset ${name}` })
  }
  if (name === 'server') return parseLocation(value, name)
  return value.startsWith('~/') ? value : resolve(value)
}

// A file that is kept elsewhere, and linked here, stays so.
function behindLinks(file: string): string {
  try {
    return realpathSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return file
    throw error
  }
}

type Edit = SettingToWrite

/** The text of the file with the setting. Where it cannot be put between the lines as they are, the file is written anew. */
function edited(text: string, edit: Edit): string {
  const wanted = parse(text) as { profiles?: Record<string, Record<string, unknown>> }
  wanted.profiles ??= {}
  const profile = (wanted.profiles[edit.profile] ??= {})
  if (edit.value === null) delete profile[edit.name]
  else profile[edit.name] = edit.value
  const result = betweenLines(text, edit)
  try {
    if (isDeepStrictEqual(parse(result), parse(stringify(wanted)))) return result
  } catch {
    // Then it is not what was wanted.
  }
  return stringify(wanted)
}

function betweenLines(text: string, { profile, name, value }: Edit): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
  const escaped = profile.replaceAll(/[.-]/g, String.raw`\$&`)
  const header = new RegExp(String.raw`^\s*\[\s*profiles\s*\.\s*"?${escaped}"?\s*\]\s*(#.*)?$`)
  const start = lines.findIndex((line) => header.test(line))
  const line = value === null ? null : `${name} = ${JSON.stringify(value)}`
  if (start === -1) {
    const table = `[profiles.${/^[\w-]+$/.test(profile) ? profile : JSON.stringify(profile)}]`
    const gap = lines.length === 0 ? [] : ['']
    return `${[...lines, ...gap, table, ...(line === null ? [] : [line])].join('\n')}\n`
  }
  const next = lines.findIndex((one, index) => index > start && /^\s*\[/.test(one))
  const end = next === -1 ? lines.length : next
  const key = new RegExp(String.raw`^\s*"?${name}"?\s*=`)
  const at = lines.findIndex((one, index) => index > start && index < end && key.test(one))
  if (at !== -1) lines.splice(at, 1, ...(line === null ? [] : [line]))
  else if (line !== null) lines.splice(lastFilled(lines, end), 0, line)
  return `${lines.join('\n')}\n`
}

/** Behind the last line of a table that is not empty. */
function lastFilled(lines: readonly string[], end: number): number {
  let at = end
  while (at > 0 && lines[at - 1]?.trim() === '') at -= 1
  return at
}
