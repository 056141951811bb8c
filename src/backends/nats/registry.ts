import type { Ids } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import { API, apiCodeOf } from './failures.ts'
import type { JetStream } from './jetstream.ts'
import { bucketIn, type BucketRecord, type PlaceNames } from './names.ts'

/** Questions that are under way at the same time. */
const AT_ONCE = 64

/** What decides which buckets there are: the last message of a bucket's subject, replaced only by who has seen it. */
export interface Registry {
  /** Null if there is none, or it was removed. */
  find(bucket: string): Promise<BucketRecord | null>
  names(): Promise<readonly string[]>
  /** False if the name is taken, by whoever came first. */
  add(record: BucketRecord): Promise<boolean>
  /** What was there; null if there was none. */
  remove(bucket: string): Promise<BucketRecord | null>
  /** Throws `NotFound` if this very bucket was removed. */
  check(record: BucketRecord): Promise<void>
}

type Mark = { readonly v: 1; readonly removed: true } | ({ readonly v: 1 } & Omit<BucketRecord, 'bucket'>)
interface Found {
  readonly sequence: number
  readonly record: BucketRecord | null
}

export function openRegistry(js: JetStream, names: PlaceNames, ids: Ids): Registry {
  const newest = async (bucket: string): Promise<Found | null> => {
    const subject = names.bucketSubject(bucket)
    try {
      const message = await js.getLatest(names.registry, { last_by_subj: subject })
      if (message === null) return { sequence: 0, record: null }
      return { sequence: message.sequence, record: recordOf(bucket, message.data) }
    } catch (error) {
      if (apiCodeOf(error) === API.streamNotFound) return null
      throw error
    }
  }
  const replace = async (bucket: string, before: number, mark: Mark): Promise<boolean> => {
    try {
      await js.publish({
        stream: names.registry,
        subject: names.bucketSubject(bucket),
        data: JSON.stringify(mark),
        headers: { 'Nats-Expected-Last-Subject-Sequence': String(before) },
        once: ids.next(),
      })
      return true
    } catch (error) {
      if (apiCodeOf(error) === API.wrongLastSequence || apiCodeOf(error) === API.wrongLastSequenceUntold) return false
      throw error
    }
  }
  const find: Registry['find'] = async (bucket) => (await newest(bucket))?.record ?? null
  return {
    find,
    names: async () => {
      if ((await js.stream(names.registry)) === null) return []
      const found: string[] = []
      for await (const subjects of js.subjects(names.registry, names.bucketSubject('*'))) {
        const buckets = subjects.map(bucketIn)
        const records = await eachOf(buckets, AT_ONCE, find)
        found.push(...buckets.filter((_, index) => records[index] !== null))
      }
      return found.sort()
    },
    add: async ({ bucket, id, replicas }) => {
      if ((await newest(bucket)) === null) await makeRegistry(js, names, replicas)
      const before = await newest(bucket)
      if (before === null || before.record !== null) return false
      return replace(bucket, before.sequence, { v: 1, id, replicas })
    },
    remove: async (bucket) => {
      const before = await newest(bucket)
      const record = before?.record ?? null
      if (before === null || record === null) return null
      return (await replace(bucket, before.sequence, { v: 1, removed: true })) ? record : null
    },
    check: async ({ bucket, id }) => {
      if ((await find(bucket))?.id === id) return
      throw new BlobsError('NotFound', `bucket ${bucket} was removed`, { bucket })
    },
  }
}

async function makeRegistry(js: JetStream, names: PlaceNames, replicas: number): Promise<void> {
  try {
    await js.createStream(names.registryConfig(replicas))
  } catch (error) {
    // Another was faster, and wished other replicas.
    if (apiCodeOf(error) !== API.nameInUse) throw error
  }
}

function recordOf(bucket: string, data: Uint8Array): BucketRecord | null {
  let mark: Mark
  try {
    mark = JSON.parse(Buffer.from(data).toString('utf8')) as Mark
  } catch (cause) {
    throw new BlobsError('Corrupt', `what is known of bucket ${bucket} cannot be read`, { bucket, cause })
  }
  if ((mark.v as number) > 1) {
    throw new BlobsError('NotSupported', `bucket ${bucket} was made by a newer program`, {
      bucket,
      hint: 'update blobs',
    })
  }
  return 'removed' in mark ? null : { bucket, id: mark.id, replicas: mark.replicas }
}
