import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadDriver } from '../../../src/locations/drivers.ts'
import { openBuckets as openLocation } from '../../../src/locations/open.ts'
import { splitPlace } from '../../../src/locations/target.ts'
import { systemClock as clock, systemIds as ids } from '../../../src/platform/system.ts'
import type { Buckets } from '../../../src/store/contract/blob-store.ts'
import type { Backend, BackendContext, BackendDriver } from '../../../src/store/ports.ts'
import type { Service } from './service.ts'

/** The driver of a scheme whose places hold our logs. */
export async function backendDriver(scheme: string): Promise<BackendDriver> {
  const driver = await loadDriver(scheme)
  if (driver !== null && 'open' in driver) return driver
  throw new Error(`no driver opens ${scheme}:// as a backend`)
}

/** The bare backend at a URL, with directories of its own: as another machine opens it. */
export async function openPlaceOf(url: string, { env = {} }: Pick<Service, 'env'>): Promise<Backend> {
  const address = splitPlace(url)
  const driver = await backendDriver(address.scheme)
  return driver.open(address, contextOf({ env, token: async () => env['BLOBS_TOKEN'] ?? null }))
}

/** What a driver is given on a machine of its own. */
export function contextOf(more: Partial<BackendContext> = {}): BackendContext {
  const home = mkdtempSync(join(tmpdir(), 'blobs-machine-'))
  return {
    clock,
    ids,
    env: {},
    token: async () => null,
    proxyFor: () => null,
    cacheDirectory: join(home, 'cache'),
    stateDirectory: join(home, 'state'),
    singleWriter: false,
    warn: () => undefined,
    ...more,
  }
}

/** The buckets at a URL as the command line has them; `home` keeps what stays on the machine. */
export async function bucketsAt(
  url: string,
  { env = {} }: Pick<Service, 'env'>,
  home = mkdtempSync(join(tmpdir(), 'blobs-machine-')),
): Promise<Buckets> {
  return openLocation(url, {
    data: join(home, 'data'),
    clock,
    ids,
    ...(env['BLOBS_TOKEN'] === undefined ? {} : { token: env['BLOBS_TOKEN'] }),
    place: {
      env,
      cacheDirectory: join(home, 'cache'),
      stateDirectory: join(home, 'state'),
      singleWriter: false,
      warn: () => undefined,
    },
  })
}
