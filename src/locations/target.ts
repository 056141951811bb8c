import { checkBucketName, keyProblem } from '../store/contract/keys.ts'
import { BlobsError } from '../store/contract/errors.ts'

/** A place that holds buckets: '' is the embedded store, else the origin of a server (`https://host:7420`). */
export type Location = string

/** What an argument names. */
export interface Target {
  readonly location: Location
  /** '' when only a place is named. */
  readonly bucket: string
  /** The key, a folder's name with or without a trailing `/`, or '' for the whole bucket. NFC. */
  readonly key: string
  /** As a person wrote it, for messages. */
  readonly text: string
}

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i
const URL_PARTS = /^(https?:\/\/[^/?#]*)(?:\/([^?#]*))?([?#].*)?$/is
const LATER: ReadonlySet<string> = new Set([
  's3',
  'nats',
  'folder',
  ...['socketio', 'changelog', 'containers'].flatMap((face) => [`${face}+http`, `${face}+https`]),
])
const SUPPORTED =
  'what works: bucket/key (the embedded store), http://host:7420/bucket/key, https://host:7420/bucket/key'

/**
 * Reads `bucket/key` (literal) or a URL (percent-decoded); `here` is where a bare name is looked up. Throws `InvalidRequest` or
 * `InvalidKey` for what can never name anything, `NotSupported` for a kind of place that is not built yet.
 */
export function parseTarget(text: string, here: Location): Target {
  const scheme = SCHEME.exec(text)?.[1]
  return scheme === undefined ? named(text, here, text) : fromUrl(text, scheme.toLowerCase())
}

/** The place that a URL without a bucket names, as in `BLOBS_SERVER`; `source` says where it was written. Throws as `parseTarget`. */
export function parseLocation(text: string, source: string): Location {
  const scheme = SCHEME.exec(text)?.[1]
  if (scheme === undefined) {
    throw usage(`${source} is ${JSON.stringify(text)}, which is not a URL`, `write it as http://host:7420`)
  }
  const target = fromUrl(text, scheme.toLowerCase())
  if (target.bucket === '') return target.location
  throw usage(`${source} names a bucket, ${target.bucket}, but should name a server`, `write it as ${target.location}`)
}

/** A target as a person would write it. */
export function showTarget(target: Pick<Target, 'location' | 'bucket'>, key = ''): string {
  const name = key === '' ? target.bucket : `${target.bucket}/${key}`
  if (target.location === '') return name
  return `${target.location}/${name.split('/').map(encodeURIComponent).join('/')}`
}

function fromUrl(text: string, scheme: string): Target {
  if (scheme !== 'http' && scheme !== 'https') throw unknownScheme(text, scheme)
  const [, origin = '', path = '', extra] = URL_PARTS.exec(text) ?? []
  if (extra !== undefined) {
    throw usage(
      `${withoutSecrets(text)} has a part that starts with ${extra[0]}`,
      /^#[\w-]{22}(\.|$)/.test(extra)
        ? 'it looks like a link of blobs share: blobs join LINK FOLDER'
        : 'in a key, write ? as %3F and # as %23',
    )
  }
  const url = URL.canParse(origin) ? new URL(origin) : null
  if (!url || url.hostname === '') throw usage(`${withoutSecrets(text)} is not a URL`, SUPPORTED)
  if (url.username !== '' || url.password !== '') {
    throw usage(
      `${url.host}: a user name or password in a URL is not used`,
      'give a token: BLOBS_TOKEN, BLOBS_TOKEN_FILE, --token-file or --token-stdin',
    )
  }
  return named(decode(path, text), url.origin, text)
}

function named(name: string, location: Location, text: string): Target {
  const slash = name.indexOf('/')
  const bucket = slash === -1 ? name : name.slice(0, slash)
  const key = slash === -1 ? '' : name.slice(slash + 1).normalize('NFC')
  if (bucket === '') {
    if (location !== '' && key === '' && SCHEME.test(text)) return { location, bucket: '', key: '', text }
    throw usage(`${JSON.stringify(text)} does not name a bucket`, 'write bucket or bucket/key')
  }
  checkBucketName(bucket)
  const problem = key === '' ? null : keyProblem(key)
  if (problem !== null) {
    throw new BlobsError('InvalidKey', `${JSON.stringify(text)} is not a key: ${problem}`, {
      key,
      hint: 'a key is up to 1024 bytes of UTF-8 text, with single slashes between its folders',
    })
  }
  return { location, bucket, key, text }
}

function decode(path: string, text: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw usage(
      `${withoutSecrets(text)} is not a URL: a % in it is not followed by two hex digits`,
      'write a % in a key as %25',
    )
  }
}

function unknownScheme(text: string, scheme: string): BlobsError {
  const shown = withoutSecrets(text)
  if (LATER.has(scheme)) {
    return new BlobsError('NotSupported', `${shown}: this version does not open ${scheme}: places yet`, {
      hint: SUPPORTED,
    })
  }
  return usage(`${shown}: there is no kind of place called ${scheme}:`, SUPPORTED)
}

function withoutSecrets(text: string): string {
  return JSON.stringify(text.replace(/\/\/[^/@]*@/, '//').replace(/[?#].*$/s, ''))
}

function usage(message: string, hint: string): BlobsError {
  return new BlobsError('InvalidRequest', message, { hint })
}
