import { EMPTY_HASH } from '../../content/hash.ts'
import type { Clock, FileSystem, Ids } from '../../platform/ports.ts'
import type { Database } from '../../platform/sqlite.ts'
import { isBlobsError, type BlobsError } from '../../store/contract/errors.ts'
import { FOLDER_TYPE } from '../../store/contract/keys.ts'
import type { BlobInfo, EntryInput, PutChange } from '../../store/contract/types.ts'
import { openStaging, type Staged, type Staging } from '../../store/contract/upload.ts'
import type { Content, Path, Reason, Step } from '../core/types.ts'
import { identityOf, lookAtFile } from '../disk/look.ts'
import { diskPath } from '../disk/names.ts'
import { intend } from '../state/intents.ts'
import { write } from '../state/open.ts'
import type { Extra } from '../state/remote.ts'
import type { Bucket } from './catch-up.ts'
import { commitAll } from './commit.ts'
import { keyOf, metaOf, typeOf } from './mapping.ts'
import { readFile } from './read.ts'

export type PushStep = Extract<Step, { type: 'upload' | 'delete-remote' }>
/** A step for the bucket and what the trees know of its file. */
export interface PushWork<S extends PushStep = PushStep> {
  readonly step: S
  readonly identity: string
  readonly mtimeNs: bigint | null
  readonly extra: Extra | null
}

export type PushResult =
  /** `content` is what was sent, null for a delete; `info` the version it became. */
  | { readonly type: 'done'; readonly work: PushWork; readonly content: Content | null; readonly info: BlobInfo | null }
  /** The file is not what the plan saw: nothing was sent of it. */
  | { readonly type: 'changed'; readonly work: PushWork }
  /** Something else stands in the bucket (null: it never was there). */
  | { readonly type: 'overtaken'; readonly work: PushWork; readonly current: BlobInfo | null }
  | { readonly type: 'failed'; readonly work: PushWork; readonly reason: Reason; readonly error: unknown }

export interface PushOptions {
  readonly bucket: Bucket
  readonly db: Database
  readonly fs: FileSystem
  readonly clock: Clock
  readonly ids: Ids
  /** Absolute. */
  readonly root: string
  readonly device: string
  /** Called with the outcomes of a batch as soon as they are known; synchronous. */
  readonly onResults: (results: readonly PushResult[]) => void
  readonly onBytes?: (bytes: number) => void
  readonly signal?: AbortSignal
}

const BATCH_ENTRIES = 1000
const BATCH_BYTES = 8 * 1024 * 1024
/** Files read at once: enough to hide the latency of small ones. */
const READERS = 8

interface Prepared {
  readonly work: PushWork
  readonly change: (PutChange & { readonly sent: Content }) | null
}

/**
 * Sends steps to the bucket in batches: while one is committed the next is read and staged. Each write is conditional and an intent of it is
 * saved before. A delete that is half of a move goes only after the put was done, and else not at all, without a result. Failures of single
 * paths are results; an error of the whole bucket (unreachable, signed out) is thrown, with what was known by then reported.
 */
export async function push(options: PushOptions, steps: readonly PushWork[]): Promise<void> {
  const done = new Set<Path>()
  const onResults = (results: readonly PushResult[]): void => {
    for (const { type, work } of results) if (type === 'done') done.add(work.step.path)
    options.onResults(results)
  }
  await pushInBatches(
    { ...options, onResults },
    steps.filter((work) => movedTo(work) === null),
  )
  await pushInBatches(
    options,
    steps.filter((work) => done.has(movedTo(work) ?? '')),
  )
}

function movedTo({ step }: PushWork): Path | null {
  return step.type === 'delete-remote' ? (step.movedTo ?? null) : null
}

