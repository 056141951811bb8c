import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { mayAdmin } from '../../access/grant.ts'
import { isOwnAddress } from '../../access/tries.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { authorize } from '../authorize.ts'
import type { Context } from '../call.ts'

/** `GET /metrics`, for Prometheus: to this machine itself, and to who has an admin token for all buckets. */
export function registerMetrics(app: FastifyInstance, context: Context): void {
  app.get('/metrics', async ({ raw }, reply) => {
    if (raw.headers.authorization !== undefined || !isLocal(raw)) await admitOperator(raw, context)
    const { text, type } = await context.meter.read()
    return reply.header('content-type', type).header('cache-control', 'no-store').send(text)
  })
}

async function admitOperator(request: IncomingMessage, context: Context): Promise<void> {
  const grant = await authorize(request, context.gate)
  if (mayAdmin(grant, '*')) return
  throw new BlobsError('Forbidden', 'this token may not read the metrics', {
    hint: "they need one that may administer all buckets: blobs token create '*' --can admin",
  })
}

const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'] as const
const OWN_NAME = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i

/**
 * Whether a program on this machine asks for itself: a proxy asks for others, and a page in a browser that a foreign name leads here
 * names that name.
 */
function isLocal({ socket, headers }: IncomingMessage): boolean {
  if (!isOwnAddress(socket.remoteAddress ?? '') || !OWN_NAME.test(headers.host ?? '')) return false
  return FORWARDED.every((name) => headers[name] === undefined)
}
