import { systemFileSystem } from '../platform/file-system.ts'
import type { Device } from '../platform/device.ts'
import type { FileSystem, Ids } from '../platform/ports.ts'
import type { BlobStore } from '../store/contract/blob-store.ts'

/** What every transfer needs: one bucket, this disk, and who writes. */
export interface TransferContext {
  readonly store: BlobStore
  readonly bucket: string
  /** How a command line names a key of this bucket: for the next step that a message tells. */
  readonly show: (key: string) => string
  readonly fs: FileSystem
  readonly ids: Ids
  /** Short name of this device, for the history. */
  readonly device: string
  /** Groups everything that one command writes, for `undo`. */
  readonly operation: string
  /** Aborting ends a transfer with its reason, with no temporary file left. */
  readonly signal: AbortSignal
  /** Told of bytes as they are moved, and of items that are done. */
  readonly progress: TransferProgress
}
export interface TransferProgress {
  /** Whether it is worth finding out beforehand how much there is to do. */
  readonly watched: boolean
  expect(total: { readonly bytes: number; readonly items: number }): void
  add(bytes: number, items: number): void
}

/**
 * A transfer between this machine's disk and a bucket; `operation` is new unless several transfers belong to one command. `device`: who
 * writes; null for one that only reads.
 */
export function openTransfer(
  options: Omit<TransferContext, 'fs' | 'operation' | 'progress' | 'device'> & {
    readonly device: Device | null
    readonly operation?: string
    readonly progress?: TransferProgress
  },
): TransferContext {
  const { device, ids } = options
  return {
    ...options,
    device: device?.name ?? '',
    fs: systemFileSystem(),
    operation: options.operation ?? (device === null ? ids.next() : newOperation(device, ids)),
    progress: options.progress ?? { watched: false, expect: () => undefined, add: () => undefined },
  }
}

/** The id of one command of a device: by its beginning, `undo` finds the device's own. */
export function newOperation(device: Pick<Device, 'id'>, ids: Ids): string {
  return `${device.id}.${ids.next()}`
}

/** Passes a stream on until the signal aborts: then throws its reason at once, even when the source is silent. */
export async function* until<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted()
  const iterator = source[Symbol.asyncIterator]()
  // One listener and a promise a step: a race against one long promise would keep every step's bytes alive.
  let reject: (reason: unknown) => void = () => undefined
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<T>>((resolve, failed) => {
        reject = failed
        iterator.next().then(resolve, failed)
      })
      if (next.done) return
      yield next.value
      signal.throwIfAborted()
    }
  } finally {
    signal.removeEventListener('abort', abort)
    // A source that does not answer is not waited for.
    const closing = iterator.return?.().catch(() => undefined)
    if (!signal.aborted) await closing
  }
}

/** The outcome of a call, unless the signal aborts first: then its reason, at once. What the call does meanwhile is not waited for. */
export function unlessAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    call.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
