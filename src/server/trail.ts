import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Grant } from '../access/grant.ts'
import { decodeText } from '../protocol/blob-headers.ts'
import type { Audited } from './audit.ts'
import type { Context } from './call.ts'

/** What comes to light of a request on its way, for the audit log. */
export interface Trail {
  grant: Grant | null
  bucket: string
  key: string
  /** What was done in it, besides or instead of the request as a whole. */
  readonly told: Audited[]
}

/** Requests that do many things, of which each is told. */
const SPLIT: ReadonlySet<string> = new Set(['commit', 'fetch', 'token.create', 'token.revoke'])

/** Writes down what a request did once its connection is done with it; not for one that has not even tried to sign in. */
export function openTrail(
  { audit, clock }: Pick<Context, 'audit' | 'clock'>,
  request: IncomingMessage,
  reply: FastifyReply,
  action: string,
): Trail {
  const trail: Trail = { grant: null, bucket: '', key: '', told: [] }
  const started = clock.elapsed()
  const address = request.socket.remoteAddress ?? ''
  reply.raw.once('close', () => {
    const { grant, told } = trail
    if (grant === null && request.headers.authorization === undefined) return
    const done = { grant, address, ms: clock.elapsed() - started }
    const result = resultOf(reply)
    // What a stranger asks for is his own invention.
    if (grant === null) audit.write(done, [{ action, result }])
    else audit.write(done, result === 'ok' && SPLIT.has(action) ? told : [...told, whole(trail, reply, action, result)])
  })
  return trail
}

function whole({ bucket, key: named }: Trail, reply: FastifyReply, action: string, result: string): Audited {
  const version = Number(reply.getHeader('x-blobs-version'))
  const told = reply.getHeader('x-blobs-key')
  const key = named !== '' ? named : typeof told === 'string' ? decodeText(told) : ''
  return {
    action,
    ...(bucket === '' ? {} : { bucket }),
    ...(key === '' ? {} : { key }),
    ...(version > 0 ? { version } : {}),
    result,
  }
}

function resultOf(reply: FastifyReply): string {
  const code = reply.getHeader('x-blobs-code')
  if (typeof code === 'string') return code
  return reply.raw.writableFinished ? 'ok' : 'cut'
}
