import { directories, type Directories } from '../platform/directories.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import type { BlobsError } from '../store/contract/errors.ts'
import type { CredentialsOptions } from './credentials.ts'
import type { PlaceOptions } from './open-place.ts'
import { readProfile, type Profile } from './profile.ts'
import type { TokenSources } from './token.ts'

/** What decides where buckets are and who asks. */
export interface PlacesOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly profile?: string
  readonly tokenFile?: string
  readonly tokenFromStdin?: () => Promise<string>
  /** Path of a PEM file. */
  readonly caCert?: string
  /** Bytes a second, up and down each. */
  readonly limitRate?: number
  /** Told before a server is asked again, in so many milliseconds. */
  readonly onRetry?: (error: BlobsError, pause: number) => void
  /** Told what a place cannot promise. */
  readonly onWarning?: (message: string) => void
  /** Nobody else writes to places that cannot keep several writers apart; as `BLOBS_SINGLE_WRITER` says unless given. */
  readonly singleWriter?: boolean
  /** False: what a place other than a server cannot do for the moment is told at once. */
  readonly patient?: boolean
  readonly clock: Clock
  readonly ids: Ids
}

/** What the options, the profile and the directories of one command are together. */
export interface Setting {
  readonly options: PlacesOptions
  readonly profile: Profile
  readonly where: Directories
}

/** Reads the profile. Throws `InvalidRequest` for what is wrong in it. */
export function settingOf(options: PlacesOptions): Setting {
  const { env } = options
  const where = directories(env)
  return { options, profile: readProfile(where.config, options.profile ?? (env['BLOBS_PROFILE'] || undefined)), where }
}

export function tokenSources(options: PlacesOptions): TokenSources {
  const { tokenFromStdin, tokenFile, env } = options
  return {
    env,
    ...(tokenFromStdin ? { fromStdin: tokenFromStdin } : {}),
    ...(tokenFile === undefined ? {} : { file: tokenFile }),
  }
}

export function placeOptions({ options, where }: Setting): PlaceOptions {
  const { env, singleWriter = saysSingleWriter(env), onWarning = () => undefined } = options
  const { cache: cacheDirectory, state: stateDirectory } = where
  return { env, cacheDirectory, stateDirectory, singleWriter, warn: onWarning }
}

/** What `BLOBS_SINGLE_WRITER` says. */
export function saysSingleWriter({ BLOBS_SINGLE_WRITER: value = '' }: PlacesOptions['env']): boolean {
  return !/^(|0|false|no|off)$/i.test(value)
}

export function credentialsOptions({ options, profile, where }: Setting): CredentialsOptions {
  const { caCert } = options
  return {
    sources: tokenSources(options),
    profile,
    stateDirectory: where.state,
    ...(caCert === undefined ? {} : { caCert }),
  }
}
