import * as fc from 'fast-check'
import { openMemory } from '../../../src/backends/memory/memory.ts'
import { sha256 } from '../../../src/content/hash.ts'
import { systemClock as clock, systemIds as ids } from '../../../src/platform/system.ts'
import { openBuckets } from '../../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../../src/store/contract/blob-store.ts'
import type { BlobInfo } from '../../../src/store/contract/types.ts'
import { backUp } from '../../../src/transfer/backup.ts'
import type { CopyTask, TargetBucket } from '../../../src/transfer/bucket-copy.ts'
import { restoreBackup, type RestoreTask } from '../../../src/transfer/restore-backup.ts'
import { bytesOf, collect, deleteChange, newId, putChange } from '../../store/acts.ts'
import { noise } from '../../store/noise.ts'

export function memoryBuckets(): Buckets {
  return openBuckets({ backend: openMemory(), clock, ids })
}

export function target(buckets: Buckets, bucket: string): TargetBucket {
  return { bucket, buckets, show: (name) => name, open: (name) => buckets.open(name) }
}

type Given = Partial<Omit<RestoreTask, 'source' | 'target'>>

function task(source: BlobStore, to: TargetBucket, given: Given): CopyTask {
  return {
    source,
    target: to,
    skipDamaged: false,
    dryRun: false,
    now: () => clock.now(),
    signal: new AbortController().signal,
    progress: { watched: false, expect: () => undefined, add: () => undefined },
    ...given,
  }
}

export async function backup(source: BlobStore, to: TargetBucket, given: Given = {}): ReturnType<typeof backUp> {
  return backUp(task(source, to, given))
}

export async function restore(
  source: BlobStore,
  to: TargetBucket,
  given: Given = {},
): ReturnType<typeof restoreBackup> {
  return restoreBackup({ ...task(source, to, given), replace: given.replace ?? false, ids })
}

/** All that a bucket's history tells, but for where in which log it is, with the bytes of each version. */
export async function historyOf(store: BlobStore): Promise<readonly unknown[]> {
  const items = (await collect(store.changes({}))).filter((item) => item.type !== 'bookmark')
  const told: unknown[] = []
  for (const { bucket: _, position: __, ...info } of items as (BlobInfo & { type: string })[]) {
    const bytes = info.deleted ? null : await bytesOf(store, info.key, { version: info.version })
    told.push({ ...info, bytes: bytes === null ? null : sha256(bytes) })
  }
  return told
}

/** What somebody does to a bucket: entries, each with what it does to some keys. */
export type Deed = readonly (readonly [key: string, size: number | 'delete'])[]

export const deeds: fc.Arbitrary<readonly Deed[]> = fc.array(
  fc.uniqueArray(
    fc.tuple(
      fc.constantFrom('a', 'b', 'folder/', 'folder/c', 'ü'),
      fc.oneof(
        { weight: 3, arbitrary: fc.constantFrom(0, 1, 5, 400) },
        { weight: 1, arbitrary: fc.constantFrom(70_000, 700_000) },
        { weight: 2, arbitrary: fc.constant('delete' as const) },
      ),
    ),
    { selector: ([key]) => key, minLength: 1, maxLength: 4 },
  ),
  { maxLength: 12 },
)

export async function perform(store: BlobStore, all: readonly Deed[], seed = 0): Promise<void> {
  for (const [index, deed] of all.entries()) {
    const changes = await Promise.all(
      deed.map(([key, size], at) =>
        size === 'delete'
          ? deleteChange(key)
          : putChange(store, key, noise(size, (seed + index + at) % 7), { meta: { mode: '644' } }),
      ),
    )
    await store.commit([{ id: newId(), author: 'ann', device: 'laptop', changes }])
  }
}
