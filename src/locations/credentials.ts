import type { FileSystem, Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Profile } from './profile.ts'
import { forgetServer, joinedPlace, keepServer, knownServer, type KnownServer } from './servers.ts'
import { isServer, type Location } from './target.ts'
import { givenToken, type GivenBy, readTokenFile, type TokenSources } from './token.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Where a token comes from: given by hand, or kept for its server; `file` is one that only its owner may read, unencrypted. */
export type TokenOrigin = GivenBy | 'profile' | 'file' | 'keychain'

export interface Credentials {
  /** Sent to this location's server, and nowhere else. */
  readonly token?: string
  readonly from?: TokenOrigin
  /** PEM: the only certificate to trust. */
  readonly certificate?: string
  /** PEM: authorities to trust besides the usual. */
  readonly ca?: string
  /** URL of a proxy. */
  readonly proxy?: string
}

export interface CredentialsOptions {
  readonly sources: TokenSources
  readonly profile: Profile
  readonly stateDirectory: string
  readonly caCert?: string
}

/**
 * The token for a server, and whom to trust as that server. What is given by hand goes first, then the profile's file, then what is kept
 * for exactly this origin; of what was joined there, the token of this bucket goes before that, and any is better than none. The keychain is
 * asked only where it is known to have it. Throws `Unauthenticated`, errno errors.
 */
export async function findCredentials(
  location: Location,
  options: CredentialsOptions,
  bucket?: string,
): Promise<Credentials> {
  const way = await wayTo(location, options)
  const { sources, profile, stateDirectory } = options
  const given = await givenToken(sources)
  if (given !== null) return { ...way, token: given.token, from: given.by }
  if (location === profile.server && profile.tokenFile !== undefined) {
    return { ...way, token: readTokenFile(profile.tokenFile), from: 'profile' }
  }
  for (const place of placesOf(location, knownServer(stateDirectory, location)?.joined ?? [], bucket)) {
    const kept = await keptToken(place, stateDirectory, sources.env)
    if (kept !== null) return { ...way, ...kept }
  }
  return way
}

/** Under what the token may be kept, the best first. */
function placesOf(origin: Location, joined: readonly string[], bucket: string | undefined): readonly string[] {
  const own = joined.filter((name) => name === bucket)
  const others = bucket === undefined ? joined : []
  return [...own.map((name) => joinedPlace(origin, name)), origin, ...others.map((name) => joinedPlace(origin, name))]
}

/** Null if none is kept. */
async function keptToken(
  place: string,
  stateDirectory: string,
  env: Environment,
): Promise<Pick<Credentials, 'token' | 'from'> | null> {
  const known = knownServer(stateDirectory, place)
  if (known?.token !== undefined) return { token: known.token, from: 'file' }
  return known?.tokenIn === 'keychain' ? { token: await inKeychain(place, env), from: 'keychain' } : null
}

/** Whom to trust as the server at a location, and which proxy is on the way. */
export async function wayTo(
  location: Location,
  { sources, profile, stateDirectory, caCert }: CredentialsOptions,
): Promise<Omit<Credentials, 'token' | 'from'>> {
  const authority = caCert ?? (location === profile.server ? profile.caCert : undefined)
  const certificate = knownServer(stateDirectory, location)?.certificate
  // A place that a driver opens has ways of its own, and may have several hosts.
  const proxy = isServer(location) ? (await import('./proxy.ts')).proxyFor(location, sources.env) : null
  return {
    ...(certificate === undefined ? {} : { certificate }),
    ...(authority === undefined ? {} : { ca: (await import('./tls.ts')).readAuthority(authority) }),
    ...(proxy === null ? {} : { proxy }),
  }
}

async function inKeychain(place: string, env: Environment): Promise<string> {
  const { openKeychain, WAYS_OUT } = await import('../access/keychain.ts')
  const token = await openKeychain(env).read(place)
  if (token !== null) return token
  throw new BlobsError(
    'Unauthenticated',
    `the keychain gives no token for ${place}: it is locked, or it was removed there`,
    {
      hint: `unlock it, or sign in again: blobs login ${isServer(place) ? new URL(place).origin : place} · ${WAYS_OUT}`,
    },
  )
}

