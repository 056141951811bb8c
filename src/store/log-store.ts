import type { ByteRange } from '../content/body.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import type { StoreDisk } from '../platform/store-disk.ts'
import { checkChunks, checkHashes, readBlob, readMany, readUncompared, refsOf } from './bodies.ts'
import { openKeeper, type Keep, type Keeper } from './checkpoint/keeper.ts'
import { epochOf, newestCheckpoint } from './checkpoint/newest.ts'
import type { PageSizes } from './checkpoint/tree.ts'
import { openCommitter, type Committer } from './commit.ts'
import { whenRestored } from './copies.ts'
import type { BlobStore, CommitOptions, GetOptions, Reached } from './contract/blob-store.ts'
import { BlobsError } from './contract/errors.ts'
import type { Inspection } from './contract/findings.ts'
import type {
  Blob,
  BucketInfo,
  BucketOptions,
  Collected,
  CollectOptions,
  EntryInput,
  ListOptions,
  Outcome,
  Scrubbed,
} from './contract/types.ts'
import { formatCursor } from './cursor.ts'
import { encodeEntry, type Entry } from './entry.ts'
import { openFollower, type Follower } from './follow.ts'
import { readChanges } from './history.ts'
import { collect } from './keep/collect.ts'
import { scrub } from './keep/scrub.ts'
import type { BackendPromises, BucketPorts, Checkpoint, Position } from './ports.ts'
import { openReach, type Reach } from './reach.ts'
import type { Query } from './view/list.ts'
import type { View } from './view/view.ts'
import { openWitness, type Witness } from './witness.ts'

const DEFAULT_LIMIT = 1000
const MAX_LIMIT = 10_000

export interface LogStoreOptions {
  readonly name: string
  /** Closed with the store. */
  readonly ports: BucketPorts
  /** Null: the view is kept in memory. */
  readonly viewDirectory: string | null
  readonly promises: BackendPromises
  readonly clock: Clock
  readonly ids: Ids
  /** Where the view is; this machine's unless given. */
  readonly disk?: StoreDisk
  /** Who writes entries that do not say. */
  readonly author?: string
  readonly device?: string
  /** Of the checkpoints that it writes. */
  readonly pageSizes?: PageSizes
}

/** A bucket's store as those see it who keep house. */
export interface LogStore extends BlobStore {
  configure(options: BucketOptions): Promise<BucketInfo>
  /** See `Buckets.collect`. */
  collect(options?: CollectOptions): Promise<Collected>
  /** See `Buckets.scrub`. */
  scrub(inspection: Inspection): Promise<Scrubbed>
}
/** Writes checkpoints, and trims the log behind them. */
export interface CheckpointingStore {
  /** Writes down what the bucket holds, so that who opens it anew need not read its log from the start. Throws `NotSupported` where the place cannot trim. */
  checkpoint(): Promise<Checkpoint>
  /**
   * Forgets the log's beginning, which a checkpoint covers: all but the last 100,000 positions or the last 30 days, whichever is more, unless
   * said otherwise. Versions and history stay. Gives the floor: cursors behind it are `CursorExpired`. Throws `NotSupported` as `checkpoint`.
   */
  trim(keep?: Keep): Promise<Position>
}
/** Tells beforehand what a commit would come to. */
export interface ForeseeingStore extends LogStore {
  /** Checks and throws as `commit`, and appends nothing; gives by its id the outcome of each entry that `commit` would not append. */
  foresee(entries: readonly EntryInput[], options?: CommitOptions): Promise<ReadonlyMap<string, Outcome>>
}

/**
 * Opens a bucket that is a log and content. An empty log becomes a new bucket. Any number of processes may have it open; what
 * each sees is decided by the log alone.
 */
export async function openLogStore(options: LogStoreOptions): Promise<ForeseeingStore & CheckpointingStore> {
  const { ports, clock, ids } = options
  try {
    const newest = await newestCheckpoint(ports)
    const epoch = (await epochOf(ports, newest)) ?? (await startLog(options, {}))
    const follower = await openFollower({ ...options, epoch, newest })
    const keeper = openKeeper({
      ports,
      follower,
      clock,
      last: newest?.summary.position ?? 0,
      pageSizes: options.pageSizes,
    })
    const writer = { author: options.author ?? '', device: options.device ?? '' }
    const { maxEntryBytes } = options.promises
    const reach = openReach({ follower, clock, mayLag: options.promises.mayLag === true })
    const witness = openWitness(ports.content)
    const appended = keeper.grew
    const committer = openCommitter({ ports, follower, witness, maxEntryBytes, writer, clock, ids, appended })
    return logStore(options, { follower, committer, keeper, witness, reach })
  } catch (error) {
    await Promise.all([ports.log.close(), ports.content.close()])
    throw error
  }
}

/** Appends the entry that makes an empty log a bucket; gives the id of the first entry, which another process may just have written. */
export async function startLog(
  { name, ports, clock, ids }: Pick<LogStoreOptions, 'name' | 'ports' | 'clock' | 'ids'>,
  options: BucketOptions,
): Promise<string> {
  const time = clock.now()
  const bucket = { name, created: new Date(time).toISOString(), options }
  const entry: Entry = { v: 1, id: ids.next(), time, author: '', device: '', changes: [], based: 0, bucket }
  await ports.log.append([{ id: entry.id, data: encodeEntry(entry) }])
  return (await epochOf(ports)) ?? entry.id
}

interface Parts {
  readonly follower: Follower
  readonly committer: Committer
  readonly keeper: Keeper
  readonly witness: Witness
  readonly reach: Reach
}

