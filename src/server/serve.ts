import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../platform/ports.ts'
import { systemClock } from '../platform/system.ts'
import type { Buckets } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { type Access, type AccessOptions, openAccess } from './access.ts'
import { openAudit } from './audit.ts'
import { openBudget } from './budget.ts'
import type { Context } from './call.ts'
import { openFaces } from './faces/faces.ts'
import { type FaceOptions, registerFace } from './faces/face.ts'
import { checkHead } from './head.ts'
import { openHealth } from './health.ts'
import { keepHouse } from './house.ts'
import { type JoinOptions, registerJoin } from './join-route.ts'
import {
  checkExposure,
  checkFaces,
  createListener,
  lingerAfter,
  listen,
  refuseConnection,
  stopListening,
  type Tls,
} from './listener.ts'
import { type Log, type LogWriter, openLog } from './log.ts'
import { openPool } from './pool.ts'
import { problemOf, sendProblem } from './problems.ts'
import { openSocketFace } from './socket/face.ts'
import { openShares } from './shares.ts'
import { openMeter } from './metrics/meter.ts'
import type { Space } from './metrics/registry.ts'
import { registerMetrics } from './metrics/route.ts'
import { openMemory } from './memory.ts'
import { openStagedMemory } from './staged.ts'
import { type Bounds, defaultBounds } from './times.ts'
import { openTraffic, type Traffic } from './traffic.ts'
import { refuseUnknown, registerV1 } from './v1.ts'

export interface ServerOptions extends AccessOptions {
  /** What is served. Stays the caller's, to be closed after the server. */
  readonly buckets: Buckets
  /** Default 127.0.0.1. Any other than this machine's own needs `tls`. */
  readonly host?: string
  /** Default 7420; 0 takes a free one. */
  readonly port?: number
  readonly tls?: Tls
  readonly log?: LogWriter
  /** Takes the lines of the audit log. */
  readonly audit?: LogWriter
  /** What the store takes on its disk, for the metrics. */
  readonly space?: () => Promise<Space>
  /** Lets who has a one-time code have a token. */
  readonly join?: JoinOptions
  /** Protocols of other servers that are spoken besides; those without tokens of their own on this machine's own addresses only. */
  readonly faces?: readonly FaceOptions[]
  readonly bounds?: Partial<Bounds>
  /** Milliseconds for which reads go on, marked as possibly stale, while the place of the buckets cannot be read; 0 unless given. */
  readonly staleReads?: number
  /** Milliseconds for which it goes on when it is to stop, with `/ready` turned off, before it takes no more; 0 unless given. */
  readonly drain?: number
  /** Milliseconds between two times that it lets go what buckets do not keep; never unless given. */
  readonly collectEvery?: number
  /** By which it waits; this machine's unless given. */
  readonly clock?: Clock
}

export type { Joined } from './join-route.ts'

export interface RunningServer {
  /** Origin for clients, as `http://127.0.0.1:7420`. */
  readonly url: string
  readonly port: number
  /**
   * Stops: takes no new connection or request, ends live feeds, finishes what it is working on. What is not finished in time
   * (`bounds.stop`) is cut, unacknowledged. May be called again.
   */
  close(): Promise<void>
}

/**
 * Starts the server; resolves once it accepts connections. Throws `Refused` (host without TLS, or with a face that is for this machine
 * alone), `Unavailable` (port taken).
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { host = '127.0.0.1', port = 7420, tls } = options
  checkExposure(host, tls)
  checkFaces(options.faces ?? [], host)
  const clock = { ...(options.clock ?? systemClock), now: options.now }
  const bounds = { ...defaultBounds, ...options.bounds }
  const access = await openAccess(options, bounds, clock)
  const { http, log, stop } = await openServer(options, access, { bounds, clock })
  const actual = await listen(http, host, port).catch(async (error: unknown) => {
    await access.close()
    throw error
  })
  const url = `${tls === undefined ? 'http' : 'https'}://${shown(host)}:${actual}`
  log.event('listening', { url })
  const { buckets, collectEvery: every } = options
  const house = every === undefined ? null : keepHouse({ buckets, every, clock, log })
  let closing: Promise<void> | null = null
  return { url, port: actual, close: () => (closing ??= Promise.all([house?.stop(), stop()]).then(() => undefined)) }
}

/** A server that listens nowhere yet: connections can be handed to `http` by its event. It closes `access` when it stops. */
export async function openServer(
  options: ServerOptions,
  access: Access,
  { bounds, clock }: Pick<Context, 'bounds' | 'clock'>,
): Promise<{ readonly http: FastifyInstance['server']; readonly log: Log; stop(): Promise<void> }> {
  const { tls, drain = 0 } = options
  const [draining, refusing, stopping] = [new AbortController(), new AbortController(), new AbortController()]
  const traffic = openTraffic()
  const log = openLog(options.log ?? (() => undefined), clock)
  const ends = { draining: draining.signal, stopping: stopping.signal }
  const context = openContext(options, access, { bounds, clock, traffic, ...ends })
  const onFull = (from: string): void => {
    log.full(from)
    context.meter.refused()
  }
  const face = openSocketFace(context, log, onFull)
  const faces = await openFaces(options.faces ?? [], { context, own: access.own })
  const { default: fastify } = await import('fastify')
  const app: FastifyInstance = fastify({
    serverFactory: (handler) => createListener(handler, { bounds, tls, traffic, onFull, upgrades: face }),
    exposeHeadRoutes: false,
    genReqId: () => options.newId().slice(0, 16),
    routerOptions: { maxParamLength: 8192 },
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, request, reply) => {
      log.request(request, reply)
      return fail(error, request, reply, log)
    },
  })
  const work = shape(app, context, log, refusing.signal)
  if (options.join) registerJoin(app, options.join, { desk: access.desk, audit: context.audit, bounds, clock })
  face.register(app)
  for (const one of faces) registerFace(app, context, one, (request, what) => log.seen(request, what))
  registerMetrics(app, context)
  await app.ready()
  return { http: app.server, log, stop }

  async function stop(): Promise<void> {
    log.event('stopping', { underWay: work.size })
    draining.abort()
    // After a time for others to see it, what still comes was on its way already.
    if (drain > 0) await clock.sleep(drain)
    else refusing.abort()
    const closed = stopListening(app.server, traffic.open, bounds.stop)
    stopping.abort()
    await Promise.all([face.close(), closed])
    // With their connections gone, the last handlers end by themselves.
    await Promise.allSettled(work)
    await Promise.all(faces.map((one) => one.close()))
    await access.close()
    await context.pool.close()
    await app.close()
    log.event('stopped')
  }
}