export interface KeepOptions {
  readonly env: Environment
  readonly stateDirectory: string
  readonly fs: FileSystem
  readonly ids: Ids
}

/**
 * Keeps a token with what is known of its server: in the keychain, from which it is read back by another process, or, where that is
 * asked for or was before, in a file that only its owner may read. Throws `Unauthenticated` with the ways out where the keychain cannot be used; then nothing
 * has changed.
 */
export async function keepToken(
  server: Pick<KnownServer, 'origin' | 'certificate'>,
  token: string,
  insecure: boolean,
  options: KeepOptions,
): Promise<'keychain' | 'file'> {
  const tokenIn = storageFor(server.origin, insecure, options)
  const { origin, certificate } = server
  if (tokenIn === 'keychain') await keepInKeychain(origin, token, options.env)
  const joined = knownServer(options.stateDirectory, origin)?.joined
  const kept = {
    origin,
    ...(certificate === undefined ? {} : { certificate }),
    ...(joined === undefined ? {} : { joined }),
    tokenIn,
  }
  await keepServer(options.stateDirectory, tokenIn === 'file' ? { ...kept, token } : kept, options)
  return tokenIn
}

/** Keeps the token that a bucket was joined with, for that bucket, and what is known of its server for the server. Throws as `keepToken`. */
export async function keepJoined(
  server: Pick<KnownServer, 'origin' | 'certificate'>,
  bucket: string,
  token: string,
  insecure: boolean,
  options: KeepOptions,
): Promise<'keychain' | 'file'> {
  const { origin } = server
  const tokenIn = await keepToken({ origin: joinedPlace(origin, bucket) }, token, insecure, options)
  const known = knownServer(options.stateDirectory, origin)
  const joined = [...new Set([...(known?.joined ?? []), bucket])]
  await keepServer(options.stateDirectory, { ...known, ...server, joined }, options)
  return tokenIn
}

/** Tries whether a token could be kept, so that one that exists only once is not spent in vain. Throws as `keepToken`. */
export async function tryStorage(origin: Location, insecure: boolean, options: KeepOptions): Promise<void> {
  if (storageFor(origin, insecure, options) === 'file') return
  const { openKeychain } = await import('../access/keychain.ts')
  const trial = `trial ${origin}`
  await keepInKeychain(trial, options.ids.next(), options.env)
  await openKeychain(options.env).remove(trial)
}

function storageFor(origin: Location, insecure: boolean, { stateDirectory }: KeepOptions): 'keychain' | 'file' {
  return insecure || knownServer(stateDirectory, origin)?.tokenIn === 'file' ? 'file' : 'keychain'
}

async function keepInKeychain(origin: Location, token: string, env: Environment): Promise<void> {
  const { openKeychain, WAYS_OUT } = await import('../access/keychain.ts')
  const keychain = openKeychain(env)
  await keychain.write(origin, token)
  if ((await keychain.read(origin)) === token) return
  throw new BlobsError('Unauthenticated', 'the keychain of this machine took the token and does not give it back', {
    hint: WAYS_OUT,
  })
}

/**
 * Forgets the tokens of an origin, those of what was joined there too, not whom to trust there; where one was kept, or null if there was none.
 * Throws as `keepToken`.
 */
export async function forgetToken(origin: Location, options: KeepOptions): Promise<TokenOrigin | null> {
  const { stateDirectory } = options
  const known = knownServer(stateDirectory, origin)
  const from: TokenOrigin[] = []
  for (const place of [origin, ...(known?.joined ?? []).map((bucket) => joinedPlace(origin, bucket))]) {
    const tokenIn = knownServer(stateDirectory, place)?.tokenIn
    if (tokenIn === undefined) continue
    if (tokenIn === 'keychain') {
      const { openKeychain } = await import('../access/keychain.ts')
      await openKeychain(options.env).remove(place)
    }
    from.push(tokenIn)
    if (place !== origin) forgetServer(stateDirectory, place)
  }
  const certificate = known?.certificate
  if (from.length > 0)
    await keepServer(stateDirectory, { origin, ...(certificate === undefined ? {} : { certificate }) }, options)
  return from[0] ?? null
}
