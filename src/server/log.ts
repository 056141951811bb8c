import type { Clock } from '../platform/ports.ts'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Seen } from './v1.ts'

/** Takes one line of JSON, with its line feed. */
export type LogWriter = (line: string) => void

/** A log of one JSON object a line. Never holds a token, a secret, or a query. */
export interface Log {
  event(name: string, fields?: Readonly<Record<string, unknown>>): void
  /** Notes that a connection was refused because there are too many; at most once a second. */
  full(address: string): void
  /** Begins to watch a request; its line is written when its connection is done with it. */
  request(request: FastifyRequest, reply: FastifyReply): void
  /** Adds what was found out about it. */
  seen(request: FastifyRequest, what: Seen & { readonly error?: unknown }): void
}

const QUIET = 1000

export function openLog(write: LogWriter, clock: Pick<Clock, 'now' | 'elapsed'>): Log {
  const known = new WeakMap<FastifyRequest, Record<string, unknown>>()
  let told = Number.NEGATIVE_INFINITY
  let refused = 0
  const event: Log['event'] = (name, fields = {}) => {
    write(`${JSON.stringify({ time: new Date(clock.now()).toISOString(), event: name, ...fields })}\n`)
  }
  return {
    event,
    full: (from) => {
      refused += 1
      if (clock.now() - told < QUIET) return
      event('full', { from, refused })
      told = clock.now()
      refused = 0
    },
    request: (request, reply) => {
      const started = clock.elapsed()
      const facts: Record<string, unknown> = {}
      known.set(request, facts)
      const { method, socket } = request.raw
      const before = socket.bytesWritten
      reply.raw.once('close', () => {
        event('request', {
          id: request.id,
          method,
          path: request.raw.url?.split('?', 1)[0],
          status: reply.raw.headersSent ? reply.raw.statusCode : 0,
          whole: reply.raw.writableFinished,
          ms: Math.round(clock.elapsed() - started),
          bytes: socket.bytesWritten - before,
          from: socket.remoteAddress ?? '',
          ...facts,
        })
      })
    },
    seen: (request, { error, ...what }) => {
      const facts = known.get(request)
      if (facts) Object.assign(facts, what, error === undefined ? {} : { error: describeError(error) })
    },
  }
}

/** All that is known of an error: for the log, never for an answer. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.stack ?? error.message
  return error.cause === undefined ? own : `${own}\ncaused by ${describeError(error.cause)}`
}
