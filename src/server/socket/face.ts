import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { after } from '../../platform/timer.ts'
import { declaredLength } from '../body.ts'
import type { Budget } from '../budget.ts'
import type { Context } from '../call.ts'
import { describeError, type Log } from '../log.ts'
import type { Gateway } from './gateway.ts'
import { MAX_PACKET } from './limits.ts'

/** Where clients of this protocol knock. */
const PATH = '/socket.io/'

/** The face for clients of seed 000: their protocol over Socket.IO. */
export interface SocketFace {
  /** Whether a request that wants to become something else than HTTP may. */
  takes(request: IncomingMessage): boolean
  /** Turns such a request into a WebSocket, or refuses it. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  register(app: FastifyInstance): void
  /** Answers what is under way, and ends all connections. */
  close(): Promise<void>
}

/** Opens the face. Socket.IO itself is loaded with the first client: who has none pays nothing for it. */
export function openSocketFace(context: Context, log: Log, onFull: (address: string) => void): SocketFace {
  let opened: Promise<Gateway> | null = null
  const gateway = (): Promise<Gateway> =>
    (opened ??= import('./gateway.ts').then(({ openGateway }) => openGateway(context, log, onFull)))
  return {
    takes: ({ url }) => url?.startsWith(PATH) === true,
    upgrade: (request, socket, head) => {
      // Until it is a WebSocket nobody else listens, and an error that nobody hears ends the process.
      socket.on('error', () => undefined)
      if (context.stopping.aborted)
        return void socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n')
      gateway()
        .then((open) => open.upgrade(request, socket, head))
        .catch((error: unknown) => {
          log.event('socket', { act: 'upgrade', from: request.socket.remoteAddress ?? '', error: describeError(error) })
          socket.destroy()
        })
    },
    register: (app) => {
      app.route({
        method: ['GET', 'POST', 'OPTIONS'],
        url: PATH,
        handler: async (request, reply) => {
          const open = await gateway()
          limitBody(request.raw, open.room, context)
          reply.hijack()
          reply.raw.setHeader('x-request-id', request.id)
          open.request(request.raw, reply.raw)
          return reply
        },
      })
    },
    close: async () => (await opened)?.close(),
  }
}

/** What packets come in by a POST must be there in time, and there must be room for them. Throws `Unavailable`. */
function limitBody(request: IncomingMessage, room: Budget, { bounds, clock }: Context): void {
  if (request.method !== 'POST') return
  const bytes = Math.min(declaredLength(request) ?? MAX_PACKET, MAX_PACKET)
  const release = room.take(request.socket.remoteAddress ?? '', bytes)
  const cancel = after(clock, bounds.bodyTotal, () => request.destroy())
  request.once('close', () => {
    cancel()
    release()
  })
}
