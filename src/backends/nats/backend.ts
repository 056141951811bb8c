import type { Clock, Ids } from '../../platform/ports.ts'
import type { Backend, BackendPromises } from '../../store/ports.ts'
import { natsContent } from './content.ts'
import type { JetStream } from './jetstream.ts'
import { openNatsLog } from './log.ts'
import type { BucketNames, PlaceNames } from './names.ts'
import type { Registry } from './registry.ts'
import type { Wire } from './wire.ts'

export interface NatsBackendOptions {
  /** Closed with the backend. */
  readonly wire: Wire
  readonly js: JetStream
  readonly names: PlaceNames
  readonly registry: Registry
  readonly promises: BackendPromises
  /** Of buckets that are made. */
  readonly replicas: number
  readonly viewDirectory: string
  readonly clock: Clock
  readonly ids: Ids
  /** Told once when a bucket is made that one server alone will hold. */
  warnAlone(): void
}

/**
 * A bucket is two streams, a log and chunks, and one message of the registry that names them and decides: the streams are made before it,
 * and deleted after it says that they are removed. What a crash in between leaves is streams that nothing names.
 */
export function openNatsBackend(options: NatsBackendOptions): Backend {
  const { wire, js, names, registry, promises, replicas, viewDirectory, clock, ids } = options
  return {
    promises,
    viewDirectory,
    create: async (bucket) => {
      if ((await registry.find(bucket)) !== null) return false
      const record = { bucket, id: ids.next(), replicas }
      const streams = names.of(record)
      try {
        await js.createStream(streams.chunksConfig)
        await js.createStream(streams.logConfig)
      } catch (error) {
        // It is told either way.
        await deleteStreams(js, streams).catch(() => undefined)
        throw error
      }
      const made = await registry.add(record)
      if (!made) await deleteStreams(js, streams)
      else if (replicas === 1) options.warnAlone()
      return made
    },
    names: () => registry.names(),
    remove: async (bucket) => {
      const record = await registry.remove(bucket)
      if (record !== null) await deleteStreams(js, names.of(record))
      return record !== null
    },
    open: async (bucket) => {
      const record = await registry.find(bucket)
      if (record === null) return null
      const { maxEntryBytes } = promises
      const port = { js, names: names.of(record), present: () => registry.check(record) }
      return {
        log: openNatsLog({ ...port, wire, clock, ids, maxEntryBytes }),
        content: natsContent({ ...port, clock, maxBytes: maxEntryBytes }),
      }
    },
    close: () => wire.close(),
  }
}

async function deleteStreams(js: JetStream, streams: BucketNames): Promise<void> {
  await js.deleteStream(streams.log)
  await js.deleteStream(streams.chunks)
}
