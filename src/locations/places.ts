import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { openDevice, shortName, type Device } from '../platform/device.ts'
import { directories, type Directories } from '../platform/directories.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import type { AddressStore } from '../store/contract/addresses.ts'
import type { Buckets, BlobStore } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Probe } from '../store/http/probe.ts'
import { lazily } from '../store/lazy.ts'
import { type Credentials, type CredentialsOptions, findCredentials, wayTo } from './credentials.ts'
import { parseAddressed, placeOf, type AddressTarget } from './addressed.ts'
import { openBuckets } from './open.ts'
import type { Examined, PlaceOptions } from './open-place.ts'
import { readProfile, type Profile } from './profile.ts'
import { joinedPlace, knownServer } from './servers.ts'
import {
  isServer,
  parseLocation,
  parseTarget,
  schemeOf,
  takesPassword,
  takesToken,
  type Location,
  type Target,
} from './target.ts'
import { isSingle } from './drivers.ts'
import type { OwnToken, TokenOffice } from './tokens.ts'
import { givenToken, tokenIsGiven, type TokenSources } from './token.ts'

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
  readonly clock: Clock
  readonly ids: Ids
}

/** The places that one command has to do with; each is opened once, when it is needed. */
export interface Places extends AsyncDisposable {
  /** Where a bare `bucket/key` is: `BLOBS_SERVER`, else the profile's server, else the embedded store (''). */
  readonly here: Location
  readonly directories: Directories
  /** Reads an argument. Throws `InvalidRequest` when a token that was given by hand would go to a second server. */
  target(text: string): Target
  buckets(location: Location): Promise<Buckets>
  /**
   * Reads an argument that names bytes by their address, or a place of such; no argument: the place where bare names are, if it is one. Null for
   * what is in a bucket. Throws as `target`.
   */
  addressed(text: string | undefined): AddressTarget | null
  /** Bytes by their address. Throws `NotSupported` for a place that holds buckets. */
  addresses(location: Location): Promise<AddressStore>
  /**
   * Where tokens are made: a server, or a data directory. Unless one is given it is `here`; with `TOKEN_SECRET` set, which signs them,
   * the embedded store, which is made only where that is wished. A server is asked with `token`, if given, instead of the one that is kept
   * for it. Throws `NotFound` where there is none.
   */
  tokens(where: {
    readonly server?: string | undefined
    readonly data?: string | undefined
    readonly make?: boolean
    readonly token?: string
  }): Promise<TokenOffice>
  /** The bucket of a target. Throws `NotFound` with the near names and, where that is the way, the command that makes it. */
  open(target: Pick<Target, 'location' | 'bucket'> & Partial<Pick<Target, 'key'>>): Promise<BlobStore>
  /** The same, opened by the first call that needs it: for those who can do without it for a while. */
  openLater(target: Pick<Target, 'location' | 'bucket'>): BlobStore
  /** The token that was given by hand, or null. Throws as `givenToken`. */
  givenToken(): Promise<string | null>
  /** The token for a server, or for a bucket there, and where it comes from. Throws as `findCredentials`. */
  credentials(location: Location, bucket?: string): Promise<Credentials>
  /** What a token allows, as the server tells. Throws `Unauthenticated`, and what stands in the way there. */
  whoIs(location: Location, token: string): Promise<OwnToken>
  /** What a server says to anybody. Throws `Unavailable`, `Refused`. */
  probe(location: Location): Promise<Probe>
  /** What a driver says of a place that it opens: what it promises, and what it finds there. Throws as `Driver.open`. */
  examine(location: Location): Promise<Examined>
  /** Milliseconds since 1970 by the clock that stamps versions there. Throws as `probe`. */
  timeAt(location: Location): Promise<number>
  /** This machine, as the history shows it. */
  device(): Device
}

