import type { Path } from '../core/types.ts'
import { keyOf } from '../remote/mapping.ts'
import { applyObservations } from '../state/local.ts'
import { write } from '../state/open.ts'
import { adoptPlaced, endPlacing, unclearPlacings } from '../state/placing.ts'
import { inBucket, rowAt } from '../state/rows.ts'
import type { SessionPorts } from './ports.ts'

const PAGE = 1000

/**
 * Clears up after a crash, or after a batch that failed as a whole; a scan of everything must follow. Bytes that the bucket has, now or in
 * its history, need no second name.
 */
export async function recover(ports: SessionPorts): Promise<void> {
  await takePlaced(ports)
  const { db, traits } = ports
  await ports.disk.recover(
    (path, hash) => isKnown(ports, path, hash),
    (path, hash) => rowAt(db, traits, path)?.base?.hash === hash,
  )
}

/** What got its name and was not written down any more was agreed on all the same: an edit of it since then is an edit, not a conflict. */
async function takePlaced({ db, disk }: SessionPorts): Promise<void> {
  const placings = unclearPlacings(db)
  if (placings.length === 0) return
  const now = await disk.placed(placings.map(({ path, op, base, before }) => ({ path, op, comes: base.hash, before })))
  const placed = new Set(now.map(({ path }) => path))
  write(db, () => {
    applyObservations(db, now)
    for (const placing of placings) {
      if (placed.has(placing.path)) adoptPlaced(db, placing)
      endPlacing(db, placing.path)
    }
  })
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
