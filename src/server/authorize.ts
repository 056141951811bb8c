import type { IncomingMessage } from 'node:http'
import type { Grant } from '../access/grant.ts'
import type { Rejection } from '../access/tokens.ts'
import type { Verifier } from '../access/verifier.ts'
import { BlobsError } from '../store/contract/errors.ts'

const REASONS: Readonly<Record<Rejection, string>> = {
  malformed: 'the token is not one',
  'wrong-algorithm': 'the token is not signed with HS256',
  'wrong-signature': 'the token was not signed by this server',
  expired: 'the token has expired',
  'not-yet-valid': 'the token is not valid yet',
  'bad-claims': 'the token has claims that are not understood',
}

/** The grant of the request's token; throws `Unauthenticated`. */
export async function authorize(request: IncomingMessage, verify: Verifier): Promise<Grant> {
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
  return admit(token, verify)
}

/** The grant of a token, however it came; throws `Unauthenticated`. */
async function admit(token: string, verify: Verifier): Promise<Grant> {
  const verdict = await verify(token)
  if (verdict.ok) return verdict.grant
  throw new BlobsError('Unauthenticated', REASONS[verdict.reason], { hint: 'ask for a new token' })
}
