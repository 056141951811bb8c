import type { IncomingMessage } from 'node:http'
import type { Gate } from '../access/gate.ts'
import type { Grant } from '../access/grant.ts'
import { BlobsError } from '../store/contract/errors.ts'

/** The grant of the request's token. Throws as `Gate.admit`. */
export async function authorize(request: IncomingMessage, gate: Gate, blind = 0): Promise<Grant> {
  const { authorization } = request.headers
  if (authorization === undefined) {
    throw new BlobsError('Unauthenticated', 'a token is needed', {
      hint: 'send it as Authorization: Bearer TOKEN; `blobs token create` makes one',
    })
  }
  const token = /^Bearer +([^\s]+) *$/i.exec(authorization)?.[1]
  if (token === undefined) {
    throw new BlobsError('Unauthenticated', 'the Authorization header is not of the form Bearer TOKEN')
  }
  return gate.admit(token, request.socket.remoteAddress ?? '', blind)
}