/** Reads configuration only; nothing is opened. Throws `InvalidRequest` for what is wrong in it. */
export function openPlaces(options: PlacesOptions): Places {
  const { env, ids } = options
  const where = directories(env)
  const profile = readProfile(where.config, options.profile ?? (env['BLOBS_PROFILE'] || undefined))
  const here = env['BLOBS_SERVER'] ? parseLocation(env['BLOBS_SERVER'], 'BLOBS_SERVER') : profile.server
  const servers = new Set<Location>()
  const stores = new Map<string, Promise<BlobStore>>()
  const offices: TokenOffice[] = []
  const shelves = new Map<Location, Promise<AddressStore>>()

  const check = (location: Location): void => checkOneServer(location, servers, tokenSources(options))
  const pool = openPool(where.state, (location, bucket) => {
    check(location)
    return openOne(location, options, profile, where, bucket)
  })
  const forget = (target: Pick<Target, 'location' | 'bucket'>): void => {
    stores.delete(`${target.location} ${target.bucket}`)
    pool.forget(target)
  }
  const places: Places = {
    here,
    directories: where,
    target: (text) => {
      const target = parseTarget(text, here)
      check(target.location)
      return target
    },
    buckets: pool.of,
    addressed: (text) => {
      const target = text === undefined ? placeOf(here) : parseAddressed(text, here)
      if (target !== null) check(target.location)
      return target
    },
    addresses: (location) => {
      const opening = shelves.get(location) ?? openShelf(location, options, profile, where)
      shelves.set(location, opening)
      return opening
    },
    open: (target) => {
      const { location, bucket } = target
      const single = isSingle(schemeOf(location), target.key ?? '')
      const name = `${location} ${bucket}${single ? ' single' : ''}`
      const open = (): Promise<BlobStore> =>
        single
          ? openSingle(location, bucket, options, profile, where)
          : pool.for(target).then((place) => place.open(bucket))
      const opening = stores.get(name) ?? open()
      stores.set(name, opening)
      // A bucket that was missing may be made: ask again then.
      opening.catch(() => stores.delete(name))
      return opening
    },
    openLater: (target) =>
      lazily(
        () => places.open(target),
        () => forget(target),
      ),
    ...askServers({ options, profile, where, here, offices, check }),
    device: () => deviceOf(where.state, ids),
    [Symbol.asyncDispose]: async () => {
      const open = [...stores.values(), ...pool.opened(), ...shelves.values()]
      for (const office of offices) await office.close()
      for (const one of await Promise.allSettled(open)) if (one.status === 'fulfilled') await one.value.close()
    },
  }
  return places
}

interface Asking {
  readonly options: PlacesOptions
  readonly profile: Profile
  readonly where: Directories
  readonly here: Location
  /** To be closed with the places. */
  readonly offices: TokenOffice[]
  /** Throws when a token that was given by hand would go to a second server. */
  readonly check: (location: Location) => void
}

/** What is asked of servers about themselves and about tokens. */
function askServers(
  asking: Asking,
): Pick<Places, 'tokens' | 'givenToken' | 'credentials' | 'whoIs' | 'probe' | 'examine' | 'timeAt'> {
  const { options, profile, where, here, offices, check } = asking
  const { env, ids } = options
  const asked = credentialsOptions(options, profile, where)
  const ask = async (location: Location): Promise<Probe> => {
    const { probe } = await import('../store/http/probe.ts')
    return probe({ origin: location, ...(await wayTo(location, asked)), clock: options.clock })
  }
  return {
    tokens: async ({ server, data, make = false, token }) => {
      const local = data !== undefined || (server === undefined && Boolean(env['TOKEN_SECRET']))
      const location = local ? '' : server === undefined ? here : parseLocation(server, '--server')
      check(location)
      const { openLocalTokens, openServerTokens } = await import('./tokens.ts')
      const office =
        location === ''
          ? await openLocalTokens({
              env,
              data: resolve(data ?? (env['BLOBS_DATA'] || where.data)),
              make,
              clock: options.clock,
              ids,
            })
          : await openServerTokens({
              origin: location,
              ...(await findCredentials(location, asked)),
              ...(token === undefined ? {} : { token }),
            })
      offices.push(office)
      return office
    },
    givenToken: async () => (await givenToken(tokenSources(options)))?.token ?? null,
    credentials: async (location, bucket) => {
      check(location)
      return findCredentials(location, asked, bucket)
    },
    whoIs: async (location, token) => {
      const { openServerTokens } = await import('./tokens.ts')
      const trust = await wayTo(location, asked)
      const office = await openServerTokens({ origin: location, ...trust, token })
      return office.examine(token).finally(() => office.close())
    },
    probe: ask,
    examine: async (location) => {
      const { examinePlace } = await import('./open-place.ts')
      const place = placeOptions(options, where)
      return examinePlace(location, { clock: options.clock, ids, place, ...(await findCredentials(location, asked)) })
    },
    timeAt: async (location) => {
      const ahead = isServer(location) ? (await ask(location)).ahead : null
      // It tells whole seconds: less is no difference.
      return options.clock.now() + (ahead === null || Math.abs(ahead) < 1000 ? 0 : ahead)
    },
  }
}

interface Pool {
  of(location: Location): Promise<Buckets>
  /** The buckets of a target's location, as they are for its bucket. */
  for(target: Pick<Target, 'location' | 'bucket'>): Promise<Buckets>
  /** The next call opens what this target needs anew; what was opened is closed. */
  forget(target: Pick<Target, 'location' | 'bucket'>): void
  opened(): Iterable<Promise<Buckets>>
}

