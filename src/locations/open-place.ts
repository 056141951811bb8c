import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Clock, Ids } from '../platform/ports.ts'
import type { BlobStore, Buckets } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type {
  Backend,
  BackendContext,
  BackendDriver,
  Driver,
  ForeignDriver,
  PlaceAddress,
  PlaceFinding,
  PlacePromises,
} from '../store/ports.ts'
import { ADDRESS_SCHEMES, loadDriver } from './drivers.ts'
import { openPatiently, type Patience, withPatience } from './patience.ts'
import { proxyFor } from './proxy.ts'
import { noBuckets, showPlace, showTarget, splitPlace, type Location } from './target.ts'

/** What a driver may need of this machine and its user. */
export interface PlaceOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Of this program; each place gets one of its own in it. */
  readonly cacheDirectory: string
  /** Of this program; each place gets one of its own in it. */
  readonly stateDirectory: string
  /** The user says that nobody else writes there. */
  readonly singleWriter: boolean
  readonly warn: (message: string) => void
}

const SINGLE_WRITER = 'single-writer'

export interface OpenPlaceOptions extends Patience {
  readonly clock: Clock
  readonly ids: Ids
  readonly token?: string
  readonly ca?: string
  readonly place?: PlaceOptions
  /** False: what the place cannot do for the moment is told at once, for whoever asked to try again. */
  readonly patient?: boolean
}

/** Opens a place by the driver of its scheme. What it cannot do for the moment is tried again for some seconds. Throws as `Driver.open`. */
export async function openPlace(location: Location, options: OpenPlaceOptions): Promise<Buckets> {
  const { driver, address, context } = await driverOf(location, options)
  const show = (bucket: string): string => (bucket === '' ? showPlace(location) : showTarget({ location, bucket }))
  const buckets =
    'openForeign' in driver
      ? await openMirrored(driver, address, context, show)
      : await openLogged(driver, address, context, show)
  return options.patient === false ? buckets : withPatience(buckets, options)
}

/** Opens what a bucket of a place holds besides what is ours (`isSingle`). Throws as `Driver.openSingles`. */
export async function openSingles(location: Location, bucket: string, options: OpenPlaceOptions): Promise<BlobStore> {
  const { driver, address, context } = await driverOf(location, options)
  if (!('openSingles' in driver) || driver.openSingles === undefined) {
    throw new BlobsError('NotSupported', `${location} holds nothing but buckets`)
  }
  const open = driver.openSingles
  return openPatiently(() => open(address, context, bucket), options)
}

type Show = (bucket: string) => string

async function openLogged(
  driver: BackendDriver,
  address: PlaceAddress,
  context: BackendContext,
  show: Show,
): Promise<Buckets> {
  const { clock, ids } = context
  const [backend, { openBuckets }] = await Promise.all([driver.open(address, context), import('../store/buckets.ts')])
  return openBuckets({ backend, clock, ids, show })
}

/** Versions and history of such a place are in a store of this machine. */
async function openMirrored(
  driver: ForeignDriver,
  address: PlaceAddress,
  context: BackendContext,
  show: Show,
): Promise<Buckets> {
  const { clock, ids, singleWriter, stateDirectory, warn } = context
  const [foreign, { openMirror }, { openLocal }, { systemStoreDisk: disk }] = await Promise.all([
    driver.openForeign(address, context),
    import('../store/mirror/mirror.ts'),
    import('../backends/local/local.ts'),
    import('../platform/store-disk.ts'),
  ])
  const openShadow = (directory: string): Promise<Backend> => openLocal({ directory, clock, trust: 'quick' })
  return openMirror({ foreign, show, stateDirectory, openShadow, singleWriter, clock, ids, disk, warn })
}

/** What a driver says of a place. */
export interface Examined {
  readonly promises: PlacePromises
  readonly findings: AsyncIterable<PlaceFinding>
}

/** Throws as `Driver.open`; so do the findings, when they are asked for. */
export async function examinePlace(location: Location, options: OpenPlaceOptions): Promise<Examined> {
  const { driver, address, context } = await driverOf(location, options)
  return { promises: driver.promises, findings: driver.examine?.(address, context) ?? nothing() }
}

async function* nothing(): AsyncGenerator<PlaceFinding> {}

/** The driver of a place, and what it is given. */
async function driverOf(
  location: Location,
  options: OpenPlaceOptions,
): Promise<{ readonly driver: Driver; readonly address: PlaceAddress; readonly context: BackendContext }> {
  const address = splitPlace(takeSingleWriter(location).place)
  const driver = await loadDriver(address.scheme)
  const { place } = options
  if (ADDRESS_SCHEMES.has(address.scheme)) throw noBuckets(location)
  if (driver === null || place === undefined) {
    throw new BlobsError('NotSupported', `${location} cannot be opened here`, {
      hint: 'name a bucket of a server, or of this machine',
    })
  }
  return { driver, address, context: contextOf(location, { ...options, place }) }
}

/** What the driver of a place is given. */
export function contextOf(
  location: Location,
  { clock, ids, token, ca, place }: OpenPlaceOptions & { readonly place: PlaceOptions },
): BackendContext {
  const { place: plain, singleWriter } = takeSingleWriter(location)
  const name = createHash('sha256').update(plain).digest('hex').slice(0, 32)
  return {
    clock,
    ids,
    env: place.env,
    token: async () => token ?? null,
    ...(ca === undefined ? {} : { ca }),
    proxyFor: (url) => proxyFor(url, place.env),
    cacheDirectory: join(place.cacheDirectory, 'places', name),
    stateDirectory: join(place.stateDirectory, 'places', name),
    singleWriter: place.singleWriter || singleWriter,
    warn: place.warn,
  }
}

/** The option `single-writer`, which every place takes, and the place without it: who writes there makes no other place of it. */
function takeSingleWriter(location: Location): { readonly place: Location; readonly singleWriter: boolean } {
  const [base = '', query] = location.split('?')
  const options = new URLSearchParams(query)
  const given = options.get(SINGLE_WRITER)
  if (given === null) return { place: location, singleWriter: false }
  if (given !== '' && given !== 'yes') {
    throw new BlobsError('InvalidRequest', `${location}: the option ${SINGLE_WRITER} is yes, or left out`, {
      hint: `write ?${SINGLE_WRITER}=yes`,
    })
  }
  options.delete(SINGLE_WRITER)
  return { place: options.size === 0 ? base : `${base}?${options}`, singleWriter: true }
}
