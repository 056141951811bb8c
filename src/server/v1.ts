import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Grant } from '../access/grant.ts'
import type { Lease } from '../access/leases.ts'
import { after } from '../platform/timer.ts'
import { parsePath, parseTarget, ROOT, TOKENS } from '../protocol/routes.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Audited } from './audit.ts'
import { openTrail } from './trail.ts'
import { authorize } from './authorize.ts'
import { configureBucket, createBucket, getBucket, listBlobs, listBuckets, removeBucket } from './bucket-routes.ts'
import { type Call, checkBucket, type Context } from './call.ts'
import { followChanges } from './changes-route.ts'
import { fetchBlobs, findMissing, listChunks, stageChunks } from './chunk-routes.ts'
import { problemOf, sendProblem } from './problems.ts'
import { getBlob } from './read-routes.ts'
import { openSight } from './sight.ts'
import { createToken, getOwnToken, getToken, listTokens, revokeTokens, rotateSecret } from './token-routes.ts'
import { commitEntries, deleteBlob, putBlob } from './write-routes.ts'

type Handler = (call: Call) => Promise<FastifyReply>
type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
interface Route {
  readonly url: string
  /** What lies between bucket and key in the path; null where the path names no bucket. */
  readonly below: string | null
  /** What it is called in the audit log, and what does it. */
  readonly methods: Partial<Record<Method, readonly [action: string, handler: Handler]>>
}

const BUCKET = `${ROOT}/:bucket`
/** What may be told as it was known a while ago, if it says so. */
const READS: ReadonlySet<string> = new Set(['bucket.get', 'list', 'get', 'head', 'fetch', 'chunks', 'changes'])
const ALL: readonly Method[] = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE']
/** Every route of the face. */
export const ROUTES: readonly Route[] = [
  { url: ROOT, below: null, methods: { GET: ['bucket.list', listBuckets] } },
  {
    url: BUCKET,
    below: '',
    methods: {
      GET: ['bucket.get', getBucket],
      PUT: ['bucket.create', createBucket],
      PATCH: ['bucket.set', configureBucket],
      DELETE: ['bucket.remove', removeBucket],
    },
  },
  { url: `${BUCKET}/blobs`, below: 'blobs', methods: { GET: ['list', listBlobs] } },
  {
    url: `${BUCKET}/blobs/*`,
    below: 'blobs',
    methods: { GET: ['get', getBlob], HEAD: ['head', getBlob], PUT: ['put', putBlob], DELETE: ['delete', deleteBlob] },
  },
  { url: `${BUCKET}/commit`, below: 'commit', methods: { POST: ['commit', commitEntries] } },
  { url: `${BUCKET}/chunks`, below: 'chunks', methods: { POST: ['stage', stageChunks] } },
  { url: `${BUCKET}/chunks/missing`, below: 'chunks/missing', methods: { POST: ['missing', findMissing] } },
  { url: `${BUCKET}/fetch`, below: 'fetch', methods: { POST: ['fetch', fetchBlobs] } },
  { url: `${BUCKET}/chunks-of/*`, below: 'chunks-of', methods: { GET: ['chunks', listChunks] } },
  { url: `${BUCKET}/changes`, below: 'changes', methods: { GET: ['changes', followChanges] } },
  { url: TOKENS, below: null, methods: { GET: ['token.list', listTokens], POST: ['token.create', createToken] } },
  { url: `${TOKENS}/self`, below: null, methods: { GET: ['token.self', getOwnToken] } },
  { url: `${TOKENS}/revoke`, below: null, methods: { POST: ['token.revoke', revokeTokens] } },
  { url: `${TOKENS}/rotate`, below: null, methods: { POST: ['token.rotate', rotateSecret] } },
  { url: `${TOKENS}/:id`, below: null, methods: { GET: ['token.get', getToken] } },
]

/** What an operator may know of a request. */
export interface Seen {
  token?: string
  bucket?: string
}

/** The `/v1` face of docs/protocol.md. Every request below `/v1` needs a token, also one for what does not exist. */
export function registerV1(
  app: FastifyInstance,
  context: Context,
  seen: (request: FastifyRequest, what: Seen & { readonly error?: unknown }) => void,
): void {
  for (const { url, below, methods } of ROUTES) {
    app.route({
      method: [...ALL],
      url,
      handler: async (request, reply) => {
        // Fastify has only the methods of ALL here.
        const [action, handler] = methods[request.method as Method] ?? ['none', null]
        const trail = openTrail(context, request.raw, reply, action)
        const reads = READS.has(action)
        const grant = await authorize(request.raw, context.gate, reads ? context.staleReads : 0)
        trail.grant = grant
        seen(request, { token: grant.id })
        if (!handler) return refuseMethod(reply, request.method, Object.keys(methods))
        const { path, query } = parseTarget(request.raw.url ?? '')
        const place = below === null ? { bucket: '', key: '' } : parsePath(path, below)
        if (place === null || query === null) {
          throw new BlobsError('InvalidRequest', 'the address has broken percent-encoding')
        }
        Object.assign(trail, place)
        if (below !== null) checkBucket(grant, place.bucket)
        if (place.bucket !== '') seen(request, { bucket: place.bucket })
        const note = (error: unknown): void => seen(request, { error })
        const sight = openSight(request.raw, reply, reads)
        const audit = (item: Audited): void => void trail.told.push(item)
        return underGrant(context, grant, reply, (lease) =>
          handler({ context, request: request.raw, reply, grant, lease, query, note, audit, sight, ...place }),
        )
      },
    })
  }
}

/** Milliseconds in which a request whose grant has ended may still tell so; then its connection is cut. */
const LAST_WORDS = 500

/** Does what a request asks for as long as its grant lasts. */
export async function underGrant(
  { gate, shares, clock }: Context,
  grant: Grant,
  { raw }: FastifyReply,
  act: (lease: Lease) => Promise<FastifyReply>,
): Promise<FastifyReply> {
  const leave = shares.enter(grant.id)
  const lease = gate.lease(grant)
  let cancel = (): void => undefined
  lease.signal.addEventListener('abort', () => {
    cancel = after(clock, LAST_WORDS, () => raw.destroy())
  })
  try {
    lease.signal.throwIfAborted()
    return await act(lease)
  } finally {
    cancel()
    lease.release()
    leave()
  }
}

function refuseMethod(reply: FastifyReply, method: string, allowed: readonly string[]): FastifyReply {
  const error = new BlobsError('NotSupported', `${method} is not possible here`, {
    hint: `possible: ${allowed.join(', ')}`,
  })
  return sendProblem(reply.header('allow', allowed.join(', ')), { ...problemOf(error), status: 405 })
}

/** Answers for paths that are nothing. */
export async function refuseUnknown(
  request: FastifyRequest,
  reply: FastifyReply,
  context: Context,
): Promise<FastifyReply> {
  if (request.raw.url?.startsWith('/v1')) await authorize(request.raw, context.gate)
  return sendProblem(
    reply,
    problemOf(new BlobsError('NotFound', 'there is nothing at this path', { hint: 'see docs/protocol.md' })),
  )
}
