import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import type { BucketOptions } from '../../src/store/contract/types.ts'
import { openTransfer, type TransferContext } from '../../src/transfer/context.ts'

/** A bucket in memory and an empty folder. */
export interface Place extends AsyncDisposable {
  readonly folder: string
  readonly store: BlobStore
  path(...parts: string[]): string
  write(name: string, content: string | Uint8Array): string
  /** `over` stands in for the bucket: a wrapper of it. */
  context(over?: Partial<TransferContext>): TransferContext
}

export async function openPlace(options: BucketOptions = {}): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'blobs-transfer-'))
  const buckets = openBuckets({ backend: openMemory(), clock: systemClock, ids: systemIds })
  await buckets.create('team', options)
  const store = await buckets.open('team')
  const path = (...parts: string[]): string => join(folder, ...parts)
  return {
    folder,
    store,
    path,
    write: (name, content) => {
      mkdirSync(dirname(path(name)), { recursive: true })
      writeFileSync(path(name), content)
      return path(name)
    },
    context: (over = {}) => ({
      ...openTransfer({
        store,
        bucket: 'team',
        show: (key) => `team/${key}`,
        ids: systemIds,
        device: { id: '1'.repeat(32), name: 'laptop' },
        signal: new AbortController().signal,
      }),
      ...over,
    }),
    [Symbol.asyncDispose]: async () => {
      await store.close()
      await buckets.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}
