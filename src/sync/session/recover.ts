import type { Path } from '../core/types.ts'
import { keyOf } from '../remote/mapping.ts'
import { inBucket, rowAt } from '../state/rows.ts'
import type { SessionPorts } from './ports.ts'

const PAGE = 1000

/** Clears up after a crash; a scan of everything must follow. Bytes that the bucket has, now or in its history, need no second name. */
export async function recover(ports: SessionPorts): Promise<void> {
  await ports.disk.recover((path, hash) => isKnown(ports, path, hash))
}

async function isKnown(ports: SessionPorts, path: Path, hash: string): Promise<boolean> {
  const { db, traits, bucket } = ports
  if (path === '') return inBucket(db, hash)
  const row = rowAt(db, traits, path)
  const remote = row?.remote ?? null
  if (row?.base?.hash === hash) return true
  if (remote !== null && remote.kind !== 'deleted' && remote.hash === hash) return true
  try {
    return await inHistory(bucket.store, keyOf(bucket.prefix, path), hash)
  } catch {
    // Unreachable: a file too many is better than one too few.
    return false
  }
}

async function inHistory(store: SessionPorts['bucket']['store'], key: string, hash: string): Promise<boolean> {
  const page = await store.list({ prefix: key, versions: true, deleted: true, limit: PAGE })
  return page.items.some((item) => item.key === key && item.hash === hash)
}
