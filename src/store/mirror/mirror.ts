import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Clock, Ids } from '../../platform/ports.ts'
import type { StoreDisk } from '../../platform/store-disk.ts'
import { checkOptions } from '../accept.ts'
import type { Buckets } from '../contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../contract/errors.ts'
import { checkBucketName, SYSTEM_BUCKET } from '../contract/keys.ts'
import type { BucketInfo, BucketOptions } from '../contract/types.ts'
import { missingBucket, openBuckets } from '../buckets.ts'
import { handle } from '../handle.ts'
import type { LogStore } from '../log-store.ts'
import { openStores } from '../open-stores.ts'
import type { Backend } from '../ports.ts'
import { openMirrorBucket } from './bucket.ts'
import type { Foreign, ForeignName } from './foreign.ts'
import { lookThere } from './standing.ts'

export interface MirrorOptions {
  /** Closed with the mirror. */
  readonly foreign: Foreign
  /** A bucket as a command names it, and the place for ''. */
  readonly show: (name: string) => string
  /** For what stays: versions and history are this machine's own. Absolute; made when missing. */
  readonly stateDirectory: string
  /** Opens a place for one shadow in a directory. */
  readonly openShadow: (directory: string) => Promise<Backend>
  /** The user says that nobody else writes there. */
  readonly singleWriter: boolean
  readonly clock: Clock
  readonly ids: Ids
  readonly disk: StoreDisk
  readonly warn: (message: string) => void
}

/**
 * Buckets in a place that holds plain current bytes by name: each has a shadow on this machine, with versions, history and everything else, which is
 * kept in step with what is there. Where several writers cannot be kept apart, writing throws `Refused` unless the user is the only one.
 */
export function openMirror(options: MirrorOptions): Buckets {
  const { foreign } = options
  const warn = warnOnce(options.warn)
  const refusal = refusalOf(options)
  const stores = openStores(async (name) => openOne(options, await find(options, name), refusal, warn))
  const using = async <T>(name: string, act: (store: LogStore) => Promise<T>): Promise<T> => {
    const { store, release } = await stores.take(name)
    try {
      return await act(store)
    } finally {
      await release()
    }
  }
  const own = openOwn(options)
  return {
    create: async (name, wanted = {}) => {
      if (name === SYSTEM_BUCKET) return (await own.buckets()).create(name, wanted)
      checkBucketName(name)
      checkOptions(wanted)
      refuseCopies(wanted)
      if (!(await foreign.create(name)))
        throw new BlobsError('AlreadyExists', `there is a bucket ${name} already`, { bucket: name })
      return using(name, async (store) => (Object.keys(wanted).length > 0 ? store.configure(wanted) : store.info()))
    },
    list: async function* () {
      const found = await usable(foreign, warn)
      for (const bucket of found) yield* summary(options, bucket)
    },
    remove: async (name) => {
      const bucket = await find(options, checkBucketName(name))
      stores.forget(name)
      if (!(await foreign.remove(name))) throw await notFound(options, name)
      const backend = await options.openShadow(join(directoryOf(options, bucket), 'store'))
      await backend.remove(name).finally(() => backend.close())
    },
    configure: (name, wanted) =>
      using(checkBucketName(name), (store) => {
        refuseCopies(wanted)
        return store.configure(wanted)
      }),
    collect: (name, options) => using(checkBucketName(name), (store) => store.collect(options)),
    open: async (name) => {
      if (name === SYSTEM_BUCKET) return (await own.buckets()).open(name)
      const { store, release } = await stores.take(checkBucketName(name))
      let closed: Promise<void> | null = null
      return handle(store, () => (closed ??= release()))
    },
    close: async () => {
      await stores.close()
      await own.close()
      await foreign.close()
    },
  }
}

/** What a server that serves the mirror must know of tokens is nothing for the place: it stays on this machine. */
function openOwn({ openShadow, stateDirectory, clock, ids, disk }: MirrorOptions): OwnBuckets {
  let opened: Promise<Buckets> | null = null
  const open = async (): Promise<Buckets> => {
    disk.makeFolder(stateDirectory)
    return openBuckets({ backend: await openShadow(join(stateDirectory, 'own')), clock, ids })
  }
  return { buckets: () => (opened ??= open()), close: async () => (await opened)?.close() }
}
interface OwnBuckets {
  buckets(): Promise<Buckets>
  close(): Promise<void>
}

