import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { Server as Engine } from 'engine.io'
import { Server, type Socket } from 'socket.io'
import { claimedBucket } from '../../access/claimed-bucket.ts'
import type { Grant } from '../../access/grant.ts'
import type { Lease } from '../../access/leases.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import type { Audited } from '../audit.ts'
import { type Budget, openBudget } from '../budget.ts'
import type { Context, Scene } from '../call.ts'
import { PLAIN_SIGHT } from '../sight.ts'
import { describeError, type Log } from '../log.ts'
import { problemOf } from '../problems.ts'
import { end } from './connection.ts'
import { type Followers, openFollowers } from './followers.ts'
import { limitConnections, MAX_PACKET } from './limits.ts'
import { openSession } from './session.ts'

/** Socket.IO, open for clients. */
export interface Gateway {
  /** Memory for packets that are not whole, by address. */
  readonly room: Budget
  request(request: IncomingMessage, response: ServerResponse): void
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  close(): Promise<void>
}

/** As seed 000 has it: bytes of one packet, and how often it is asked whether the other side lives. */
const WIRE = { maxHttpBufferSize: MAX_PACKET, pingInterval: 25_000, pingTimeout: 20_000 } as const

/** Of the memory for request bodies, what live clients have beside it, of their own. */
const PART = 1 / 4

export function openGateway(context: Context, log: Log, onFull: (address: string) => void): Gateway {
  const { bounds, stopping, pool, clock } = context
  const room = openBudget(bounds.bodies * PART, bounds.bodiesPerToken * PART)
  const tried = new WeakSet<Socket['conn']>()
  const inside = new WeakSet<Socket['conn']>()
  const engine = new Engine({
    ...WIRE,
    // Any origin may speak to it: what lets one in is a token in the first packet, which no browser adds by itself.
    cors: { origin: true },
    httpCompression: false,
    allowRequest: (request, answer) => limit.allow(request, answer),
  })
  const limit = limitConnections(engine, { bounds, room, isInside: (connection) => inside.has(connection), onFull })
  const server = new Server({ serveClient: false, connectTimeout: bounds.headers })
  server.bind(engine)
  /** Of each connection, how it ends when what is under way is answered. */
  const open = new Set<() => Promise<void>>()
  const followers = openFollowers({
    pool,
    clock,
    stopping,
    onError: (bucket, error) => log.event('socket', { bucket, error: describeError(error) }),
  })
  const admitted = new WeakMap<Socket, Admitted>()
  const refusal = async (socket: Socket): Promise<Error | undefined> => {
    try {
      admitted.set(socket, await enter(socket, context, tried))
      inside.add(socket.conn)
      return undefined
    } catch (error) {
      const address = socket.conn.remoteAddress
      log.event('socket', { act: 'connect', from: address, ...told(error) })
      context.audit.write({ grant: null, address, ms: 0 }, [{ action: 'connect', result: problemOf(error).code }])
      if (!isBlobsError(error, 'Unauthenticated')) end(socket.conn, clock)
      // The one word that clients of this protocol know.
      return new Error('Access denied')
    }
  }
  server.use(async (socket, next) => next(await refusal(socket)))
  server.on('connection', (socket) => {
    const one = admitted.get(socket)
    if (!one) return end(socket.conn, clock)
    const about = { grant: one.grant, address: socket.conn.remoteAddress }
    const audit = (item: Audited): void => context.audit.write({ ...about, ms: 0 }, [item])
    const { finish } = serve(socket, { scene: { context, audit, sight: PLAIN_SIGHT, ...one }, followers, log })
    open.add(finish)
    socket.once('disconnect', () => open.delete(finish))
  })
  return {
    room,
    request: (request, response) => engine.handleRequest(request as EngineRequest, response),
    upgrade: (request, socket, head) => engine.handleUpgrade(request as EngineRequest, socket, head),
    close: async () => {
      await Promise.all([...open].map((finish) => finish()))
      await server.close()
    },
  }
}

/** What events are called in the audit log; others read and write nothing. */
const ACTIONS: Readonly<Record<string, string>> = { get: 'get', set: 'put' }

interface Serving {
  readonly scene: Scene
  readonly followers: Followers
  readonly log: Log
}

/** Serves a connection until it ends, or its grant; `finish` ends it when what is under way is answered. */
function serve(socket: Socket, { scene, followers, log }: Serving): { finish(): Promise<void> } {
  const { grant, bucket, lease, context } = scene
  const about = { id: socket.id, token: grant.id, bucket, from: socket.conn.remoteAddress }
  log.event('socket', { act: 'connect', ...about })
  const session = openSession(socket, {
    scene,
    followers,
    onEvent: ({ name, ref, ms, error, version, made }) => {
      log.event('socket', { act: name, ref, ms: Math.round(ms), ...about, ...told(error) })
      context.meter.event({ name, failed: error !== null, seconds: ms / 1000 })
      const action = ACTIONS[name]
      if (action === undefined) return
      const what = { bucket, ...(ref === null ? {} : { key: ref }), ...(version === null ? {} : { version }) }
      const result = error !== null ? problemOf(error).code : made ? 'ok' : 'VersionConflict'
      context.audit.write({ grant, address: socket.conn.remoteAddress, ms: Math.round(ms) }, [
        { action, ...what, result },
      ])
    },
  })
  const leave = (): void => {
    void session.close()
    end(socket.conn, context.clock)
  }
  lease.signal.addEventListener('abort', leave)
  if (lease.signal.aborted) leave()
  const uncount = context.meter.open('socket')
  socket.once('disconnect', (reason) => {
    uncount()
    log.event('socket', { act: 'disconnect', reason, ...about })
  })
  return {
    finish: async () => {
      await session.close()
      end(socket.conn, context.clock)
    },
  }
}

type EngineRequest = Parameters<Engine['handleRequest']>[0]

interface Admitted {
  readonly grant: Grant
  /** Released with the connection. */
  readonly lease: Lease
  readonly bucket: string
}

/** Who may come in, and to which bucket. Throws `Unauthenticated`, or `Unavailable` when it has too many connections. */
async function enter({ conn, handshake }: Socket, context: Context, tried: WeakSet<Socket['conn']>): Promise<Admitted> {
  if (tried.has(conn)) throw new BlobsError('InvalidRequest', 'a connection asks for its bucket once')
  tried.add(conn)
  const { token } = handshake.auth
  if (typeof token !== 'string') throw new BlobsError('Unauthenticated', 'a token is needed')
  const grant = await context.gate.admit(token, conn.remoteAddress)
  if (grant.bucket === '*') throw new BlobsError('Unauthenticated', 'this protocol needs a token for one bucket')
  const bucket = claimedBucket(grant.bucket)
  if (conn.readyState !== 'open') throw new BlobsError('Unavailable', 'the connection is gone')
  const leave = context.shares.enter(grant.id)
  const lease = context.gate.lease(grant)
  conn.once('close', () => {
    lease.release()
    leave()
  })
  return { grant: { ...grant, bucket }, lease, bucket }
}

/** What the log says of an answer: why it was an error, and all that is known of one that is the server's own. */
function told(error: unknown): { readonly error?: string } {
  if (error === null) return {}
  const { detail, status } = problemOf(error)
  return { error: status >= 500 ? describeError(error) : detail }
}
