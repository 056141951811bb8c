import type { BlobStore } from './contract/blob-store.ts'
import { BlobsError } from './contract/errors.ts'

/** A store of one caller's own over one that others use too: closing it ends what this caller does, and calls `release`. */
export function handle(store: BlobStore, release: () => Promise<void>): BlobStore {
  const closing = new AbortController()
  const open = (): BlobStore => {
    if (!closing.signal.aborted) return store
    throw new BlobsError('InvalidRequest', 'this store was closed by the program that uses it')
  }
  return {
    info: async () => open().info(),
    head: async (key, options) => open().head(key, options),
    get: async (key, options) => open().get(key, options),
    commit: async (entries, options) => open().commit(entries, options),
    list: async (options) => open().list(options),
    changes: (options) => {
      const signal = options.signal === undefined ? closing.signal : AbortSignal.any([options.signal, closing.signal])
      return store.changes({ ...options, signal })
    },
    missing: async (hashes) => open().missing(hashes),
    stage: async (chunks, options) => open().stage(chunks, options),
    fetch: (wants) => open().fetch(wants),
    chunksOf: async (key, version) => open().chunksOf(key, version),
    ...(store.reach === undefined ? {} : { reach: store.reach }),
    close: async () => {
      closing.abort()
      await release()
    },
  }
}
