import { MAX_FETCH_BYTES } from '../../store/contract/blob-store.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Content, Path, Step } from '../core/types.ts'
import type { ApplyOptions, Disk, DiskResult, DiskWork, Source } from '../disk/transition.ts'
import type { Placing } from '../state/placing.ts'
import type { Bucket } from './catch-up.ts'
import { keyOf, parseMtime } from './mapping.ts'

export type PullStep = Extract<Step, { type: 'download' | 'delete-local' | 'conflict' }>
/** A step for the disk and what the trees know of its path. */
export interface PullWork {
  readonly step: PullStep
  readonly identity: string
  readonly remoteMtime: string | null
}
export interface PullResult {
  readonly work: PullWork
  readonly result: DiskResult
}
export interface PullOptions {
  readonly bucket: Bucket
  readonly disk: Disk
  /** Files on disk that hold these bytes, as last seen. */
  readonly onDiskWith: (hash: string, size: number) => readonly Path[]
  /** False: `onDiskWith` finds nothing, whatever it is asked for. */
  readonly hasBytesOnDisk: () => boolean
  readonly keepFolder: ApplyOptions['keepFolder']
  /** Called with downloads that are about to get their names; what it writes down has to be durable when it returns. */
  readonly onPlacing: (placings: readonly Placing[]) => void
  /** Called with the results of a batch once they are durable; synchronous. */
  readonly onResults: (results: readonly PullResult[]) => void
  /** Bytes that came from the bucket. */
  readonly onBytes?: (bytes: number) => void
  readonly signal?: AbortSignal
}

const BATCH_STEPS = 2000
const BATCH_BYTES = 8 * 1024 * 1024

type Live = Content & { readonly version: number }
interface Batch {
  /** The old name of a file that gets a new one. */
  readonly moved: ReadonlyMap<Path, Path>
  readonly works: readonly PullWork[]
  readonly small: readonly { readonly path: Path; readonly remote: Live }[]
}

/**
 * Brings steps to the disk in batches: while one is applied, the bytes of the next small files are fetched together. Large ones are
 * streamed; bytes that are on disk already are taken from there. An error of the whole bucket is thrown after what could be done.
 */
export async function pull(options: PullOptions, works: readonly PullWork[]): Promise<void> {
  const batches = [...inBatches(options, works)]
  let fetching = fetchSmall(options, batches[0])
  for (const [index, batch] of batches.entries()) {
    if (options.signal?.aborted) break
    const bytes = await fetching
    fetching = fetchSmall(options, batches[index + 1])
    fetching.catch(() => undefined)
    await applyBatch(options, batch, bytes)
  }
  await fetching
}

