import { bucketInfo, pageAnswer } from '../../protocol/messages.ts'
import { bucketPath } from '../../protocol/routes.ts'
import type { BlobStore } from '../contract/blob-store.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Cursor, ListOptions } from '../contract/types.ts'
import { askJson } from './client.ts'
import { fetchAll } from './fetch.ts'
import { followChanges, readChunksOf } from './follow.ts'
import { pageFault } from './page.ts'
import { type Place, readBlob, readHead } from './read.ts'
import type { Transport } from './transport.ts'
import { commitAll, missingOf, stageAll } from './write.ts'

/** One bucket of a server; `saw` is told how far a feed has come. Closing it ends its feeds and leaves the transport open. */
export function httpStore(transport: Transport, bucket: string, saw: (cursor: Cursor) => void): BlobStore {
  const closing = new AbortController()
  const open = (): Place => {
    if (!closing.signal.aborted) return { transport, bucket }
    throw new BlobsError('InvalidRequest', `bucket ${bucket} was closed by this program`, { bucket })
  }
  return {
    info: async () => askJson(open().transport, { method: 'GET', path: bucketPath(bucket) }, bucketInfo),
    head: async (key, { version } = {}) => readHead(open(), key, version),
    get: async (key, options = {}) => readBlob(open(), key, options),
    commit: async (entries) => commitAll(open(), entries),
    list: async (options = {}) => {
      const path = `${bucketPath(bucket, 'blobs')}${listQuery(options)}`
      const page = await askJson(open().transport, { method: 'GET', path }, pageAnswer)
      const fault = pageFault(page, bucket, options)
      if (fault === null) return page
      throw new BlobsError('Unavailable', `${transport.origin} does not answer as a blobs server: ${fault}`, { bucket })
    },
    changes: async function* (options) {
      for await (const item of followChanges(open(), options, closing.signal)) {
        saw(item.type === 'bookmark' ? item.cursor : item.position)
        yield item
      }
    },
    missing: async (hashes) => missingOf(open(), hashes),
    stage: async (chunks, options) => stageAll(open(), chunks, options?.passages ?? []),
    fetch: async function* (wants) {
      yield* fetchAll(open(), wants)
    },
    chunksOf: async (key, version) => readChunksOf(open(), key, version),
    close: () => {
      closing.abort()
      return Promise.resolve()
    },
  }
}

function listQuery(options: ListOptions): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && value !== false) query.set(name, String(value))
  }
  return query.size === 0 ? '' : `?${query.toString()}`
}
