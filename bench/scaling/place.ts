import { mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { contextOf } from '../../src/locations/open-place.ts'
import { loadDriver } from '../../src/locations/drivers.ts'
import { splitPlace, type Location } from '../../src/locations/target.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import type { Backend, BucketPorts } from '../../src/store/ports.ts'

/** The ports of a place, as a server that has `cache` as its cache directory opens them. */
export async function openBackend(url: Location, cache: string): Promise<Backend> {
  const location = url
  const driver = await loadDriver(splitPlace(location).scheme)
  if (driver === null || !('open' in driver)) throw new Error(`no driver opens ${url}`)
  mkdirSync(cache, { recursive: true })
  const place = {
    env: {},
    cacheDirectory: join(cache, 'blobs'),
    stateDirectory: mkdtempSync(join(cache, 'state-')),
    singleWriter: false,
    warn: () => undefined,
  }
  return driver.open(splitPlace(location), contextOf(location, { clock, ids, place }))
}

export async function portsOf(backend: Backend, bucket: string): Promise<BucketPorts> {
  const ports = await backend.open(bucket)
  if (ports === null) throw new Error(`there is no bucket ${bucket}`)
  return ports
}

/** A bucket with its view, as a server has it. */
export async function openStore(backend: Backend, name: string): ReturnType<typeof openLogStore> {
  const { promises, viewDirectory } = backend
  return openLogStore({ name, ports: await portsOf(backend, name), viewDirectory, promises, clock, ids })
}
