import type { Clock, Ids } from '../platform/ports.ts'
import { isBlobsError } from '../store/contract/errors.ts'
import { SYSTEM_BUCKET } from '../store/contract/keys.ts'
import type { Inspection } from '../store/contract/findings.ts'

export interface ExamineOptions {
  /** Directory of the embedded store. */
  readonly data: string
  readonly clock: Clock
  readonly ids: Ids
  readonly inspection: Inspection
}
/** How much was looked at. */
export interface Examined {
  readonly buckets: number
  readonly entries: number
  readonly versions: number
}

/**
 * Checks the embedded store from its files to the bytes of every version, and reports what is wrong; it may be in use meanwhile. Null
 * if there is none. Throws `NotSupported` for the store of a newer program, and what the system says of files that cannot be read.
 */
export async function examineStore({ data, clock, ids, inspection }: ExamineOptions): Promise<Examined | null> {
  const [{ checkLocal, isStore }, { checkBucket }] = await Promise.all([
    import('../backends/local/check.ts'),
    import('../store/check.ts'),
  ])
  if (!isStore(data)) return null
  const checked = await checkLocal({ directory: data, clock, inspection })
  const { backend } = checked
  const count = { buckets: 0, entries: 0, versions: 0 }
  try {
    for (const name of (await backend?.names()) ?? []) {
      const ports = (await backend?.open(name)) ?? null
      if (ports === null) continue
      const counted = await checkBucket({
        name,
        ports,
        viewDirectory: backend?.viewDirectory ?? data,
        isDamaged: (hash) => checked.isDamaged(name, hash),
        clock,
        ids,
        inspection,
      }).catch(unlessRemoved)
      await Promise.all([ports.log.close(), ports.content.close()])
      if (counted === null) continue
      if (name !== SYSTEM_BUCKET) count.buckets += 1
      count.entries += counted.entries
      count.versions += counted.versions
    }
    await checked.finish()
    return count
  } finally {
    await checked.close()
  }
}

function unlessRemoved(error: unknown): null {
  if (isBlobsError(error, 'NotFound')) return null
  throw error
}

/** Takes permissions for a store's files from others than the owner; gives how many files and folders it were. */
export async function makePrivate(data: string): Promise<number> {
  const files = await import('../backends/local/check-files.ts')
  return files.makePrivate(data)
}

/** Lets so many bytes a second pass; undefined: as many as come. */
export function pacer(clock: Clock, bytesPerSecond: number | undefined): (bytes: number) => Promise<void> {
  if (bytesPerSecond === undefined) return async () => undefined
  let free = clock.elapsed()
  return async (bytes) => {
    const now = clock.elapsed()
    free = Math.max(free, now) + (bytes * 1000) / bytesPerSecond
    if (free > now) await clock.sleep(free - now)
  }
}
