import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { mayAdmin } from '../../access/grant.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { authorize } from '../authorize.ts'
import type { Context } from '../call.ts'
import { isLocal } from '../local.ts'

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