async function applyBatch(options: PullOptions, batch: Batch, bytes: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const steps = new Map(batch.works.map(({ step }) => [step.path, step]))
  const results = await options.disk.apply(
    batch.works.map((work) => diskWork(options, work, bytes, batch.moved)),
    {
      onPlacing: (placings) =>
        options.onPlacing(
          placings.flatMap(({ path, op }) => {
            const step = steps.get(path)
            if (step === undefined || step.type === 'delete-local' || step.remote === null) return []
            return [{ path, op, base: step.remote }]
          }),
        ),
      onResults: (list) =>
        options.onResults(
          batch.works.map((work, index) => ({ work, result: list[index] ?? { type: 'dropped', sibling: null } })),
        ),
      ...(options.keepFolder === undefined ? {} : { keepFolder: options.keepFolder }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    },
  )
  const lost = results.find((result) => result.type === 'failed' && concernsBucket(result.error))
  if (lost?.type === 'failed') throw lost.error
}

/** True for errors that every other path would meet as well. */
function concernsBucket(error: unknown): boolean {
  return error instanceof BlobsError && (error.code === 'Unavailable' || error.code === 'Unauthenticated')
}

function* inBatches(options: PullOptions, works: readonly PullWork[]): Iterable<Batch> {
  let batch: PullWork[] = []
  let small: { path: Path; remote: Live }[] = []
  let bytes = 0
  const twins = options.hasBytesOnDisk()
  const moved = movedFiles(works)
  for (const work of works) {
    const remote = work.step.type === 'delete-local' ? null : work.step.remote
    const wanted =
      remote !== null &&
      isSmall(remote) &&
      needsBytes(work.step) &&
      !moved.has(work.step.path) &&
      !(twins && options.onDiskWith(remote.hash, remote.size).length > 0)
    const size = wanted ? remote.size : 0
    if (batch.length > 0 && (batch.length >= BATCH_STEPS || bytes + size > BATCH_BYTES)) {
      yield { works: batch, small, moved }
      ;[batch, small, bytes] = [[], [], 0]
    }
    batch.push(work)
    if (wanted) small.push({ path: work.step.path, remote })
    bytes += size
  }
  if (batch.length > 0) yield { works: batch, small, moved }
}

function movedFiles(works: readonly PullWork[]): ReadonlyMap<Path, Path> {
  const moved = new Map<Path, Path>()
  for (const { step } of works)
    if (step.type === 'delete-local' && step.movedTo !== undefined) moved.set(step.movedTo, step.path)
  return moved
}

function isSmall(content: Content): boolean {
  return content.kind === 'file' && content.size > 0 && content.size <= MAX_FETCH_BYTES
}

/** A file whose bytes are right already gets another mode at most. */
function needsBytes(step: PullStep): boolean {
  if (step.type === 'delete-local') return false
  if (step.type === 'conflict') return step.remote !== null && step.remote.kind === 'file'
  return step.remote.kind === 'file' && step.replaces?.hash !== step.remote.hash
}

async function fetchSmall(options: PullOptions, batch: Batch | undefined): Promise<ReadonlyMap<string, Uint8Array>> {
  const bytes = new Map<string, Uint8Array>()
  if (batch === undefined || batch.small.length === 0) return bytes
  const { store, prefix } = options.bucket
  const wants = batch.small.map(({ path, remote }) => ({ key: keyOf(prefix, path), version: remote.version }))
  try {
    for await (const item of store.fetch(wants)) {
      bytes.set(`${item.version} ${item.key}`, item.bytes)
      options.onBytes?.(item.bytes.length)
    }
  } catch (error) {
    // One damaged or forbidden blob must not keep the others away: what did not come is asked for alone.
    if (!(error instanceof BlobsError) || concernsBucket(error)) throw error
  }
  return bytes
}

function diskWork(
  options: PullOptions,
  work: PullWork,
  bytes: ReadonlyMap<string, Uint8Array>,
  moved: ReadonlyMap<Path, Path>,
): DiskWork {
  const { step } = work
  const identity = work.identity === '' ? null : work.identity
  if (step.type === 'delete-local') return { step, identity }
  const source =
    step.remote !== null && needsBytes(step) ? sourceOf(options, step.path, step.remote, bytes, moved) : null
  const mtimeNs = parseMtime(work.remoteMtime)
  return step.type === 'download' ? { step, source, mtimeNs, identity } : { step, source, mtimeNs, identity }
}

function sourceOf(
  options: PullOptions,
  path: Path,
  remote: Live,
  bytes: ReadonlyMap<string, Uint8Array>,
  moved: ReadonlyMap<Path, Path>,
): Source {
  const key = keyOf(options.bucket.prefix, path)
  const fetched = bytes.get(`${remote.version} ${key}`)
  if (fetched !== undefined) return { from: 'memory', bytes: fetched }
  const open = (): AsyncIterable<Uint8Array> => stream(options, key, remote)
  if (remote.size === 0) return { from: 'bucket', open }
  const twin = moved.get(path) ?? options.onDiskWith(remote.hash, remote.size)[0]
  return twin === undefined ? { from: 'bucket', open } : { from: 'disk', path: twin, orElse: open }
}

async function* stream(options: PullOptions, key: string, remote: Live): AsyncGenerator<Uint8Array> {
  if (remote.size === 0) return
  // Whoever writes the file compares: twice would be in vain.
  const blob = await options.bucket.store.get(key, { version: remote.version, readerCompares: true })
  if (blob === null)
    throw new BlobsError('NotFound', `version ${remote.version} of ${key} is not in the bucket`, { key })
  for await (const bytes of blob.stream) {
    options.onBytes?.(bytes.length)
    yield bytes
  }
}
