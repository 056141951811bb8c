import type { BlobStore } from '../../store/contract/blob-store.ts'
import { isBlobsError, type BlobsError } from '../../store/contract/errors.ts'
import type { EntryInput, Outcome } from '../../store/contract/types.ts'

/** What came of an entry: the store's outcome, or the error it gives for this entry alone. */
export type Settled = Outcome | { readonly id: string; readonly error: BlobsError }

/**
 * Commits entries that are independent of each other. When the store refuses the call because of some of them, those are found and the
 * others go on. `onSettled` is called, with each entry once in all, as outcomes become known. Throws errors that concern the
 * bucket as a whole.
 */
export async function commitAll(
  store: Pick<BlobStore, 'commit'>,
  entries: readonly EntryInput[],
  onSettled: (settled: readonly Settled[]) => void,
): Promise<void> {
  const waiting: (readonly EntryInput[])[] = [entries]
  for (let batch = waiting.pop(); batch !== undefined; batch = waiting.pop()) {
    if (batch.length === 0) continue
    try {
      onSettled(await store.commit(batch))
    } catch (error) {
      if (!concernsEntries(error)) throw error
      const [only] = batch
      if (batch.length === 1 && only !== undefined) onSettled([{ id: only.id, error }])
      else waiting.push(...split(batch, error))
    }
  }
}

function concernsEntries(error: unknown): error is BlobsError {
  return (
    isBlobsError(error, 'Forbidden') ||
    isBlobsError(error, 'TooLarge') ||
    isBlobsError(error, 'InvalidKey') ||
    isBlobsError(error, 'InvalidRequest') ||
    isBlobsError(error, 'Corrupt') ||
    isBlobsError(error, 'QuotaExceeded')
  )
}

/** The entries that the error names apart from the others, or two halves. */
function split(batch: readonly EntryInput[], error: BlobsError): (readonly EntryInput[])[] {
  const names = (entry: EntryInput): boolean => entry.changes.some((change) => change.key === error.key)
  const named = batch.filter(names)
  if (named.length > 0 && named.length < batch.length) {
    return [batch.filter((entry) => !names(entry)), ...named.map((entry) => [entry])]
  }
  const middle = Math.ceil(batch.length / 2)
  return [batch.slice(middle), batch.slice(0, middle)]
}
