import { bucketInfo, bucketsAnswer } from '../../protocol/messages.ts'
import { bucketPath, ROOT } from '../../protocol/routes.ts'
import type { Buckets } from '../contract/blob-store.ts'
import { BlobsError } from '../contract/errors.ts'
import { checkBucketName } from '../contract/keys.ts'
import type { BucketInfo } from '../contract/types.ts'
import { ask, askJson, jsonBody } from './client.ts'
import { asError, discard, problemIn } from './failures.ts'
import { namesFault } from './page.ts'
import { openSightings } from './sightings.ts'
import { httpStore } from './store.ts'
import { openTransport, type Transport, type TransportOptions } from './transport.ts'

export interface HttpOptions extends TransportOptions {
  /** Told when the server begins to tell what it knew so many seconds ago, because it cannot reach the place of its buckets. */
  readonly onStale?: (seconds: number) => void
}

/** The buckets of a `blobs serve`. Connects with the first call that needs it. */
export async function openHttpBuckets({ onStale, ...options }: HttpOptions): Promise<Buckets> {
  const transport = await openTransport(options)
  const sightings = openSightings(onStale)
  // What must not be sent twice goes over a connection of its own, which cannot be one that the server just closed.
  const once = { once: true }
  return {
    create: (name, bucketOptions = {}) => {
      const body = jsonBody({ options: bucketOptions })
      return askJson(transport, { method: 'PUT', path: bucketPath(checkBucketName(name)), body, ...once }, bucketInfo)
    },
    list: () => listAll(transport),
    remove: async (name) => {
      await discard(await ask(transport, { method: 'DELETE', path: bucketPath(name), ...once }, 204))
    },
    configure: (name, bucketOptions) => {
      const body = jsonBody({ options: bucketOptions })
      return askJson(transport, { method: 'PATCH', path: bucketPath(name), body }, bucketInfo)
    },
    open: async (name) => {
      const sighted = sightings.over(transport, checkBucketName(name))
      await checkThere(sighted, name)
      return httpStore(sighted, name, (cursor) => sightings.saw(name, cursor))
    },
    close: () => {
      transport.close()
      return Promise.resolve()
    },
  }
}

async function* listAll(transport: Transport): AsyncGenerator<BucketInfo, void, undefined> {
  let after: string | undefined
  for (;;) {
    const path = after === undefined ? ROOT : `${ROOT}?after=${encodeURIComponent(after)}`
    const page = await askJson(transport, { method: 'GET', path }, bucketsAnswer)
    const names = page.buckets.map(({ name }) => name)
    const fault = namesFault(names, after, page.complete ? undefined : page.next)
    if (fault !== null)
      throw new BlobsError('Unavailable', `${transport.origin} does not answer as a blobs server: ${fault}`)
    yield* page.buckets
    if (page.complete) return
    if (page.next === undefined) {
      throw new BlobsError('Unavailable', `${transport.origin} cut its list of buckets short`)
    }
    after = page.next
  }
}

/** Throws `NotFound`, unless the first write would make the bucket. */
async function checkThere(transport: Transport, name: string): Promise<void> {
  const answer = await transport.send({ method: 'GET', path: bucketPath(name) })
  if (answer.status === 200) return discard(answer)
  const told = await problemIn(answer, transport.origin)
  if (told?.code !== 'NotFound' || !told.creatable) throw asError(answer, told, transport.origin)
}
