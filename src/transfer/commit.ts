import { BlobsError, isBlobsError, type ErrorCode } from '../store/contract/errors.ts'
import type { BlobInfo, ChangeInput, Conflict, EntryInput, Outcome } from '../store/contract/types.ts'
import type { TransferContext } from './context.ts'

/** What became of one change, or of several that belong together: the version that the first made, and all. */
export type Committed =
  | { readonly info: BlobInfo | null; readonly all: readonly BlobInfo[] }
  | { readonly error: unknown }

// Errors of one entry that say nothing about its neighbours.
const OF_ONE: ReadonlySet<ErrorCode> = new Set(['TooLarge', 'InvalidKey', 'InvalidRequest', 'Forbidden'])

/**
 * Commits each change as an entry of its own, in one call, and tells the outcome of each in order; `info` is null for a delete of what
 * was not there. One that the store will not take fails alone. Throws what concerns them all (unreachable, not signed in).
 */
export async function commitEach(
  context: TransferContext,
  changes: readonly ChangeInput[],
): Promise<readonly Committed[]> {
  return commitEntries(
    context,
    changes.map((change) => [change]),
  )
}

/** The same for entries of several changes each, which happen together or not at all; `info` is that of the first change that made a version. */
export async function commitEntries(
  context: TransferContext,
  entries: readonly (readonly ChangeInput[])[],
): Promise<readonly Committed[]> {
  const { ids, device, operation } = context
  return commitSome(
    context,
    entries.map((changes) => ({ id: ids.next(), changes, device, operation })),
  )
}

/** The same for entries that have their ids already. */
export async function commitSome(
  context: TransferContext,
  entries: readonly EntryInput[],
): Promise<readonly Committed[]> {
  if (entries.length === 0) return []
  try {
    const outcomes = await context.store.commit(entries)
    return outcomes.map((outcome) => toCommitted(outcome, context))
  } catch (error) {
    if (!isBlobsError(error) || !OF_ONE.has(error.code)) throw error
    if (entries.length === 1) return [{ error }]
    const middle = Math.ceil(entries.length / 2)
    const first = await commitSome(context, entries.slice(0, middle))
    return [...first, ...(await commitSome(context, entries.slice(middle)))]
  }
}

function toCommitted(outcome: Outcome, context: TransferContext): Committed {
  if (outcome.ok) return { info: outcome.blobs[0] ?? null, all: outcome.blobs }
  const { bucket } = context
  const { conflicts } = outcome
  const [first] = conflicts
  if (!first) return { error: new BlobsError('VersionConflict', `${bucket} has changed`, { bucket }) }
  const { key } = first
  const details = { bucket, key, conflicts, hint: nextStep(first, context) }
  return {
    error: new BlobsError('VersionConflict', `${bucket}/${key} is not at the version that was expected`, details),
  }
}

function nextStep({ key, current }: Conflict, { show }: TransferContext): string {
  if (current === null) return `put it anew without --if-version · what there is: blobs ls ${show('')}`
  const see = `see the difference: blobs history ${show(key)}`
  // What is in no log of ours has no history.
  if (current.modified === '') return `see what is there: blobs get ${show(key)}`
  return current.deleted ? see : `${see} · take theirs: blobs get ${show(key)}`
}