function openContext(
  { buckets, audit, now, newId, space, staleReads = 0 }: ServerOptions,
  { gate, desk }: Access,
  shared: Pick<Context, 'bounds' | 'clock' | 'draining' | 'stopping'> & { readonly traffic: Traffic },
): Context {
  const { bounds, clock, draining, stopping, traffic } = shared
  const health = openHealth(buckets, now, draining)
  return {
    buckets,
    pool: openPool(buckets),
    gate,
    desk,
    audit: openAudit(audit ?? null, clock),
    staged: openStagedMemory(now),
    budget: openBudget(bounds.bodies, bounds.bodiesPerToken),
    memory: openMemory({ total: bounds.staging, share: bounds.stagingPerToken, patience: bounds.stagingWait, clock }),
    shares: openShares({
      most: bounds.requestsPerToken,
      perSecond: bounds.requestsPerSecond,
      burst: bounds.requestBurst,
      now,
    }),
    health,
    meter: openMeter({ buckets, traffic, space: space ?? null, isReady: async () => (await health.reason()) === null }),
    bounds,
    clock,
    staleReads,
    now,
    newId,
    draining,
    stopping,
  }
}

/** Gives the app its hooks and routes; returns the requests that are under way. */
function shape(app: FastifyInstance, context: Context, log: Log, refusing: AbortSignal): ReadonlySet<Promise<unknown>> {
  const work = new Set<Promise<unknown>>()
  // Bodies are read by who needs them, as streams.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  app.addHook('onRequest', async (request, reply) => {
    log.request(request, reply)
    const started = context.clock.elapsed()
    const done = new Promise<void>((resolve) => {
      reply.raw.once('close', () => {
        work.delete(done)
        measure(request, reply, context, started)
        resolve()
      })
    })
    work.add(done)
    reply.raw.once('finish', () => lingerAfter(request.raw, context.clock))
    reply.header('x-request-id', request.id)
    if (refusing.aborted) {
      throw new BlobsError('Unavailable', 'the server is stopping', { retryAfter: 1000 })
    }
    checkHead(request.raw)
  })
  app.addHook('onSend', async (_request, reply) => {
    if (context.draining.aborted) reply.header('connection', 'close')
  })
  app.setErrorHandler((error, request, reply) => fail(error, request, reply, log))
  app.setNotFoundHandler((request, reply) => refuseUnknown(request, reply, context))
  app.get('/live', (_request, reply) => reply.send({ live: true }))
  app.get('/ready', async (_request, reply) => {
    const reason = await context.health.reason()
    if (reason === null) return reply.send({ ready: true })
    return sendProblem(reply, problemOf(new BlobsError('Unavailable', reason, { retryAfter: 1000 })))
  })
  registerV1(app, context, (request, what) => log.seen(request, what))
  return work
}

function measure(request: FastifyRequest, { raw }: FastifyReply, { meter, clock }: Context, started: number): void {
  meter.request({
    request: request.raw,
    route: request.routeOptions.url ?? null,
    status: raw.headersSent ? raw.statusCode : 0,
    seconds: (clock.elapsed() - started) / 1000,
  })
}

/** Error → answer, once. */
function fail(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log): FastifyReply {
  const known = ofFramework(error)
  const asks = request.method === 'GET' || request.method === 'HEAD' || request.raw.url?.endsWith('/fetch')
  const problem = problemOf(known, asks ? 'asks' : 'sends-bytes')
  if (problem.status >= 500) log.seen(request, { error: known })
  return sendProblem(reply, problem)
}

function ofFramework(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || !String(error.code).startsWith('FST_')) return error
  const status = 'statusCode' in error ? Number(error.statusCode) : 500
  return status < 500 ? new BlobsError('InvalidRequest', error.message, { cause: error }) : error
}

function shown(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}
