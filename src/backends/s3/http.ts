import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { authoritiesWith } from '../../platform/network.ts'
import type { Clock } from '../../platform/ports.ts'
import { after } from '../../platform/timer.ts'

export interface HttpOptions {
  /** PEM of authorities to trust besides the usual. */
  readonly ca?: string | undefined
  /** URL of an HTTP proxy, or null. */
  readonly proxy: string | null
  /** Connections at once; further requests wait for one. */
  readonly connections: number
  readonly waits?: Partial<Waits> | undefined
  readonly clock: Clock
}
/** How long is waited, in milliseconds. */
export interface Waits {
  readonly connect: number
  /** For any progress. */
  readonly silence: number
}
interface HttpRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | undefined
}
export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Whole: one that was cut is an error. */
  readonly body: Buffer
}
/** Requests over connections that are kept. */
export interface Http {
  /** Any answer, whatever its status. Throws errors of the network. */
  send(request: HttpRequest): Promise<HttpAnswer>
  close(): void
}

const WAITS: Waits = { connect: 10_000, silence: 60_000 }
/** Bytes a millisecond: what is slower is taken for dead. */
const SLOWEST = 0.5
/** Most bytes of an answer that are taken. */
const LARGEST = 256 * 1024 * 1024

export async function openHttp(protocol: string, options: HttpOptions): Promise<Http> {
  const { ca, proxy, connections, clock } = options
  // An `import` would evaluate all that the module names, a WebSocket client among it.
  const { Agent, request } =
    protocol === 'https:' ? process.getBuiltinModule('node:https') : process.getBuiltinModule('node:http')
  const agent = new Agent({
    keepAlive: true,
    maxSockets: connections,
    scheduling: 'lifo',
    ...(proxy === null ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
  })
  const trusted = ca === undefined ? {} : { ca: await authoritiesWith(ca) }
  const waits = { ...WAITS, ...options.waits }
  return {
    send: ({ method, url, headers, body }) => {
      const outgoing = request({
        agent,
        protocol: url.protocol,
        host: url.hostname.replace(/^\[|\]$/g, ''),
        port: url.port,
        path: url.pathname + url.search,
        method,
        maxHeaderSize: 128 * 1024,
        ...trusted,
        headers: { ...headers, 'content-length': body?.length ?? 0 },
      })
      return exchange(outgoing, body, waits, clock)
    },
    close: () => agent.destroy(),
  }
}

function exchange(
  request: ClientRequest,
  body: Uint8Array | undefined,
  waits: Waits,
  clock: Clock,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const cancels: (() => void)[] = []
    const end = (act: () => void): void => {
      for (const cancel of cancels) cancel()
      act()
    }
    const fail = (error: Error): void => end(() => reject(error))
    const limit = (what: string, milliseconds: number): (() => void) => {
      const cancel = after(clock, milliseconds, () => request.destroy(new TimedOut(what, milliseconds)))
      cancels.push(cancel)
      return cancel
    }
    request.on('socket', (socket) => {
      socket.setNoDelay(true)
      limit('no answer', 2 * waits.silence + ((body?.length ?? 0) + LARGEST / 8) / SLOWEST)
      if (socket.connecting) socket.once('connect', limit('no connection', waits.connect))
    })
    request.setTimeout(waits.silence, () => request.destroy(new TimedOut('nothing came', waits.silence)))
    request.on('error', fail)
    request.on('close', () => fail(new Error('the connection was closed without an answer')))
    request.on('response', (response) => {
      // After the answer has begun, the end of the connection is told by the answer.
      request.removeAllListeners('close')
      if (request.method === 'HEAD') {
        // That is all of it. Some send an end of bytes all the same (eventlet, and so Swift), on which the connection breaks.
        end(() => resolve(answerOf(response, Buffer.of())))
        return void response.resume()
      }
      readWhole(response).then((answer) => end(() => resolve(answer)), fail)
    })
    request.end(body)
  })
}

function readWhole(response: IncomingMessage): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let bytes = 0
    response.on('data', (piece: Buffer) => {
      pieces.push(piece)
      bytes += piece.length
      if (bytes > LARGEST) response.destroy(new Error(`the answer has more than ${LARGEST} bytes`))
    })
    response.on('error', reject)
    response.on('end', () => {
      resolve(answerOf(response, pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)))
    })
    response.on('close', () => reject(new Error('the answer was cut short')))
  })
}

function answerOf({ statusCode = 0, headers }: IncomingMessage, body: Buffer): HttpAnswer {
  return { status: statusCode, headers, body }
}

/** Nothing came in time. */
class TimedOut extends Error {
  readonly code = 'ETIMEDOUT'

  constructor(what: string, milliseconds: number) {
    super(`${what} within ${Math.round(milliseconds / 1000)} s`)
    this.name = 'TimedOut'
  }
}
