import { openPlaces } from './locations/places.ts'
import { showTarget } from './locations/target.ts'
import { systemClock, systemIds } from './platform/system.ts'
import type { BlobStore, ChangesOptions, GetOptions } from './store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from './store/contract/errors.ts'
import { listPages } from './store/contract/pages.ts'
import type { BlobInfo, BucketInfo, Expectation, FeedItem, ListOptions, Meta } from './store/contract/types.ts'
import { stageStream } from './store/contract/upload.ts'
import { commitEach } from './transfer/commit.ts'
import { openTransfer } from './transfer/context.ts'
import { contentTypeOf } from './transfer/media-types.ts'
import { restoreVersion } from './transfer/restore.ts'

export { BlobsError, isBlobsError } from './store/contract/errors.ts'
export type { ErrorCode } from './store/contract/errors.ts'
export type { BlobStore, ChangesOptions, GetOptions } from './store/contract/blob-store.ts'
export type { BlobInfo, BucketInfo, Cursor, FeedItem, ListOptions, Meta } from './store/contract/types.ts'

export interface OpenOptions {
  /** Token for the server; else `BLOBS_TOKEN` or `BLOBS_TOKEN_FILE` of `env`, or what the profile names. */
  readonly token?: string
  /** Profile of the configuration that says where bare names are. */
  readonly profile?: string
  /** PEM file of an authority to trust besides the usual. */
  readonly caCert?: string
  /** Bytes a second, each way. */
  readonly limitRate?: number
  /** Makes the bucket when it is missing. */
  readonly create?: boolean
  /** Told before a server is asked again, in so many milliseconds. */
  readonly onRetry?: (error: BlobsError, pause: number) => void
  /** Where configuration is read from, as for the command line; that of the process unless given. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** What a put takes: text, bytes, or a stream of any length. */
export type Content = string | Uint8Array | AsyncIterable<Uint8Array>

export interface PutOptions {
  /** Only over this version; else it is a `VersionConflict`. */
  readonly ifVersion?: number
  /** Only if there is no such blob. */
  readonly ifAbsent?: boolean
  /** By the key's extension unless given. */
  readonly contentType?: string
  readonly meta?: Meta
}

/** The bytes of a blob, verified as they pass. To be read once, by one of the three. */
export interface BlobContent {
  readonly info: BlobInfo
  /** Throws `Corrupt` before a wrong byte is handed out. */
  readonly stream: AsyncIterable<Uint8Array>
  bytes(): Promise<Uint8Array>
  /** As UTF-8. */
  text(): Promise<string>
}

/** A bucket. Methods may be called concurrently; every failure of its place is a `BlobsError`. */
export interface Bucket extends AsyncDisposable {
  readonly name: string
  info(): Promise<BucketInfo>
  /** Makes a new version; durable when it resolves. Throws `VersionConflict` when what was expected does not hold. */
  put(key: string, content: Content, options?: PutOptions): Promise<BlobInfo>
  /** Null: there is no such blob, or no such version. */
  get(key: string, options?: Pick<GetOptions, 'version' | 'range'>): Promise<BlobContent | null>
  /** What is known of a blob; null: there is none. */
  head(key: string, options?: { readonly version?: number }): Promise<BlobInfo | null>
  /** The deletion, which is a version too; null: there was nothing. */
  delete(key: string, options?: { readonly ifVersion?: number }): Promise<BlobInfo | null>
  /** Everything whose key begins with `prefix`, in order of the keys. Throws rather than end early. */
  list(options?: Omit<ListOptions, 'delimiter' | 'digests'>): AsyncIterable<BlobInfo>
  /** What happened after a cursor (or from the start), in order and without gaps; `live`: until the signal aborts. */
  changes(options?: Omit<ChangesOptions, 'lastOf'>): AsyncIterable<FeedItem>
  /** Brings a version back as a new one; no bytes travel. Throws `NotFound`. */
  restore(key: string, version: number): Promise<BlobInfo>
  /** All that a bucket can do, atomic batches among it. */
  readonly store: BlobStore
  close(): Promise<void>
}

/**
 * Opens a bucket: by its name, in the embedded store of this machine or wherever the configuration says, or by its URL
 * (`https://host:7420/bucket`). Throws `NotFound`, with the near names, `Unauthenticated`, `Forbidden`, `Unavailable`, `InvalidRequest`.
 */
export async function open(bucket: string, options: OpenOptions = {}): Promise<Bucket> {
  const { token, create = false, env = process.env, ...rest } = options
  const places = openPlaces({
    ...rest,
    env,
    clock: systemClock,
    ids: systemIds,
    ...(token === undefined ? {} : { tokenFromStdin: async () => token }),
  })
  try {
    const target = places.target(bucket)
    if (target.bucket === '' || target.key !== '') {
      throw new BlobsError('InvalidRequest', `${JSON.stringify(bucket)} is not the name or URL of a bucket`)
    }
    const store = await places.open(target).catch(async (error: unknown) => {
      if (!create || !isBlobsError(error, 'NotFound')) throw error
      await (await places.buckets(target.location)).create(target.bucket).catch(unlessThere)
      return places.open(target)
    })
    const context = (signal = new AbortController().signal) =>
      openTransfer({
        store,
        bucket: target.bucket,
        show: (key) => showTarget(target, key),
        device: places.device(),
        ids: systemIds,
        signal,
      })
    const close = (): Promise<void> => Promise.resolve(places[Symbol.asyncDispose]())
    return bucketOver(target.bucket, store, context, close)
  } catch (error) {
    await places[Symbol.asyncDispose]()
    throw error
  }
}

function unlessThere(error: unknown): void {
  // Another one was first.
  if (!isBlobsError(error, 'AlreadyExists')) throw error
}

type Context = ReturnType<typeof openTransfer>

function bucketOver(name: string, store: BlobStore, context: () => Context, close: () => Promise<void>): Bucket {
  const commit = async (change: Parameters<typeof commitEach>[1][number]): Promise<BlobInfo | null> => {
    const [outcome] = await commitEach(context(), [change])
    if (outcome === undefined || 'error' in outcome) throw outcome?.error ?? new Error('no outcome')
    return outcome.info
  }
  return {
    name,
    store,
    info: () => store.info(),
    put: async (key, content, options = {}) => {
      const staged = await stageStream(store, piecesOf(content))
      const { meta = {}, contentType = contentTypeOf(key) } = options
      const info = await commit({ type: 'put', key, expect: expectationOf(options), ...staged, contentType, meta })
      if (info === null) throw new Error(`the put of ${key} made no version`)
      return info
    },
    get: async (key, options) => {
      const blob = await store.get(key, options)
      return blob === null ? null : contentOver(blob.info, blob.stream)
    },
    head: (key, options) => store.head(key, options),
    delete: (key, options = {}) => commit({ type: 'delete', key, expect: expectationOf(options) }),
    list: async function* (options = {}) {
      for await (const page of listPages(store, options)) yield* page.items
    },
    changes: (options = {}) => store.changes(options),
    restore: async (key, version) => {
      for await (const result of restoreVersion(context(), key, version)) {
        if (result.kind === 'failed') throw result.error
        return result.info
      }
      throw new Error(`the restore of ${key} had no outcome`)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function expectationOf({ ifVersion, ifAbsent = false }: Pick<PutOptions, 'ifVersion' | 'ifAbsent'>): Expectation {
  if (ifVersion !== undefined) return { version: ifVersion }
  return ifAbsent ? 'absent' : 'any'
}

async function* piecesOf(content: Content): AsyncGenerator<Uint8Array> {
  if (typeof content === 'string') yield Buffer.from(content)
  else if (content instanceof Uint8Array) yield content
  else yield* content
}

function contentOver(info: BlobInfo, stream: AsyncIterable<Uint8Array>): BlobContent {
  const bytes = async (): Promise<Uint8Array> => {
    const pieces: Uint8Array[] = []
    for await (const piece of stream) pieces.push(piece)
    return Buffer.concat(pieces)
  }
  return { info, stream, bytes, text: async () => Buffer.from(await bytes()).toString('utf8') }
}
