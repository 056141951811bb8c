import { setImmediate as nextTurn } from 'node:timers/promises'
import { SMALL } from '../../content/chunker.ts'
import { EMPTY_HASH, type Hash } from '../../content/hash.ts'
import type { ReadFile } from '../../platform/ports.ts'
import { readStream } from '../../platform/read-stream.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import { FOLDER_TYPE } from '../../store/contract/keys.ts'
import type { PutChange } from '../../store/contract/types.ts'
import type { Slabs } from '../../store/contract/slabs.ts'
import { openStaging, stagingSlabs, type Staged, type Staging } from '../../store/contract/upload.ts'
import type { Content, Reason } from '../core/types.ts'
import { identityOf, lookAtFile } from '../disk/look.ts'
import { diskPath } from '../disk/names.ts'
import { keyOf, metaOf, typeOf } from './mapping.ts'
import { reasonOf, type PushOptions, type PushResult, type PushStep, type PushWork } from './push-work.ts'

/** Files read at once: enough to hide the latency of small ones. */
const READERS = 8
const SLICE_MS = 10

export interface Prepared {
  readonly work: PushWork
  readonly change: (PutChange & { readonly sent: Content }) | null
}
/** A batch whose files were read; its bytes may be on their way still. */
export interface Batch {
  /** Resolves when the bytes are staged, without what the bucket does not take, which is reported. */
  staged(): Promise<readonly Prepared[]>
}

/** What batches that follow each other share. */
export interface Sending {
  readonly slabs: Slabs
  /** True the first time it is asked of a hash: no row of the bucket has these bytes, else they would be copied there. */
  readonly isNew: (hash: Hash) => boolean
}

/** So many small blobs are remembered; of one that is forgotten the bytes may travel twice. */
const REMEMBERED = 20_000

export function openSending(): Sending {
  const sent = new Set<Hash>()
  return {
    slabs: stagingSlabs(),
    isNew: (hash) => {
      if (sent.has(hash)) return false
      if (sent.size >= REMEMBERED) sent.clear()
      sent.add(hash)
      return true
    },
  }
}

/** Looks at every file again and hands its bytes over to be staged. What cannot be sent is reported and left out. */
export async function prepare(options: PushOptions, batch: readonly PushWork[], sending: Sending): Promise<Batch> {
  const { slabs } = sending
  const staging = openStaging(options.bucket.store, options.onBytes ? { onBytes: options.onBytes, slabs } : { slabs })
  const ready: (Prepared | PushResult)[] = Array.from({ length: batch.length })
  const { clock } = options
  let next = 0
  let sliceEnds = clock.elapsed() + SLICE_MS
  const reader = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafe(SMALL)
    for (let index = next++; index < batch.length; index = next++) {
      const work = batch[index]
      if (work !== undefined) ready[index] = await prepareOne(options, { staging, buffer, isNew: sending.isNew }, work)
      if (clock.elapsed() < sliceEnds) continue
      // Small files are read on the spot: what the bucket answers meanwhile would have to wait for them all.
      await nextTurn()
      sliceEnds = clock.elapsed() + SLICE_MS
    }
  }
  await Promise.all(Array.from({ length: READERS }, reader))
  const failed = ready.filter((item): item is PushResult => 'type' in item)
  if (failed.length > 0) options.onResults(failed)
  const prepared = ready.filter((item): item is Prepared => !('type' in item))
  const flushed = staging.flush()
  // Thrown by `staged`; until then nobody waits for it.
  flushed.catch(() => undefined)
  return {
    staged: async () => {
      try {
        await flushed
      } catch (error) {
        const reason = reasonOf(error)
        if (reason === null) throw error
        return withoutBytes(options, prepared, reason, error)
      }
      return prepared
    },
  }
}

/** The bucket takes no bytes from us: what needs none still goes. */
function withoutBytes(
  options: PushOptions,
  prepared: readonly Prepared[],
  reason: Reason,
  error: unknown,
): readonly Prepared[] {
  const needs = (item: Prepared): boolean => item.change !== null && 'refs' in item.change.body && item.change.size > 0
  options.onResults(prepared.filter(needs).map(({ work }) => ({ type: 'failed', work, reason, error })))
  return prepared.filter((item) => !needs(item))
}

/** Where a file goes that is read; `buffer` has room for a small one. */
interface Reader {
  readonly staging: Staging
  readonly buffer: Uint8Array
  readonly isNew: (hash: Hash) => boolean
}

async function prepareOne(options: PushOptions, reader: Reader, work: PushWork): Promise<Prepared | PushResult> {
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
    const staged = await stageFile(options, reader, path, step.local)
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
  { staging, buffer, isNew }: Reader,
  path: string,
  planned: Content,
): Promise<Staged | null> {
  const file = await options.fs.open(path)
  try {
    const before = file.stat()
    if (before.kind !== 'file' || before.size !== planned.size) return null
    const small = before.size <= buffer.length ? await readSmall(file, buffer, before.size) : null
    const staged = await (small === null ? staging.add(readStream(file, before.size)) : staging.addSmall(small, isNew))
    if (identityOf(file.stat()) !== identityOf(before)) return null
    return staged.hash === planned.hash ? staged : null
  } finally {
    await file.close()
  }
}

/** Fewer bytes where the file became shorter. */
async function readSmall(file: ReadFile, buffer: Uint8Array, size: number): Promise<Uint8Array> {
  let filled = 0
  while (filled < size) {
    const count = await file.read(buffer.subarray(filled, size), filled)
    if (count === 0) break
    filled += count
  }
  return buffer.subarray(0, filled)
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

function isErrno(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string' && !isBlobsError(error)
}
function absent(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ELOOP' || error.code === 'EISDIR'
}
