import type { FastifyReply } from 'fastify'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { BlobInfo } from '../../store/contract/types.ts'
import { type Staged, stageStream } from '../../store/contract/upload.ts'
import { declaredLength } from '../body.ts'
import { primed } from '../../store/contract/primed.ts'
import { type Call, isMissing, sendBytes, sendJson, useBucket, useBucketToWrite, withBody } from '../call.ts'
import { type Ask, asLocal, enterLocally, type Face } from './face.ts'

const PATH = '/blobs'
const MiB = 1024 * 1024
/** As the original has it. */
const MAX_BLOB = 16 * MiB
const MAX_OTHER = MiB
const ADDRESS = /^[0-9a-f]{64}$/
/** What cutting a stream holds, beside the memory for chunks. */
const STREAM_HELD = 2 * MiB
/** Each time somebody else was faster. */
const ATTEMPTS = 8

/** Blobs that are named by what is in them (seed 003), in one bucket: the key is the address. */
export function openAddresses({ bucket }: { readonly bucket: string }): Face {
  const name = 'addresses'
  const act = (ask: Ask, key: string, does: (call: Call) => Promise<FastifyReply>): Promise<FastifyReply> =>
    asLocal(ask, { name, bucket, key }, does)
  const read = (ask: Ask): Promise<FastifyReply> => {
    if ((declaredLength(ask.request) ?? 0) > MAX_OTHER) throw new BlobsError('TooLarge', 'the body is too large')
    return act(ask, addressIn(ask), getBlob)
  }
  return {
    name,
    routes: [
      { method: 'POST', url: PATH, action: 'put', handle: (ask) => act(ask, '', (call) => putBlob(ask, call)) },
      { method: 'GET', url: `${PATH}/:hash`, action: 'get', handle: read },
      { method: 'HEAD', url: `${PATH}/:hash`, action: 'head', handle: read },
    ],
    enter: enterLocally,
    tell: (reply, { status, detail }) => sendJson(reply, { error: detail }, status),
    close: async () => undefined,
  }
}

function addressIn({ path }: Ask): string {
  const address = path.slice(PATH.length + 1)
  if (ADDRESS.test(address)) return address
  throw new BlobsError('InvalidRequest', 'an address is 64 lower-case hexadecimal digits')
}

async function putBlob({ trail }: Ask, call: Call): Promise<FastifyReply> {
  return useBucketToWrite(call, async (_confined, store) => {
    const { maxBlobSize = MAX_BLOB } = (await store.info()).options
    const rules = { maxBytes: Math.min(maxBlobSize, MAX_BLOB), held: STREAM_HELD, lent: true }
    const staged = await withBody(call, rules, (body) =>
      stageStream(store, body, { slabs: call.context.memory.of(call.grant.id) }),
    )
    trail.key = staged.hash
    await keep(call, store, staged)
    return sendJson(call.reply, { hash: staged.hash })
  })
}

/** Puts the bytes at their address, unless they are there. */
async function keep({ context, grant, bucket }: Call, store: BlobStore, staged: Staged): Promise<void> {
  const { hash: key } = staged
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = await store.head(key)
    if (holds(found, key)) return
    const expect = found === null || found.deleted ? 'absent' : ({ version: found.version, hash: found.hash } as const)
    const put = { type: 'put', key, expect, contentType: 'application/octet-stream', meta: {}, ...staged } as const
    const [outcome] = await store.commit([{ id: context.newId(), author: grant.name, changes: [put] }])
    if (outcome?.ok) return
  }
  throw new BlobsError('Unavailable', `${bucket}/${key} changes too fast`, { bucket, key, retryAfter: 1000 })
}

/** Whether what stands at the address is what it says: other faces of the server may put anything there. */
function holds(info: BlobInfo | null, address: string): boolean {
  return info !== null && !info.deleted && info.hash === address
}

async function getBlob(call: Call): Promise<FastifyReply> {
  const { key, reply, request } = call
  const absent = new BlobsError('NotFound', 'there is no such blob', { key })
  try {
    return await useBucket(call, async (store) => {
      const info = await store.head(key)
      if (info === null || !holds(info, key)) throw absent
      reply.headers({
        etag: `"${key}"`,
        'content-type': 'application/octet-stream',
        'content-length': info.size,
        'cache-control': 'private, max-age=31536000, immutable',
      })
      if (request.method === 'HEAD') return reply.send()
      const blob = await store.get(key, { version: info.version })
      if (blob === null) throw absent
      return sendBytes(call, await primed(blob.stream))
    })
  } catch (error) {
    for (const name of ['etag', 'content-type', 'content-length', 'cache-control']) reply.removeHeader(name)
    throw isMissing(error) ? absent : error
  }
}
