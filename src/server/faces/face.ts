import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Grant } from '../../access/grant.ts'
import { parseTarget, type Target } from '../../protocol/routes.ts'
import type { Problem } from '../../protocol/problems.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Call, Context } from '../call.ts'
import { checkLocal } from '../local.ts'
import { problemOf } from '../problems.ts'
import { PLAIN_SIGHT } from '../sight.ts'
import { openTrail, type Trail } from '../trail.ts'
import type { Seen } from '../v1.ts'

/** Which protocols of other servers are spoken, and for what. */
export type FaceOptions =
  /** `spool`: a directory for parts of uploads, made when it is needed; nothing in it has a name for longer than a moment. */
  | { readonly name: 'containers'; readonly signUp: 'this machine' | 'anybody'; readonly spool: string }
  /** `store`: the one that requests mean which name none. */
  | { readonly name: 'changelog'; readonly bucket: string; readonly store: string }
  | { readonly name: 'addresses'; readonly bucket: string }

/** One request of a face. */
export interface Ask {
  readonly context: Context
  readonly request: IncomingMessage
  readonly reply: FastifyReply
  readonly path: string
  readonly query: NonNullable<Target['query']>
  readonly trail: Trail
  /** As `Call.note`. */
  readonly note: (error: unknown) => void
}

export interface FaceRoute {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'DELETE' | 'OPTIONS'
  readonly url: string
  /** What it is called in the audit log. */
  readonly action: string
  readonly handle: (ask: Ask) => Promise<FastifyReply>
}

/** A protocol of another server. */
export interface Face {
  readonly name: FaceOptions['name']
  readonly routes: readonly FaceRoute[]
  /** Throws for one whom it does not serve at all. */
  enter(ask: Pick<Ask, 'request' | 'reply'>): void
  /** Answers what failed as clients of the protocol know it. */
  tell(reply: FastifyReply, problem: Problem): FastifyReply
  close(): Promise<void>
}

/** Registers the routes of a face. */
export function registerFace(
  app: FastifyInstance,
  context: Context,
  face: Face,
  seen: (request: FastifyRequest, what: Seen & { readonly error?: unknown }) => void,
): void {
  for (const { method, url, action, handle } of face.routes) {
    app.route({
      method,
      url,
      handler: async (request, reply) => {
        reply.header('x-blobs-face', face.name)
        const trail = openTrail(context, request.raw, reply, action)
        const note = (error: unknown): void => seen(request, { error })
        try {
          face.enter({ request: request.raw, reply })
          const { path, query } = parseTarget(request.raw.url ?? '')
          if (query === null) throw new BlobsError('InvalidRequest', 'the address has broken percent-encoding')
          const answer = await handle({ context, request: request.raw, reply, path, query, trail, note })
          seen(request, { token: trail.grant?.id ?? '', bucket: trail.bucket })
          return answer
        } catch (error) {
          const problem = problemOf(error)
          if (problem.status >= 500) note(error)
          reply.code(problem.status).header('x-blobs-code', problem.code)
          if (problem.status === 503) reply.header('retry-after', Math.ceil((problem.retryAfter ?? 1000) / 1000))
          return face.tell(reply, problem)
        }
      },
    })
  }
}

/** The request as one of those of `/v1`, under a grant. */
export function callOf(
  { context, request, reply, query, trail, note }: Ask,
  { grant, lease, bucket, key }: Pick<Call, 'grant' | 'lease' | 'bucket' | 'key'>,
): Call {
  Object.assign(trail, { grant, bucket, key })
  return {
    context,
    request,
    reply,
    grant,
    lease,
    bucket,
    key,
    query,
    note,
    audit: (item) => void trail.told.push(item),
    sight: PLAIN_SIGHT,
  }
}

/** Does what a program on this machine asks for, which needs no token: all that may be done in one bucket. */
export async function asLocal(
  ask: Ask,
  { name, bucket, key = '' }: { readonly name: string; readonly bucket: string; readonly key?: string },
  act: (call: Call) => Promise<FastifyReply>,
): Promise<FastifyReply> {
  const grant: Grant = {
    id: `face ${name}`,
    name,
    bucket,
    prefixes: null,
    can: ['read', 'write', 'delete'],
    expires: null,
    issued: null,
    key: '',
  }
  const leave = ask.context.shares.enter(grant.id)
  const lease = { signal: new AbortController().signal, release: () => undefined }
  try {
    return await act(callOf(ask, { grant, lease, bucket, key }))
  } finally {
    leave()
  }
}

/** For faces that know no tokens: whom they serve. */
export function enterLocally({ request, reply }: Pick<Ask, 'request' | 'reply'>): void {
  // What is kept may be a page of a stranger: nothing in it runs in this origin.
  reply.headers({ 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'; sandbox" })
  checkLocal(request)
}
