import type { BlobStore } from './contract/blob-store.ts'
import { BlobsError } from './contract/errors.ts'

/** Refuses what would change the bucket with `Forbidden`, before anything happens; the rest passes. `reason` ends the message. */
export function readOnly(store: BlobStore, reason = 'it was opened for reading only'): BlobStore {
  const refuse = async (): Promise<never> => {
    const { name } = await store.info()
    throw new BlobsError('Forbidden', `bucket ${name} cannot be written: ${reason}`, { bucket: name })
  }
  return { ...store, commit: refuse, stage: refuse }
}
