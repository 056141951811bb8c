import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'
import { cursor } from '../protocol/messages.ts'
import { SEEN, STALE, STANDS } from '../protocol/sight-headers.ts'
import type { Cursor } from '../store/contract/types.ts'

/** How far a caller has seen the history of his bucket, and how far an answer to him has. */
export interface Sight {
  readonly seen: readonly Cursor[]
  /** Whether what was known a while ago may be told. */
  readonly mayBeStale: boolean
  /** Tells how far the answer has seen; `age`: it has been stale for so many milliseconds. */
  told(cursor: Cursor, age?: number): void
}

/** For those who have no words for it. */
export const PLAIN_SIGHT: Sight = { seen: [], mayBeStale: false, told: () => undefined }

/** What a request says in its head, and its answer in its own. Throws `Malformed`. */
export function openSight({ headers }: IncomingMessage, reply: FastifyReply, mayBeStale: boolean): Sight {
  const { [SEEN]: seen } = headers
  return {
    seen: seen === undefined ? [] : [cursor(seen, SEEN)],
    mayBeStale,
    told: (head, age) => {
      if (reply.sent || reply.raw.headersSent) return
      reply.header(STANDS, head)
      if (age !== undefined) reply.header(STALE, Math.ceil(age / 1000))
    },
  }
}
