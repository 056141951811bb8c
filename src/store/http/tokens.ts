import { TOKENS, tokenPath } from '../../protocol/routes.ts'
import type { Checked } from '../../protocol/schema.ts'
import {
  newToken,
  ownToken,
  revokedAnswer,
  type revokeRequest,
  tokenRecord,
  type tokenRequest,
  tokensAnswer,
} from '../../protocol/token-messages.ts'
import { BlobsError, isBlobsError } from '../contract/errors.ts'
import { ask, askJson, jsonBody } from './client.ts'
import { discard } from './failures.ts'
import { openTransport, type TransportOptions } from './transport.ts'

/** The tokens of a `blobs serve`, as far as the token that asks administers them. */
export interface HttpTokens {
  create(request: Checked<typeof tokenRequest>): Promise<Checked<typeof newToken>>
  list(): AsyncIterable<Checked<typeof tokenRecord>>
  find(id: string): Promise<Checked<typeof tokenRecord> | null>
  /** The token that asks. */
  self(): Promise<Checked<typeof ownToken>>
  /** Gives the ids that are revoked now. */
  revoke(request: Checked<typeof revokeRequest>): Promise<readonly string[]>
  /** `keep` in milliseconds. */
  rotate(keep: number): Promise<void>
  close(): void
}

export async function openHttpTokens(options: TransportOptions): Promise<HttpTokens> {
  const transport = await openTransport(options)
  const post = { method: 'POST' as const, once: true }
  return {
    create: (request) => askJson(transport, { ...post, path: TOKENS, body: jsonBody(request) }, newToken),
    list: async function* () {
      let after = ''
      for (;;) {
        const path = after === '' ? TOKENS : `${TOKENS}?after=${encodeURIComponent(after)}`
        const page = await askJson(transport, { method: 'GET', path }, tokensAnswer)
        yield* page.tokens
        if (page.complete) return
        if (page.next === undefined || page.next <= after) {
          throw new BlobsError('Unavailable', `${transport.origin} cut its list of tokens short`)
        }
        after = page.next
      }
    },
    find: async (id) => {
      try {
        return await askJson(transport, { method: 'GET', path: tokenPath(id) }, tokenRecord)
      } catch (error) {
        if (isBlobsError(error, 'NotFound')) return null
        throw error
      }
    },
    self: () => askJson(transport, { method: 'GET', path: `${TOKENS}/self` }, ownToken),
    revoke: async (request) =>
      (await askJson(transport, { ...post, path: `${TOKENS}/revoke`, body: jsonBody(request) }, revokedAnswer)).revoked,
    rotate: async (keep) => {
      await discard(await ask(transport, { ...post, path: `${TOKENS}/rotate`, body: jsonBody({ keep }) }, 204))
    },
    close: () => transport.close(),
  }
}
