import type { FileSystem, Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Profile } from './profile.ts'
import { keepServer, knownServer, type KnownServer } from './servers.ts'
import type { Location } from './target.ts'
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
 * for exactly this origin; the keychain is asked only where it is known to have it. Throws `Unauthenticated`, errno errors.
 */
export async function findCredentials(location: Location, options: CredentialsOptions): Promise<Credentials> {
  const way = await wayTo(location, options)
  const { sources, profile, stateDirectory } = options
  const given = await givenToken(sources)
  if (given !== null) return { ...way, token: given.token, from: given.by }
  if (location === profile.server && profile.tokenFile !== undefined) {
    return { ...way, token: readTokenFile(profile.tokenFile), from: 'profile' }
  }
  const known = knownServer(stateDirectory, location)
  if (known?.token !== undefined) return { ...way, token: known.token, from: 'file' }
  if (known?.tokenIn === 'keychain') return { ...way, token: await inKeychain(location, sources.env), from: 'keychain' }
  return way
}

/** Whom to trust as the server at a location, and which proxy is on the way. */
export async function wayTo(
  location: Location,
  { sources, profile, stateDirectory, caCert }: CredentialsOptions,
): Promise<Omit<Credentials, 'token' | 'from'>> {
  const authority = caCert ?? (location === profile.server ? profile.caCert : undefined)
  const certificate = knownServer(stateDirectory, location)?.certificate
  const { proxyFor } = await import('./proxy.ts')
  const proxy = proxyFor(location, sources.env)
  return {
    ...(certificate === undefined ? {} : { certificate }),
    ...(authority === undefined ? {} : { ca: (await import('./tls.ts')).readAuthority(authority) }),
    ...(proxy === null ? {} : { proxy }),
  }
}

async function inKeychain(location: Location, env: Environment): Promise<string> {
  const { openKeychain, WAYS_OUT } = await import('../access/keychain.ts')
  const token = await openKeychain(env).read(location)
  if (token !== null) return token
  throw new BlobsError(
    'Unauthenticated',
    `the keychain gives no token for ${location}: it is locked, or it was removed there`,
    {
      hint: `unlock it, or sign in again: blobs login ${location} · ${WAYS_OUT}`,
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
  server: Omit<KnownServer, 'token' | 'tokenIn'>,
  token: string,
  insecure: boolean,
  options: KeepOptions,
): Promise<'keychain' | 'file'> {
  const tokenIn = storageFor(server.origin, insecure, options)
  const { origin, certificate } = server
  if (tokenIn === 'keychain') await keepInKeychain(origin, token, options.env)
  const kept = { origin, ...(certificate === undefined ? {} : { certificate }), tokenIn }
  await keepServer(options.stateDirectory, tokenIn === 'file' ? { ...kept, token } : kept, options)
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

/** Forgets the token of an origin, not whom to trust there; where it was kept, or null for one that had none. Throws as `keepToken`. */
export async function forgetToken(origin: Location, options: KeepOptions): Promise<TokenOrigin | null> {
  const known = knownServer(options.stateDirectory, origin)
  const from = known?.tokenIn ?? null
  if (from === null) return null
  if (from === 'keychain') {
    const { openKeychain } = await import('../access/keychain.ts')
    await openKeychain(options.env).remove(origin)
  }
  const certificate = known?.certificate
  await keepServer(options.stateDirectory, { origin, ...(certificate === undefined ? {} : { certificate }) }, options)
  return from
}