function logStore(
  { name, ports, clock, ids }: LogStoreOptions,
  { follower, committer, keeper, witness, reach }: Parts,
): ForeseeingStore & CheckpointingStore {
  const { log, content } = ports
  const closing = new AbortController()
  const opened = (one: Follower) => (): Follower => {
    if (!closing.signal.aborted) return one
    throw new BlobsError('InvalidRequest', `bucket ${name} was closed by this program`, { bucket: name })
  }
  const open = opened(follower)
  const reading = (one: Follower): ReturnType<typeof reads> =>
    reads({ name, content, closing: closing.signal }, opened(one), opened(whenRestored(one)))
  const newest = reading(follower)
  const known = reading({ ...follower, read: follower.peek })
  const ending = (signal: AbortSignal | undefined): AbortSignal =>
    signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal])
  return {
    ...newest,
    commit: async (entries, options = {}) => (open(), committer.commit(entries, options)),
    foresee: async (entries, options = {}) => (open(), committer.foresee(entries, options)),
    missing: async (hashes) => {
      open()
      checkHashes(hashes)
      return content.missing(hashes)
    },
    stage: async (chunks, { passages = [], verify = false } = {}) => {
      open()
      checkChunks(chunks)
      const stored = content.put(chunks)
      const passing = verify ? passages.map((passage) => witness.pass(passage, chunks, stored)) : []
      await Promise.allSettled([stored, ...passing])
      await stored
    },
    reach: async (options) => {
      open()
      return { known, ...(await reach(options)) }
    },
    configure: async (options) => {
      open()
      await committer.configure(name, options)
      return newest.info()
    },
    checkpoint: async () => {
      await open().read(() => undefined)
      return keeper.write()
    },
    trim: async (keep) => (open(), keeper.trim(keep)),
    collect: async (options = {}) =>
      collect(
        { ports, follower: open(), committer, keeper, clock, ids },
        { ...options, signal: ending(options.signal) },
      ),
    scrub: async (inspection) => scrub({ name, ports, follower: open(), inspection }),
    close: async () => {
      if (closing.signal.aborted) return
      closing.abort()
      await committer.settled()
      await keeper.close()
      follower.close()
      await Promise.all([log.close(), content.close()])
    },
  }
}

/** All that reads, from what `anyTime` and `open` give, which throw once the store is closed. */
function reads(
  { name, content, closing }: Pick<LogStoreOptions, 'name'> & Pick<BucketPorts, 'content'> & { closing: AbortSignal },
  anyTime: () => Follower,
  open: () => Follower,
): Reached['known'] {
  return {
    info: async () => anyTime().read((view) => bucketInfo(name, view)),
    head: async (key, { version } = {}) => open().read((view) => view.find(key, version)),
    get: async (key, options = {}) => {
      const found = await open().read((view) => view.findBlob(key, options.version))
      if (found === null) return null
      const range = rangeOf(key, found.info.size, options)
      const read = options.readerCompares === true ? readUncompared : readBlob
      return { info: found.info, range, stream: read(content, found, range) } satisfies Blob
    },
    list: async (options = {}) => open().read(listing(options)),
    changes: async function* (options) {
      yield* readChanges(open(), options, closing)
    },
    fetch: async function* (wants) {
      await open().read(() => undefined)
      yield* readMany(content, wants, (some) => open().peek((view) => view.findBlobs(some)))
    },
    chunksOf: async (key, version) => {
      const found = await open().read((view) => view.findBlob(key, version))
      return found === null ? null : refsOf(content, found)
    },
  }
}

function bucketInfo(name: string, view: View): BucketInfo {
  const state = view.state()
  const { epoch, created, options, blobs, bytes } = state
  return {
    name,
    epoch,
    head: formatCursor(state),
    created,
    blobs,
    bytes,
    options: JSON.parse(options) as BucketOptions,
  }
}

function listing({
  prefix = '',
  limit = DEFAULT_LIMIT,
  at,
  ...rest
}: ListOptions): (view: View) => ReturnType<View['list']> {
  const wrong = [prefix, rest.after ?? ''].find((text) => !text.isWellFormed())
  if (wrong !== undefined) throw new BlobsError('InvalidRequest', `${JSON.stringify(wrong)} is not valid Unicode`)
  if (!Number.isSafeInteger(limit) || limit < 1)
    throw new BlobsError('InvalidRequest', `limit is ${limit}, not a number of items`)
  const time = at === undefined ? undefined : Date.parse(at)
  if (Number.isNaN(time))
    throw new BlobsError('InvalidRequest', `${JSON.stringify(at)} is not a time as 2026-01-31T12:00:00Z`)
  const query: Query = {
    ...rest,
    prefix,
    limit: Math.min(limit, MAX_LIMIT),
    ...(time === undefined ? {} : { at: time }),
  }
  return (view) => view.list(query)
}

function rangeOf(key: string, size: number, { range }: GetOptions): ByteRange {
  if (range === undefined) return [0, size - 1]
  const first = range[0] < 0 ? Math.max(0, size + range[0]) : range[0]
  const last = Math.min(range[1], size - 1)
  if (size === 0 && first === 0) return [0, -1]
  if (Number.isSafeInteger(first) && Number.isSafeInteger(last) && first <= last) return [first, last]
  throw new BlobsError(
    'InvalidRequest',
    `${key} has ${size} bytes: the range ${range[0]} to ${range[1]} holds none of them`,
    { key },
  )
}
