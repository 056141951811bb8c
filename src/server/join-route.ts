import type { FastifyInstance } from 'fastify'
import type { Clock } from '../platform/ports.ts'
import type { TokenDesk } from '../access/desk.ts'
import type { Invitations, Redeemed } from '../access/invitations.ts'
import { parseJson } from '../protocol/json.ts'
import { joinRequest } from '../protocol/messages.ts'
import { JOIN_PATH } from '../protocol/routes.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Audit, Audited } from './audit.ts'
import { readBody, readText } from './body.ts'
import { sendJson } from './call.ts'
import type { Bounds } from './times.ts'

/** A machine that came in with a code. */
export interface Joined {
  /** As it calls itself. */
  readonly name: string
  readonly address: string
  readonly bucket: string
  /** Of its token. */
  readonly id: string
}
export interface JoinOptions {
  readonly invitations: Invitations
  readonly onJoined?: (joined: Joined) => void
}

const MAX_BODY = 4096
const JSON_BOUNDS = { values: 16, items: 16, names: 16, depth: 4 }
const NEW_CODE = 'ask for a new one: on the other machine, blobs share FOLDER makes it'

/** `POST /v1/join`: the one request that needs no token, since it is there to get one. */
export function registerJoin(
  app: FastifyInstance,
  { invitations, onJoined }: JoinOptions,
  server: {
    readonly desk: TokenDesk
    readonly audit: Audit
    readonly bounds: Bounds
    readonly clock: Clock
  },
): void {
  app.post(JOIN_PATH, async (request, reply) => {
    const rules = { maxBytes: MAX_BODY, total: server.bounds.headers }
    const text = await readText(readBody(request.raw, rules, server))
    const { code, name } = parseJson(text, joinRequest, JSON_BOUNDS)
    const address = request.raw.socket.remoteAddress ?? ''
    const redeemed = invitations.redeem(code, address)
    const told = (what: Omit<Audited, 'action'>): void =>
      server.audit.write({ grant: null, address, ms: 0 }, [{ action: 'join', ...what }])
    if (!redeemed.ok) {
      const error = refused(redeemed)
      told({ result: error.code })
      throw error
    }
    const { bucket, prefix } = redeemed.invited
    const asked = { bucket, name, ...(prefix === '' ? {} : { prefixes: [prefix] }) }
    const { token, record } = await server.desk.create(asked, '')
    const { id } = record
    told({ bucket, subject: id, result: 'ok' })
    onJoined?.({ name, address, bucket, id })
    return sendJson(reply.header('cache-control', 'no-store'), { token, id, bucket, prefix }, 201)
  })
}

function refused(redeemed: Exclude<Redeemed, { readonly ok: true }>): BlobsError {
  switch (redeemed.reason) {
    case 'too-many-tries':
      return new BlobsError('Unavailable', 'too many wrong codes came from this address', {
        retryAfter: redeemed.retryIn,
        hint: 'wait a minute',
      })
    case 'spent':
      return new BlobsError('Unauthenticated', 'this code was used already', { hint: NEW_CODE })
    case 'expired':
      return new BlobsError('Unauthenticated', 'this code has expired', { hint: NEW_CODE })
    case 'unknown':
      return new BlobsError('Unauthenticated', 'this code is not known', { hint: NEW_CODE })
  }
}
