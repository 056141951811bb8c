import { hostname } from 'node:os'
import { openDevice, shortName, type Device } from '../platform/device.ts'
import type { Directories } from '../platform/directories.ts'
import type { Ids } from '../platform/ports.ts'
import type { AddressStore } from '../store/contract/addresses.ts'
import type { Buckets, BlobStore } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { lazily } from '../store/lazy.ts'
import { parseAddressed, placeOf, type AddressTarget } from './addressed.ts'
import { askServers, type Questions } from './asking.ts'
import { isSingle } from './drivers.ts'
import { openOne, openShelf, openSingle } from './opening.ts'
import { joinedPlace, knownServer } from './servers.ts'
import { settingOf, tokenSources, type PlacesOptions } from './setting.ts'
import {
  parseLocation,
  parseTarget,
  schemeOf,
  takesPassword,
  takesToken,
  type Location,
  type Target,
} from './target.ts'
import { tokenIsGiven, type TokenSources } from './token.ts'
import type { TokenOffice } from './tokens.ts'

/** The places that one command has to do with; each is opened once, when it is needed. */
export interface Places extends Questions, AsyncDisposable {
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
  /** The bucket of a target. Throws `NotFound` with the near names and, where that is the way, the command that makes it. */
  open(target: Pick<Target, 'location' | 'bucket'> & Partial<Pick<Target, 'key'>>): Promise<BlobStore>
  /** The same, opened by the first call that needs it: for those who can do without it for a while. */
  openLater(target: Pick<Target, 'location' | 'bucket'>): BlobStore
  /** This machine, as the history shows it. */
  device(): Device
}

/** Reads configuration only; nothing is opened. Throws `InvalidRequest` for what is wrong in it. */
export function openPlaces(options: PlacesOptions): Places {
  const { env, ids } = options
  const setting = settingOf(options)
  const { profile, where } = setting
  const here = env['BLOBS_SERVER'] ? parseLocation(env['BLOBS_SERVER'], 'BLOBS_SERVER') : profile.server
  const servers = new Set<Location>()
  const stores = new Map<string, Promise<BlobStore>>()
  const offices: TokenOffice[] = []
  const shelves = new Map<Location, Promise<AddressStore>>()

  const check = (location: Location): void => checkOneServer(location, servers, tokenSources(options))
  const pool = openPool(where.state, (location, bucket) => {
    check(location)
    return openOne(location, setting, bucket)
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
      const opening = shelves.get(location) ?? openShelf(location, setting)
      shelves.set(location, opening)
      return opening
    },
    open: (target) => {
      const { location, bucket } = target
      const single = isSingle(schemeOf(location), target.key ?? '')
      const name = `${location} ${bucket}${single ? ' single' : ''}`
      const open = (): Promise<BlobStore> =>
        single ? openSingle(location, bucket, setting) : pool.for(target).then((place) => place.open(bucket))
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
    ...askServers({ setting, here, offices, check }),
    device: () => deviceOf(where.state, ids),
    [Symbol.asyncDispose]: async () => {
      const open = [...stores.values(), ...pool.opened(), ...shelves.values()]
      for (const office of offices) await office.close()
      for (const one of await Promise.allSettled(open)) if (one.status === 'fulfilled') await one.value.close()
    },
  }
  return places
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

// On a read-only disk a command still works; only its device has no id of its own then.
function deviceOf(stateDirectory: string, ids: Ids): Device {
  try {
    return openDevice(stateDirectory, hostname(), ids)
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    return { id: ids.next(), name: shortName(hostname()) }
  }
}
