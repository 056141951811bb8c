import type { BlobStore } from './contract/blob-store.ts'
import { BlobsError } from './contract/errors.ts'

/**
 * A store that is opened by the first call that needs it: what cannot be opened yet fails that call as `open` did, and the next call
 * tries again. Closing it closes what was opened.
 */
export function lazily(open: () => Promise<BlobStore>): BlobStore {
  let opening: Promise<BlobStore> | null = null
  let closed = false
  const store = (): Promise<BlobStore> => {
    if (closed) throw new BlobsError('InvalidRequest', 'this store was closed by the program that uses it')
    if (opening !== null) return opening
    const started = open()
    opening = started
    started.catch(() => {
      opening = null
    })
    return started
  }
  return {
    info: async () => (await store()).info(),
    head: async (key, options) => (await store()).head(key, options),
    get: async (key, options) => (await store()).get(key, options),
    commit: async (entries, options) => (await store()).commit(entries, options),
    list: async (options) => (await store()).list(options),
    changes: async function* (options) {
      yield* (await store()).changes(options)
    },
    missing: async (hashes) => (await store()).missing(hashes),
    stage: async (chunks) => (await store()).stage(chunks),
    fetch: async function* (wants) {
      yield* (await store()).fetch(wants)
    },
    chunksOf: async (key, version) => (await store()).chunksOf(key, version),
    close: async () => {
      closed = true
      await opening?.then(
        (opened) => opened.close(),
        () => undefined,
      )
    },
  }
}