function openOne(
  options: MirrorOptions,
  bucket: ForeignName,
  refusal: BlobsError | null,
  warn: (about: string, message: string) => void,
): Promise<LogStore> {
  const { foreign, openShadow, clock, ids, disk } = options
  const directory = directoryOf(options, bucket)
  disk.makeFolder(directory)
  return openMirrorBucket({
    name: bucket.name,
    foreign: foreign.open(bucket),
    promises: foreign.promises,
    directory,
    openShadow,
    refusal,
    clock,
    ids,
    disk,
    warn: (about, message) => warn(`${bucket.name} ${about}`, message),
  })
}

/** Of the shadow what is never there: the rest is counted there, so that a list of buckets reads no blob. */
async function* summary(options: MirrorOptions, bucket: ForeignName): AsyncGenerator<BucketInfo, void> {
  const { foreign, clock, ids, openShadow } = options
  const { openLogStore } = await import('../log-store.ts')
  const there = foreign.open(bucket)
  const directory = directoryOf(options, bucket)
  options.disk.makeFolder(directory)
  const backend = await openShadow(join(directory, 'store'))
  try {
    const items = await lookThere({ foreign: there, warn: () => undefined })
    await backend.create(bucket.name)
    const ports = await backend.open(bucket.name)
    if (ports === null) return
    const { promises, viewDirectory } = backend
    const shadow = await openLogStore({ name: bucket.name, ports, viewDirectory, promises, clock, ids })
    const info = await shadow.info().finally(() => shadow.close())
    const bytes = [...items.values()].reduce((sum, [item]) => sum + (item?.size ?? 0), 0)
    yield { ...info, blobs: items.size, bytes }
  } catch (error) {
    if (!isBlobsError(error, 'NotFound')) throw error
  } finally {
    await there.close()
    await backend.close()
  }
}

function directoryOf({ stateDirectory }: MirrorOptions, { name, id }: ForeignName): string {
  return join(stateDirectory, createHash('sha256').update(`${name} ${id}`).digest('hex').slice(0, 32))
}

async function find(options: MirrorOptions, name: string): Promise<ForeignName> {
  const found = (await options.foreign.buckets()).find((bucket) => bucket.name === name)
  if (found === undefined) throw await notFound(options, name)
  return found
}

/** Sorted; those whose names no bucket can have are left out, and told. */
async function usable(
  foreign: Foreign,
  warn: (about: string, message: string) => void,
): Promise<readonly ForeignName[]> {
  const found = (await foreign.buckets()).filter(({ name }) => {
    const problem = problemOf(name)
    if (problem !== null) warn(`bucket ${name}`, `${problem}: it is left out`)
    return problem === null
  })
  return found.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function problemOf(name: string): string | null {
  try {
    checkBucketName(name)
    return null
  } catch (error) {
    if (isBlobsError(error)) return error.message
    throw error
  }
}

async function notFound({ foreign, show }: MirrorOptions, name: string): Promise<BlobsError> {
  return missingBucket(
    (await foreign.buckets()).map((bucket) => bucket.name),
    name,
    show,
  )
}

function refusalOf({ foreign: { promises }, show, singleWriter }: MirrorOptions): BlobsError | null {
  const reason = promises.cannot['several writers']
  if (reason === undefined || singleWriter) return null
  return new BlobsError('Refused', `${show('')} is not written to: it cannot keep several writers apart (${reason})`, {
    hint: 'if nobody else writes there while you do, say so: --single-writer, or ?single-writer=yes in the URL',
  })
}

function warnOnce(warn: (message: string) => void): (about: string, message: string) => void {
  const told = new Set<string>()
  return (about, message) => {
    if (told.has(about)) return
    told.add(about)
    warn(message)
  }
}

/** There every version would be of today, and be numbered anew. */
function refuseCopies({ copyOf }: BucketOptions): void {
  if (copyOf === undefined) return
  throw new BlobsError(
    'NotSupported',
    'this kind of place keeps no history: a backup cannot be there, nor be restored',
    {
      hint: 'name a server, an S3 bucket, a shared folder, NATS, or a bucket of this machine',
    },
  )
}
