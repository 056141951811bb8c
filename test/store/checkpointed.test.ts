import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { handle } from '../../src/store/handle.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import type { Backend } from '../../src/store/ports.ts'
import { present } from '../backends/conformance.ts'
import { blobStoreConformance, type Opened } from './conformance.ts'
import { openCountedPlace } from './counted.ts'

const PAGES = { least: 400, around: 400, most: 8000 }

type LogStore = Awaited<ReturnType<typeof openLogStore>>

/**
 * A store that is opened anew for each call, by a machine that knows nothing of the bucket: it starts from the checkpoint that was written
 * after the last commit, over a log whose beginning was trimmed away.
 */
async function openAnewEachTime(backend: Backend): Promise<Opened> {
  const opened: LogStore[] = []
  const fresh = async (): Promise<LogStore> => {
    const ports = present(await backend.open('bucket'))
    const { promises } = backend
    const options = { name: 'bucket', ports, viewDirectory: null, promises, clock, ids, pageSizes: PAGES }
    const store = await openLogStore(options)
    opened.push(store)
    return store
  }
  await backend.create('bucket')
  const first = await fresh()
  for (let n = 0; n < 5; n++) await first.configure({})
  if ((await first.trim({ positions: 1, time: 0 })) === 0) throw new Error('the log was not trimmed')
  const store: BlobStore = {
    info: async () => (await fresh()).info(),
    head: async (key, options) => (await fresh()).head(key, options),
    get: async (key, options) => (await fresh()).get(key, options),
    commit: async (entries, options) => {
      const writer = await fresh()
      const outcomes = await writer.commit(entries, options)
      await writer.checkpoint()
      return outcomes
    },
    list: async (options) => (await fresh()).list(options),
    changes: async function* (options) {
      yield* (await fresh()).changes(options)
    },
    missing: async (hashes) => first.missing(hashes),
    stage: async (chunks) => first.stage(chunks),
    fetch: async function* (wants) {
      yield* (await fresh()).fetch(wants)
    },
    chunksOf: async (key, version) => (await fresh()).chunksOf(key, version),
    close: async () => {
      for (const one of opened) await one.close()
    },
  }
  const closed = handle(store, store.close)
  return {
    store: closed,
    close: async () => {
      await closed.close()
      await backend.close()
    },
  }
}

blobStoreConformance('a LogStore in memory, opened anew at a checkpoint of a trimmed log for each call,', () =>
  openAnewEachTime(openMemory()),
)
blobStoreConformance('a LogStore in objects, opened anew at a checkpoint of a trimmed log for each call,', () =>
  openAnewEachTime(openCountedPlace().open()),
)
