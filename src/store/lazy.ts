import type { BlobStore } from './contract/blob-store.ts'
import { BlobsError, isBlobsError } from './contract/errors.ts'

/**
 * A store that is opened by the first call that needs it: what cannot be opened yet fails that call as `open` did, and the next call
 * tries again. So it does after a call that failed for want of a good token: there may be another one by then; `forget` is told before. Closing it
 * closes what was opened.
 */
export function lazily(open: () => Promise<BlobStore>, forget: () => void = () => undefined): BlobStore {
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
  const refused = (used: Promise<BlobStore>, error: unknown): unknown => {
    if (isBlobsError(error, 'Unauthenticated') && opening === used) {
      opening = null
      forget()
    }
    return error
  }
  const using = async <T>(act: (store: BlobStore) => Promise<T>): Promise<T> => {
    const used = store()
    try {
      return await act(await used)
    } catch (error) {
      throw refused(used, error)
    }
  }
  async function* streaming<T>(act: (store: BlobStore) => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    const used = store()
    try {
      yield* act(await used)
    } catch (error) {
      throw refused(used, error)
    }
  }
  return {
    info: () => using((opened) => opened.info()),
    head: (key, options) => using((opened) => opened.head(key, options)),
    get: (key, options) => using((opened) => opened.get(key, options)),
    commit: (entries, options) => using((opened) => opened.commit(entries, options)),
    list: (options) => using((opened) => opened.list(options)),
    changes: (options) => streaming((opened) => opened.changes(options)),
    missing: (hashes) => using((opened) => opened.missing(hashes)),
    stage: (chunks, options) => using((opened) => opened.stage(chunks, options)),
    fetch: (wants) => streaming((opened) => opened.fetch(wants)),
    chunksOf: (key, version) => using((opened) => opened.chunksOf(key, version)),
    close: async () => {
      closed = true
      await opening?.then(
        (opened) => opened.close(),
        () => undefined,
      )
    },
  }
}
