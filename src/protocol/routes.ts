/** Everything about buckets begins with this path. */
export const ROOT = '/v1/buckets'
/** Where a one-time code becomes a token. */
export const JOIN_PATH = '/v1/join'
/** What is about tokens. */
export const TOKENS = '/v1/tokens'

export const FRAMES_TYPE = 'application/vnd.blobs.frames'
export const NDJSON_TYPE = 'application/x-ndjson'
export const EVENTS_TYPE = 'text/event-stream'
export const PROBLEM_TYPE = 'application/problem+json'

/** The parts of a bucket, as paths below it. */
export type BucketRoute = 'blobs' | 'commit' | 'chunks' | 'chunks/missing' | 'fetch' | 'changes'

export function bucketPath(bucket: string, route?: BucketRoute): string {
  const path = `${ROOT}/${encodeURIComponent(bucket)}`
  return route === undefined ? path : `${path}/${route}`
}

/** Path of one key below `blobs` or `chunks-of`: each segment percent-encoded by itself. */
export function keyPath(bucket: string, below: 'blobs' | 'chunks-of', key: string): string {
  return `${ROOT}/${encodeURIComponent(bucket)}/${below}/${key.split('/').map(encodeURIComponent).join('/')}`
}

/** Path of one token by its id; `self`, `revoke` and `rotate` are not ids. */
export function tokenPath(id: string): string {
  return `${TOKENS}/${encodeURIComponent(id)}`
}

/** The id in such a path; null when its percent-encoding is broken. */
export function parseTokenPath(path: string): string | null {
  try {
    return decodeURIComponent(path.slice(TOKENS.length + 1))
  } catch {
    return null
  }
}

/** A request's path and query, taken apart without any normalisation of dots or slashes. */
export interface Target {
  readonly path: string
  /** Names with their values, decoded; null when the percent-encoding is broken. */
  readonly query: readonly (readonly [name: string, value: string])[] | null
}

export function parseTarget(url: string): Target {
  const mark = url.indexOf('?')
  if (mark === -1) return { path: url, query: [] }
  return { path: url.slice(0, mark), query: parseQuery(url.slice(mark + 1)) }
}

// Not `URLSearchParams`: what that cannot decode becomes another text, which would be asked for instead.
function parseQuery(text: string): Target['query'] {
  const decode = (part: string): string => decodeURIComponent(part.replaceAll('+', ' '))
  try {
    return text
      .split('&')
      .filter((pair) => pair !== '')
      .map((pair) => {
        const [name = '', ...rest] = pair.split('=')
        return [decode(name), decode(rest.join('='))] as const
      })
  } catch {
    return null
  }
}

/**
 * Bucket and what follows `/v1/buckets/{bucket}/{below}/` in a path, decoded; null when the percent-encoding is broken or the
 * path has another form. The key of a path that ends at the bucket is ''.
 */
export function parsePath(path: string, below: string): { readonly bucket: string; readonly key: string } | null {
  if (!path.startsWith(`${ROOT}/`)) return null
  const [name = '', ...rest] = path.slice(ROOT.length + 1).split('/')
  const depth = below === '' ? 0 : below.split('/').length
  if (rest.slice(0, depth).join('/') !== below) return null
  try {
    return { bucket: decodeURIComponent(name), key: rest.slice(depth).map(decodeURIComponent).join('/') }
  } catch {
    return null
  }
}
