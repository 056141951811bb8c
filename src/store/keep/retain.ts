import type { Clock } from '../../platform/ports.ts'
import type { Committer } from '../commit.ts'
import { BlobsError } from '../contract/errors.ts'
import type { BucketOptions } from '../contract/types.ts'
import type { Drop } from '../entry.ts'
import type { Follower } from '../follow.ts'
import type { Retention } from '../view/kept.ts'

/** Keys looked at without a pause. */
const KEYS = 200
/** Keys of which one entry drops versions. */
const DROPS = 500

export interface RetainOptions {
  readonly follower: Follower
  readonly committer: Committer
  readonly clock: Clock
  readonly dryRun: boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * Appends entries that drop the versions which the bucket's options do not keep; gives how many these are. What goes is said by the log, so
 * every reader sees the same, whatever its clock.
 */
export async function retain({ follower, committer, clock, dryRun, signal }: RetainOptions): Promise<number> {
  const state = await follower.read((view) => view.state())
  const retention = retentionOf(JSON.parse(state.options) as BucketOptions, clock.now())
  if (retention === null) return 0
  await follower.complete()
  let versions = 0
  let drops: Drop[] = []
  const flush = async (): Promise<void> => {
    if (!dryRun && drops.length > 0) await committer.drop(drops)
    drops = []
  }
  for (let after: number | null = 0; after !== null;) {
    signal?.throwIfAborted()
    const from: number = after
    const found = await follower.peek((view) => view.excess(state.generation, retention, from, KEYS))
    if (found === null) throw viewMadeAnew()
    drops.push(...found.drops)
    versions += found.versions
    after = found.after
    if (drops.length >= DROPS) await flush()
    await clock.sleep(0)
  }
  await flush()
  return versions
}

/** Null: everything is kept. */
function retentionOf({ keepVersions, keepFor }: BucketOptions, now: number): Retention | null {
  if (keepVersions === undefined && keepFor === undefined) return null
  return { keepVersions, replacedSince: keepFor === undefined ? undefined : now - keepFor * 1000 }
}

export function viewMadeAnew(): BlobsError {
  return new BlobsError('Unavailable', 'the view of the bucket was made anew meanwhile', { hint: 'try again' })
}
