import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { BlobsError } from '../../store/contract/errors.ts'
import { parseIni } from './ini.ts'

type Env = Readonly<Record<string, string | undefined>>
type Settings = ReadonlyMap<string, string>

interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** Where they come from, in words. */
  readonly from: string
}

/** Which S3 bucket, where, and as whom. */
export interface S3Settings {
  readonly bucket: string
  /** Of the service, without the bucket: `https://s3.eu-central-1.amazonaws.com`. No slash at its end. */
  readonly endpoint: string
  readonly region: string
  /** `path`: ENDPOINT/BUCKET/KEY; `virtual`: BUCKET.ENDPOINT/KEY. */
  readonly style: 'path' | 'virtual'
  /** Reads them anew: files may have changed since. Throws `Unauthenticated` with the ways to give them where there are none. */
  credentials(): S3Credentials
}

const OPTIONS: readonly string[] = ['endpoint', 'region', 'style', 'profile']

/**
 * The settings of a bucket: options of its URL (`endpoint`, `region`, `style`, `profile`), then the environment, then the files of AWS's
 * tools, `~/.aws/config` and `~/.aws/credentials`. `more` names options that are somebody else's. Throws `InvalidRequest`.
 */
export function readSettings(
  bucket: string,
  options: ReadonlyMap<string, string>,
  env: Env,
  more: readonly string[] = [],
): S3Settings {
  checkOptions(options, [...OPTIONS, ...more])
  if (!/^[a-z0-9][a-z0-9._-]{1,62}$/.test(bucket)) {
    throw usage(`${JSON.stringify(bucket)} is not the name of an S3 bucket`, 'write it as s3://BUCKET/NAME/key')
  }
  const profile = options.get('profile') ?? (env['AWS_PROFILE'] || 'default')
  const files = readFiles(env, profile)
  const region =
    options.get('region') ??
    (env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || files.config.get('region') || 'us-east-1')
  if (!/^[a-z0-9-]+$/i.test(region)) throw usage(`${JSON.stringify(region)} is not a region`, 'as eu-central-1')
  const given =
    options.get('endpoint') ?? (env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL'] || files.endpoint || undefined)
  const endpoint = given === undefined ? amazon(region) : checkEndpoint(given)
  return {
    bucket,
    endpoint,
    region,
    style: checkStyle(options.get('style') ?? files.config.get('s3.addressing_style') ?? 'auto', endpoint, bucket),
    credentials: () => findCredentials(env, profile, options.has('profile')),
  }
}

function checkOptions(options: ReadonlyMap<string, string>, known: readonly string[]): void {
  const unknown = [...options.keys()].find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw usage(
    `there is no option ${JSON.stringify(unknown)} of an s3: URL`,
    /key|secret|token/i.test(unknown)
      ? 'secrets go into the environment or ~/.aws/credentials, not into a URL'
      : `those there are: ${known.join(', ')}`,
  )
}

function amazon(region: string): string {
  return `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
}

function checkEndpoint(text: string): string {
  const url = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : null
  if (url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === '') {
    return url.origin + url.pathname.replace(/\/+$/, '')
  }
  throw usage('the endpoint is not the address of an S3 service', 'write it as https://host or http://host:9000')
}

function checkStyle(style: string, endpoint: string, bucket: string): S3Settings['style'] {
  if (style === 'path' || style === 'virtual') return style
  if (style !== 'auto') throw usage(`there is no style ${JSON.stringify(style)}`, 'style is path or virtual')
  // No certificate is for a name with more dots than it says.
  return /\.amazonaws\.com(\.cn)?$/.test(endpoint) && !bucket.includes('.') ? 'virtual' : 'path'
}

function findCredentials(env: Env, profile: string, chosen: boolean): S3Credentials {
  const [id, secret] = [env['AWS_ACCESS_KEY_ID'], env['AWS_SECRET_ACCESS_KEY']]
  // A profile that is named in the URL is meant, whatever the environment has.
  if (id && secret && !chosen) return credentials(id, secret, env['AWS_SESSION_TOKEN'], 'the environment')
  const files = readFiles(env, profile)
  for (const [file, settings] of [files.shared, files.own] as const) {
    const [id, secret] = [settings.get('aws_access_key_id'), settings.get('aws_secret_access_key')]
    if (id && secret) return credentials(id, secret, settings.get('aws_session_token'), `profile ${profile} of ${file}`)
  }
  throw missing(env, profile, files.config)
}

function credentials(id: string, secret: string, token: string | undefined, from: string): S3Credentials {
  return { accessKeyId: id, secretAccessKey: secret, ...(token ? { sessionToken: token } : {}), from }
}

function missing(env: Env, profile: string, config: Settings): BlobsError {
  const other = ['sso_session', 'sso_start_url', 'role_arn', 'credential_process'].find((name) => config.has(name))
  if (other !== undefined) {
    return new BlobsError(
      'Unauthenticated',
      `profile ${profile} gets its credentials by ${other}, which blobs does not do`,
      {
        hint: `let AWS's tool do it: eval "$(aws configure export-credentials --profile ${profile} --format env)"`,
      },
    )
  }
  const half = Boolean(env['AWS_ACCESS_KEY_ID']) !== Boolean(env['AWS_SECRET_ACCESS_KEY'])
  const what = half
    ? 'only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set'
    : `there are no credentials for S3 (looked in the environment and in profile ${profile})`
  return new BlobsError('Unauthenticated', what, {
    hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws/credentials: AWS_PROFILE, ?profile=NAME',
  })
}

interface Files {
  readonly config: Settings
  readonly endpoint: string | undefined
  /** The profile in each file that may have its credentials, the first goes first. */
  readonly shared: readonly [file: string, settings: Settings]
  readonly own: readonly [file: string, settings: Settings]
}

function readFiles(env: Env, profile: string): Files {
  const home = env['HOME'] || homedir()
  const configFile = env['AWS_CONFIG_FILE'] || join(home, '.aws', 'config')
  const credentialsFile = env['AWS_SHARED_CREDENTIALS_FILE'] || join(home, '.aws', 'credentials')
  const sections = parseIni(readIfThere(configFile))
  const config = sections.get(`profile ${profile}`) ?? (profile === 'default' ? sections.get(profile) : undefined)
  const services = sections.get(`services ${config?.get('services') ?? ''}`)
  const none: Settings = new Map()
  return {
    config: config ?? none,
    endpoint: services?.get('s3.endpoint_url') ?? config?.get('endpoint_url'),
    shared: [credentialsFile, parseIni(readIfThere(credentialsFile)).get(profile) ?? none],
    own: [configFile, config ?? none],
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return ''
    throw error
  }
}

function usage(message: string, hint: string): BlobsError {
  return new BlobsError('InvalidRequest', message, { hint })
}
