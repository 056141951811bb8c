import { hasher } from '../content/hash.ts'
import { writeAtomically } from '../platform/atomic-write.ts'
import { systemFileSystem } from '../platform/file-system.ts'
import type { Ids } from '../platform/ports.ts'
import type { AddressStore } from '../store/contract/addresses.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { until, type TransferProgress } from './context.ts'
import { refuseFolder, withPath } from './landing.ts'
import { readFile } from './local-file.ts'
import { planPut } from './operands.ts'

export interface PutAddressedOptions {
  readonly store: AddressStore
  readonly stdin: AsyncIterable<Uint8Array>
  readonly progress: Pick<TransferProgress, 'add'>
  readonly signal: AbortSignal
  /** Waits until so many more bytes may pass. */
  readonly pace: (bytes: number) => Promise<void>
}

/** Puts a file, a pipe or stdin (`-`) by its address. A file is read once before, and its bytes travel only if they are not there. */
export async function putAddressed(
  options: PutAddressedOptions,
  file: string,
): Promise<{ readonly hash: string; readonly size: number }> {
  const { store, stdin, progress, signal, pace } = options
  const [group] = planPut([file], { bucket: '', key: 'bytes' }, { recursive: true, stdin })
  const [item] = group?.kind === 'files' ? group.items : []
  if (item === undefined)
    throw new BlobsError('InvalidRequest', `${file} is a folder: an address is of the bytes of a file`)
  if (item.kind === 'failed') throw item.error
  const paced = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const bytes of until(source, signal)) {
      await pace(bytes.length)
      yield bytes
      progress.add(bytes.length, 0)
    }
  }
  if (item.kind === 'stream') return store.put(paced(item.source))
  const fs = systemFileSystem()
  const read = (): AsyncIterable<Uint8Array> => readFile(fs, item.path, signal, () => undefined)
  const sum = hasher()
  let size = 0
  for await (const bytes of read()) {
    sum.update(bytes)
    size += bytes.length
  }
  return store.put(paced(read()), { expected: { hash: sum.digest('hex'), size } })
}

/** Makes a file of bytes that come: it is there, or replaced, only once all of them are. */
export async function landAddressed(
  { ids }: { readonly ids: Ids },
  path: string,
  stream: AsyncIterable<Uint8Array>,
): Promise<void> {
  const fs = systemFileSystem()
  refuseFolder(fs, path)
  try {
    await writeAtomically(fs, ids, path, stream)
  } catch (error) {
    throw withPath(error, path)
  }
}