async function pushInBatches(options: PushOptions, steps: readonly PushWork[]): Promise<void> {
  let underWay: Promise<void> = Promise.resolve()
  for (const batch of batches(steps)) {
    if (options.signal?.aborted) break
    let prepared: readonly Prepared[]
    try {
      prepared = await prepare(options, batch)
    } catch (error) {
      await underWay
      throw error
    }
    await underWay
    underWay = send(options, prepared)
    // Thrown by the next `await`; until then nobody waits for it.
    underWay.catch(() => undefined)
  }
  await underWay
}

function* batches(steps: readonly PushWork[]): Iterable<readonly PushWork[]> {
  let batch: PushWork[] = []
  let bytes = 0
  for (const work of steps) {
    const size = work.step.type === 'upload' && work.step.copyOf === null ? work.step.local.size : 0
    if (batch.length > 0 && (batch.length >= BATCH_ENTRIES || bytes + size > BATCH_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(work)
    bytes += size
  }
  if (batch.length > 0) yield batch
}

/** Looks at every file again and stages its bytes. What cannot be sent is reported and left out. */
async function prepare(options: PushOptions, batch: readonly PushWork[]): Promise<readonly Prepared[]> {
  const staging = openStaging(options.bucket.store, options.onBytes ? { onBytes: options.onBytes } : {})
  const ready: (Prepared | PushResult)[] = Array.from({ length: batch.length })
  let next = 0
  const reader = async (): Promise<void> => {
    for (let index = next++; index < batch.length; index = next++) {
      const work = batch[index]
      if (work !== undefined) ready[index] = await prepareOne(options, staging, work)
    }
  }
  await Promise.all(Array.from({ length: READERS }, reader))
  const failed = ready.filter((item): item is PushResult => 'type' in item)
  if (failed.length > 0) options.onResults(failed)
  const prepared = ready.filter((item): item is Prepared => !('type' in item))
  try {
    await staging.flush()
  } catch (error) {
    const reason = reasonOf(error)
    if (reason === null) throw error
    return withoutBytes(options, prepared, reason, error)
  }
  return prepared
}

/** The bucket takes no bytes from us: what needs none still goes. */
function withoutBytes(
  options: PushOptions,
  prepared: readonly Prepared[],
  reason: Reason,
  error: unknown,
): readonly Prepared[] {
  const needs = (item: Prepared): boolean =>
    item.change !== null && !('copy' in item.change.body) && item.change.size > 0
  options.onResults(prepared.filter(needs).map(({ work }) => ({ type: 'failed', work, reason, error })))
  return prepared.filter((item) => !needs(item))
}

async function prepareOne(options: PushOptions, staging: Staging, work: PushWork): Promise<Prepared | PushResult> {
  const { step } = work
  if (step.type === 'delete-remote') return { work, change: null }
  if (step.local.kind === 'folder')
    return { work, change: putOf(options, work, step, { hash: EMPTY_HASH, size: 0, body: { depth: 0, refs: [] } }) }
  try {
    const path = diskPath(options.fs, options.root, step.path)
    if (step.copyOf !== null) {
      if (!(await isAsPlanned(options, path, work, step.local))) return { type: 'changed', work }
      const { hash, size } = step.local
      const copy = { key: keyOf(options.bucket.prefix, step.copyOf.path), version: step.copyOf.version }
      return { work, change: putOf(options, work, step, { hash, size, body: { copy } }) }
    }
    const staged = await stageFile(options, staging, path, step.local)
    return staged === null ? { type: 'changed', work } : { work, change: putOf(options, work, step, staged) }
  } catch (error) {
    if (!isErrno(error)) throw error
    return absent(error) ? { type: 'changed', work } : { type: 'failed', work, reason: 'unreadable', error }
  }
}

/** A file that is not read: its identity must be the one its bytes were hashed under, or they are hashed once more. */
async function isAsPlanned(options: PushOptions, path: string, work: PushWork, content: Content): Promise<boolean> {
  const stat = options.fs.lstat(path)
  if (stat === null || stat.kind !== 'file') return false
  if (work.identity !== '' && identityOf(stat) === work.identity) return true
  const look = await lookAtFile(options.fs, options.clock, path, { takeBusy: true })
  return look.kind === 'file' && look.content.hash === content.hash && look.content.executable === content.executable
}

/** Null unless the bytes that were staged are the planned ones and the file stood still while it was read. */
async function stageFile(
  options: PushOptions,
  staging: Staging,
  path: string,
  planned: Content,
): Promise<Staged | null> {
  const file = await options.fs.open(path)
  try {
    const before = file.stat()
    if (before.kind !== 'file' || before.size !== planned.size) return null
    const staged = await staging.add(readFile(file, before.size))
    if (identityOf(file.stat()) !== identityOf(before)) return null
    return staged.hash === planned.hash ? staged : null
  } finally {
    await file.close()
  }
}

function putOf(
  options: PushOptions,
  work: PushWork,
  step: Extract<PushStep, { type: 'upload' }>,
  source: Pick<PutChange, 'hash' | 'size' | 'body'>,
): PutChange & { readonly sent: Content } {
  return {
    type: 'put',
    key: keyOf(options.bucket.prefix, step.path),
    expect: step.expect,
    ...source,
    contentType: step.local.kind === 'folder' ? FOLDER_TYPE : typeOf(work.extra),
    meta: metaOf(step.local, work.mtimeNs, work.extra),
    sent: step.local,
  }
}

async function send(options: PushOptions, prepared: readonly Prepared[]): Promise<void> {
  if (prepared.length === 0) return
  const ids = write(options.db, () => intend(options.db, prepared.map(intentOf), () => options.ids.next()))
  const entries = prepared.map((item, index) => entryOf(options, item, ids[index] ?? ''))
  const byId = new Map(prepared.map((item, index) => [ids[index] ?? '', item]))
  await commitAll(options.bucket.store, entries, (settled) => {
    options.onResults(
      settled.map((one): PushResult => {
        const item = byId.get(one.id)
        if (item === undefined) throw new Error(`the bucket answered for entry ${one.id}, which was not sent`)
        const { work } = item
        if ('error' in one) return retryWithBytes(work, one.error)
        if (one.ok) return { type: 'done', work, content: item.change?.sent ?? null, info: one.blobs[0] ?? null }
        return { type: 'overtaken', work, current: one.conflicts[0]?.current ?? null }
      }),
    )
  })
}

function retryWithBytes(work: PushWork, error: BlobsError): PushResult {
  return { type: 'failed', work, reason: reasonOf(error) ?? 'upload-failed', error }
}

function intentOf({ work, change }: Prepared): Parameters<typeof intend>[1][number] {
  const { step } = work
  const wanted = JSON.stringify([step.type, step.expect, change?.hash ?? null, change?.sent.executable ?? null])
  return { path: step.path, content: change?.sent ?? null, wanted }
}

function entryOf(options: PushOptions, { work, change }: Prepared, id: string): EntryInput {
  if (change === null) {
    const key = keyOf(options.bucket.prefix, work.step.path)
    return { id, device: options.device, changes: [{ type: 'delete', key, expect: work.step.expect }] }
  }
  const { sent: _sent, ...put } = change
  return { id, device: options.device, changes: [put] }
}

/** Why a path cannot be written to the bucket, or null if the error is not about the path. */
function reasonOf(error: unknown): Reason | null {
  if (isBlobsError(error, 'Forbidden')) return 'forbidden'
  if (isBlobsError(error, 'TooLarge')) return 'too-large'
  if (isBlobsError(error, 'InvalidKey')) return 'name-reserved'
  if (isBlobsError(error, 'InvalidRequest') || isBlobsError(error, 'Corrupt') || isBlobsError(error, 'QuotaExceeded'))
    return 'upload-failed'
  return null
}

function isErrno(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string' && !isBlobsError(error)
}
function absent(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ELOOP' || error.code === 'EISDIR'
}
