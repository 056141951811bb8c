import type { Clock, Ids } from '../platform/ports.ts'
import type { StoreDisk } from '../platform/store-disk.ts'
import { checkOptions } from './accept.ts'
import { epochOf } from './checkpoint/newest.ts'
import type { Buckets } from './contract/blob-store.ts'
import { BlobsError, isBlobsError } from './contract/errors.ts'
import { checkHeldName, SYSTEM_BUCKET } from './contract/keys.ts'
import { openLogStore, startLog, type LogStore } from './log-store.ts'
import { handle } from './handle.ts'
import { nearNames } from './near-names.ts'
import { openStores } from './open-stores.ts'
import type { Backend, BucketPorts } from './ports.ts'
import { removeView, viewPath } from './view/view.ts'

export interface BucketsOptions {
  /** Closed with the buckets. */
  readonly backend: Backend
  readonly clock: Clock
  readonly ids: Ids
  /** Where the backend's views are; this machine's unless given. */
  readonly disk?: StoreDisk
  /** Short name of this device, for entries that do not name one. */
  readonly device?: string
  /** A bucket as a command names it; its name alone unless given. */
  readonly show?: (name: string) => string
}

/** The buckets of a backend. A bucket that is open is opened once, however many callers use it. */
export function openBuckets({ backend, clock, ids, disk, device, show = (name) => name }: BucketsOptions): Buckets {
  const notFound = async (name: string): Promise<BlobsError> => missingBucket(await publicNames(backend), name, show)
  const portsOf = async (name: string): Promise<BucketPorts> => {
    const ports = await backend.open(name)
    if (ports === null) throw await notFound(name)
    return ports
  }
  const stores = openStores(async (name) => {
    const ports = await portsOf(name)
    const { promises, viewDirectory } = backend
    return openLogStore({
      name,
      ports,
      viewDirectory,
      promises,
      clock,
      ids,
      ...(disk === undefined ? {} : { disk }),
      ...(device === undefined ? {} : { device }),
    })
  })
  const using = async <T>(name: string, act: (store: LogStore) => Promise<T>): Promise<T> => {
    const { store, release } = await stores.take(name)
    try {
      return await act(store)
    } finally {
      await release()
    }
  }
  return {
    create: async (name, options = {}) => {
      checkHeldName(name)
      checkOptions(options)
      if (!(await backend.create(name)))
        throw new BlobsError('AlreadyExists', `there is a bucket ${name} already`, { bucket: name })
      const ports = await portsOf(name)
      try {
        await startLog({ name, ports, clock, ids }, options)
      } finally {
        await Promise.all([ports.log.close(), ports.content.close()])
      }
      return using(name, (store) => store.info())
    },
    list: async function* () {
      for (const name of await publicNames(backend)) {
        const info = await using(name, (store) => store.info()).catch(unlessGone)
        if (info !== null) yield info
      }
    },
    remove: async (name) => {
      const ports = await portsOf(name)
      const epoch = await epochOf(ports)
      await Promise.all([ports.log.close(), ports.content.close()])
      // Those who have it open learn it from the log.
      stores.forget(name)
      if (!(await backend.remove(name))) throw await notFound(name)
      if (backend.viewDirectory !== null && epoch !== null) removeView(viewPath(backend.viewDirectory, epoch), disk)
    },
    configure: (name, options) => using(name, (store) => store.configure(options)),
    collect: (name, options) => using(name, (store) => store.collect(options)),
    scrub: (name, inspection) => using(name, (store) => store.scrub(inspection)),
    open: async (name) => {
      const { store, release } = await stores.take(checkHeldName(name))
      let closed: Promise<void> | null = null
      return handle(store, () => (closed ??= release()))
    },
    close: async () => {
      await stores.close()
      await backend.close()
    },
  }
}

async function publicNames(backend: Backend): Promise<readonly string[]> {
  return (await backend.names()).filter((name) => name !== SYSTEM_BUCKET)
}

/** `names` are those there are; `show` writes one as a command names it, and the place for ''. */
export function missingBucket(names: readonly string[], name: string, show: (name: string) => string): BlobsError {
  const near = nearNames(name, names)
  const place = show('')
  const hint =
    near.length > 0
      ? `did you mean ${near.map(show).join(' or ')}? A new one is made by: blobs bucket create ${show(name)}`
      : `make it: blobs bucket create ${show(name)} · see those there are: blobs ls${place === '' ? '' : ` ${place}`}`
  return new BlobsError('NotFound', `there is no bucket ${name}`, { bucket: name, hint })
}

function unlessGone(error: unknown): null {
  if (isBlobsError(error, 'NotFound')) return null
  throw error
}
