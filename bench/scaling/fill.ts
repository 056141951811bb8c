import { randomBytes } from 'node:crypto'
import { encodeEntry, type Entry } from '../../src/store/entry.ts'
import type { Log, RawEntry } from '../../src/store/ports.ts'
import { keyOf } from '../load/fill.ts'

/** Entries that are appended by one call. */
const TOGETHER = 64
const SIZE = 4096
/** Prime to every number of keys that is a power of ten. */
const STRIDE = 7919

/** The key of the n-th put, of so many: each once, all over the bucket, as people write, and not in the order of the keys. */
export function keyAt(n: number, keys: number): string {
  return keyOf((n * STRIDE) % keys)
}

/**
 * Appends puts of so many keys, `each` in one entry, to a log that has its first entry only. Their hashes are of nothing that is
 * there: what a log and a view cost does not depend on the bytes.
 */
export async function fillLog(
  log: Log,
  { keys, each }: { readonly keys: number; readonly each: number },
): Promise<void> {
  let batch: RawEntry[] = []
  for (let from = 0; from < keys; from += each) {
    batch.push(entryOf(from, Math.min(each, keys - from), keys))
    if (batch.length < TOGETHER && from + each < keys) continue
    await log.append(batch)
    batch = []
  }
}

function entryOf(from: number, count: number, keys: number): RawEntry {
  const hashes = randomBytes(32 * count).toString('hex')
  const changes = Array.from({ length: count }, (_, index) => {
    const hash = hashes.slice(64 * index, 64 * (index + 1))
    return {
      put: keyAt(from + index, keys),
      expect: 'any',
      hash,
      size: SIZE,
      depth: 0,
      refs: [[hash, SIZE]],
      type: 'application/octet-stream',
      meta: { mtime: '1767225600.123', mode: '644' },
    } as const
  })
  const id = randomBytes(16).toString('hex')
  const entry: Entry = { v: 1, id, time: Date.now(), author: 'ann', device: 'laptop', changes, based: 1 }
  return { id, data: encodeEntry(entry) }
}
