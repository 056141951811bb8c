import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Seen } from './v1.ts'

/** Takes one line of JSON, with its line feed. */
export type LogWriter = (line: string) => void

/** A log of one JSON object a line. Never holds a token, a secret, or a query. */
export interface Log {
  event(name: string, fields?: Readonly<Record<string, unknown>>): void
  /** Begins to watch a request; its line is written when its connection is done with it. */
  request(request: FastifyRequest, reply: FastifyReply): void
  /** Adds what was found out about it. */
  seen(request: FastifyRequest, what: Seen & { readonly error?: unknown }): void
}

export function openLog(write: LogWriter, now: () => number): Log {
  const known = new WeakMap<FastifyRequest, Record<string, unknown>>()
  const event: Log['event'] = (name, fields = {}) => {
    write(`${JSON.stringify({ time: new Date(now()).toISOString(), event: name, ...fields })}\n`)
  }
  return {
    event,
    request: (request, reply) => {
      const started = performance.now()
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
          ms: Math.round(performance.now() - started),
          bytes: socket.bytesWritten - before,
          from: socket.remoteAddress ?? '',
          ...facts,
        })
      })
    },
    seen: (request, { error, ...what }) => {
      const facts = known.get(request)
      if (facts) Object.assign(facts, what, error === undefined ? {} : { error: told(error) })
    },
  }
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
