import type { AddressDriver, Driver } from '../store/ports.ts'

/** One line for each scheme; a driver is loaded when a place of its scheme is opened. */
const DRIVERS: Readonly<Record<string, () => Promise<Driver>>> = {
  'changelog+http': async () => (await import('../backends/changelog/driver.ts')).changelog,
  'changelog+https': async () => (await import('../backends/changelog/driver.ts')).changelog,
  'containers+http': async () => (await import('../backends/containers/driver.ts')).containers,
  'containers+https': async () => (await import('../backends/containers/driver.ts')).containers,
  folder: async () => (await import('../backends/folder/driver.ts')).folder,
  s3: async () => (await import('../backends/s3/driver.ts')).s3,
  's3+mps3': async () => (await import('../backends/s3/mps3/driver.ts')).mps3,
  'socketio+http': async () => (await import('../backends/socketio/driver.ts')).socketio,
  'socketio+https': async () => (await import('../backends/socketio/driver.ts')).socketio,
  nats: async () => (await import('../backends/nats/driver.ts')).nats,
}

/** The schemes that drivers open. */
export const SCHEMES: ReadonlySet<string> = new Set(Object.keys(DRIVERS))

/** What begins the keys of what is no blob of ours there. */
const SINGLES: Readonly<Record<string, string>> = { 'socketio+http': 'ref:', 'socketio+https': 'ref:' }

/** True for a key of what a place of this scheme holds besides buckets of ours. */
export function isSingle(scheme: string, key: string): boolean {
  const prefix = SINGLES[scheme]
  return prefix !== undefined && key.startsWith(prefix)
}

/** Null if no driver opens it. */
export async function loadDriver(scheme: string): Promise<Driver | null> {
  return (await DRIVERS[scheme]?.()) ?? null
}

/** The same for places that hold bytes by their address, and no buckets. */
const ADDRESS_DRIVERS: Readonly<Record<string, () => Promise<AddressDriver>>> = {
  'folder+cas': async () => (await import('../backends/folder/addresses.ts')).folderAddresses,
  'nats+obj': async () => (await import('../backends/nats/addresses.ts')).natsAddresses,
}

export const ADDRESS_SCHEMES: ReadonlySet<string> = new Set(Object.keys(ADDRESS_DRIVERS))

/** Null if no driver opens it. */
export async function loadAddressDriver(scheme: string): Promise<AddressDriver | null> {
  return (await ADDRESS_DRIVERS[scheme]?.()) ?? null
}