/** Opens each place once. */
function openPool(
  stateDirectory: string,
  open: (location: Location, bucket: string | undefined) => Promise<Buckets>,
): Pool {
  const opened = new Map<string, Promise<Buckets>>()
  const openAs = (name: string, location: Location, bucket?: string): Promise<Buckets> => {
    const known = opened.get(name)
    if (known) return known
    const opening = open(location, bucket)
    opened.set(name, opening)
    // A keychain that was locked may be open: ask again then.
    opening.catch(() => opened.delete(name))
    return opening
  }
  // A bucket that this machine joined has a token of its own.
  const isJoined = ({ location, bucket }: Pick<Target, 'location' | 'bucket'>): boolean =>
    location !== '' && knownServer(stateDirectory, location)?.joined?.includes(bucket) === true
  return {
    of: (location) => openAs(location, location),
    for: (target) => {
      const { location, bucket } = target
      return isJoined(target) ? openAs(joinedPlace(location, bucket), location, bucket) : openAs(location, location)
    },
    forget: (target) => {
      const name = isJoined(target) ? joinedPlace(target.location, target.bucket) : target.location
      const old = opened.get(name)
      opened.delete(name)
      old?.then((place) => place.close()).catch(() => undefined)
    },
    opened: () => opened.values(),
  }
}

function tokenSources(options: PlacesOptions): TokenSources {
  const { tokenFromStdin, tokenFile, env } = options
  return {
    env,
    ...(tokenFromStdin ? { fromStdin: tokenFromStdin } : {}),
    ...(tokenFile === undefined ? {} : { file: tokenFile }),
  }
}

function checkOneServer(location: Location, servers: Set<Location>, sources: TokenSources): void {
  const password = takesPassword(location) && Boolean(sources.env['BLOBS_PASSWORD'])
  if (!takesToken(location) || !(tokenIsGiven(sources) || password)) return
  servers.add(location.replace(/\?.*$/s, ''))
  if (servers.size < 2) return
  const secret = tokenIsGiven(sources) ? 'token' : 'password'
  throw new BlobsError('InvalidRequest', `one ${secret} cannot be sent to two servers: ${[...servers].join(', ')}`, {
    hint: 'run one command for each server',
  })
}

async function openSingle(
  location: Location,
  bucket: string,
  options: PlacesOptions,
  profile: Profile,
  where: Directories,
): Promise<BlobStore> {
  const { clock, ids, onRetry } = options
  const { openSingles } = await import('./open-place.ts')
  return openSingles(location, bucket, {
    clock,
    ids,
    ...(onRetry ? { onRetry } : {}),
    place: placeOptions(options, where),
    ...(await findCredentials(location, credentialsOptions(options, profile, where), bucket)),
  })
}

async function openOne(
  location: Location,
  options: PlacesOptions,
  profile: Profile,
  where: Directories,
  bucket: string | undefined,
): Promise<Buckets> {
  const { clock, ids, limitRate, onRetry } = options
  const limit = { ...(limitRate === undefined ? {} : { limitRate }), ...(onRetry ? { onRetry } : {}) }
  if (location === '') return openBuckets('', { data: where.data, clock, ids, ...limit })
  return openBuckets(location, {
    data: where.data,
    clock,
    ids,
    ...limit,
    place: placeOptions(options, where),
    ...(await findCredentials(location, credentialsOptions(options, profile, where), bucket)),
  })
}

async function openShelf(
  location: Location,
  options: PlacesOptions,
  profile: Profile,
  where: Directories,
): Promise<AddressStore> {
  const { clock, ids } = options
  const { openAddresses } = await import('./addressed-store.ts')
  const isOne = placeOf(location) !== null
  const found = isOne ? await findCredentials(location, credentialsOptions(options, profile, where)) : {}
  return openAddresses(location, { clock, ids, place: placeOptions(options, where), ...found })
}

function placeOptions(
  { env, singleWriter = saysSingleWriter(env), onWarning = () => undefined }: PlacesOptions,
  { cache: cacheDirectory, state: stateDirectory }: Directories,
): PlaceOptions {
  return { env, cacheDirectory, stateDirectory, singleWriter, warn: onWarning }
}

/** What `BLOBS_SINGLE_WRITER` says. */
export function saysSingleWriter({ BLOBS_SINGLE_WRITER: value = '' }: PlacesOptions['env']): boolean {
  return !/^(|0|false|no|off)$/i.test(value)
}

function credentialsOptions(
  options: PlacesOptions,
  profile: Profile,
  { state: stateDirectory }: Directories,
): CredentialsOptions {
  const { caCert } = options
  return { sources: tokenSources(options), profile, stateDirectory, ...(caCert === undefined ? {} : { caCert }) }
}

// On a read-only disk a command still works; only its device has no id of its own then.
function deviceOf(stateDirectory: string, ids: Ids): Device {
  try {
    return openDevice(stateDirectory, hostname(), ids)
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    return { id: ids.next(), name: shortName(hostname()) }
  }
}
