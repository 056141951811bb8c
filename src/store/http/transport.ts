import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions, SecureContextOptions } from 'node:tls'
import { authoritiesWith } from '../../platform/network.ts'
import type { Clock } from '../../platform/ports.ts'
import { systemClock } from '../../platform/system.ts'
import { after } from '../../platform/timer.ts'
import { limits } from '../../protocol/limits.ts'
import { BlobsError } from '../contract/errors.ts'
import { unreachable } from './failures.ts'

/** How long a client waits, in milliseconds. */
interface Waits {
  /** For a connection. */
  readonly connect: number
  /** For any progress of a request, and for its answer to begin. */
  readonly answer: number
  /** For the next piece of an answer. */
  readonly silence: number
  /** For the next sign of life of a live feed. */
  readonly feed: number
  /** After so much waiting for the pieces of an answer, they must have come at `SLOWEST` on average; not those of a feed. */
  readonly grace: number
}

const DEFAULT_WAITS: Waits = { connect: 10_000, answer: 120_000, silence: 60_000, feed: limits.silence, grace: 60_000 }
/** Bytes a millisecond: who is slower, up or down, is taken for dead. Slower than any line that is of use. */
const SLOWEST = 0.5
/** Milliseconds in which an answer of which only the end is missing comes to it. */
const LAST_PIECE = 1000
/** Connections to one server at once, live feeds aside. */
const CONNECTIONS = 16

export interface TransportOptions {
  /** `http://host:port` or `https://…`; a path is not part of it. */
  readonly origin: string
  readonly token?: string
  /** PEM of authorities to trust besides the usual ones. */
  readonly ca?: string
  /** PEM: the server is trusted with this very certificate and with no other, whatever name and authority it has. */
  readonly certificate?: string
  readonly waits?: Partial<Waits>
  /** This machine's unless given. */
  readonly clock?: Clock
  /** URL of an HTTP proxy that the way to the server goes by. */
  readonly proxy?: string
  /** Opens a connection to the server, which may still be on its way; over the network unless given. */
  readonly dial?: () => Duplex
}

export interface Outgoing {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: { readonly type: string; readonly pieces: readonly Uint8Array[] }
  readonly signal?: AbortSignal
  /** It must not be sent twice: it gets a connection of its own. */
  readonly once?: boolean
  /** Milliseconds that the server may need for it besides the usual wait for an answer. */
  readonly extra?: number
  /** It stays open for long: it gets a connection of its own, and its signs of life are awaited. */
  readonly feed?: boolean
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The body as it comes. Throws `Unavailable` when it is cut or silent. To be read to its end, or returned from. */
  pieces(): AsyncGenerator<Uint8Array, void, undefined>
  /** Ends it, however much of it was read: one that is neither read nor ended keeps its connection for ever. */
  cancel(): void
  /** Says that all of it was read but for its end: a reader that stops then keeps the connection for others, if the end comes soon. */
  finish(): void
}

/** Requests to one server, over connections that are kept. */
export interface Transport {
  readonly origin: string
  /** Any answer, whatever its status. Throws `Unavailable`, or `Refused` for a certificate that is not trusted. */
  send(outgoing: Outgoing): Promise<Answer>
  /** Ends all connections; what is under way fails. */
  close(): void
}

export async function openTransport(options: TransportOptions): Promise<Transport> {
  const { origin, token, dial, proxy, clock = systemClock } = options
  const url = checkOrigin(origin)
  const { Agent, request } = httpModule(url.protocol)
  const trusted = await trustOf(options)
  const route = proxy === undefined ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, scheduling: 'lifo', ...route })
  // A connection that nobody else gets.
  const alone = proxy === undefined ? false : new Agent(route)
  if (dial !== undefined) agent.createConnection = dial
  else if (url.protocol === 'http:' && proxy === undefined) agent.createConnection = connectLean
  const open: Opener = (outgoing, fresh) =>
    request({
      protocol: url.protocol,
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      method: outgoing.method,
      path: outgoing.path,
      ...(!fresh ? { agent } : dial === undefined ? { agent: alone } : { createConnection: dial }),
      maxHeaderSize: 128 * 1024,
      ...trusted,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(outgoing.body === undefined
          ? {}
          : { 'content-type': outgoing.body.type, 'content-length': lengthOf(outgoing.body.pieces) }),
        ...outgoing.headers,
      },
    })
  const patience = { ...DEFAULT_WAITS, ...options.waits, clock }
  return {
    origin: url.origin,
    send: async (outgoing) => {
      try {
        const { once = false, feed = false } = outgoing
        const { response, release } = await attempt(open, outgoing, once || feed, patience)
        const silence = feed ? patience.feed : patience.silence
        let finished = false
        return {
          status: response.statusCode ?? 0,
          headers: response.headers,
          cancel: () => void response.destroy(),
          finish: () => {
            finished = true
            release()
          },
          pieces: () => {
            const grace = feed ? Number.POSITIVE_INFINITY : patience.grace
            return piecesOf(response, { silence, grace, clock, finished: () => finished }, url.origin)
          },
        }
      } catch (error) {
        throw unreachable(error, url.origin, { pinned: options.certificate !== undefined, proxy })
      }
    },
    close: () => agent.destroy(),
  }
}

/** What makes a certificate good. */
async function trustOf({
  ca,
  certificate,
}: TransportOptions): Promise<Pick<SecureContextOptions, 'ca'> & Pick<ConnectionOptions, 'checkServerIdentity'>> {
  if (certificate !== undefined) {
    const { fingerprint256 } = new (process.getBuiltinModule('node:crypto').X509Certificate)(certificate)
    return {
      ca: [certificate],
      // It could have signed others.
      checkServerIdentity: (_host, peer) =>
        peer.fingerprint256 === fingerprint256
          ? undefined
          : Object.assign(new Error('it is another certificate'), { code: 'ERR_TLS_CERT_OTHER' }),
    }
  }
  return ca === undefined ? {} : { ca: await authoritiesWith(ca) }
}

/** An `import` would evaluate all that the module names, a WebSocket client among it: 14 MiB and 50 ms for nothing. */
function httpModule(protocol: string) {
  return protocol === 'https:' ? process.getBuiltinModule('node:https') : process.getBuiltinModule('node:http')
}

/** Bytes that are read from a connection at once. */
const READ_BYTES = 256 * 1024

/**
 * Connects with one buffer for all that is read. Otherwise each 64 KiB get memory of their own, of which the parser of HTTP makes copies:
 * what waits to be collected would come to tens of MiB.
 */
function connectLean(options: NetConnectOpts): Socket {
  const socket: Socket = connect({
    ...options,
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (length, buffer) => {
        socket.emit('data', buffer.subarray(0, length))
        return true
      },
    },
  })
  return socket
}

function checkOrigin(origin: string): URL {
  const url = URL.canParse(origin) ? new URL(origin) : null
  if (url !== null && /^https?:$/.test(url.protocol)) return url
  throw new BlobsError('InvalidRequest', `${JSON.stringify(origin)} is not the address of a server`, {
    hint: 'write it as http://host:7420 or https://host',
  })
}

type Patience = Waits & { readonly clock: Clock }
type Opener = (outgoing: Outgoing, fresh: boolean) => ClientRequest

/** A kept connection may have been closed by the server while it was idle: then the request goes out once more on a new one. */
async function attempt(open: Opener, outgoing: Outgoing, fresh: boolean, waits: Patience): Promise<Exchanged> {
  const request = open(outgoing, fresh)
  const release = endWith(request, outgoing.signal)
  try {
    return { response: await exchange(request, outgoing, waits), release }
  } catch (error) {
    if (!request.reusedSocket || !isHangUp(error)) throw error
    return attempt(open, outgoing, true, waits)
  }
}

interface Exchanged {
  readonly response: IncomingMessage
  /** From then on the signal ends it no more. */
  release(): void
}

/** The signal ends the request, as long as its answer has not ended: then the connection is another's, or nobody's. */
function endWith(request: ClientRequest, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => undefined
  const end = (): void => void request.destroy(new Error('it is not wanted any more'))
  const release = (): void => signal.removeEventListener('abort', end)
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  request.once('close', release)
  request.once('response', (response) => response.once('end', release))
  return release
}

function isHangUp(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
}

function exchange(request: ClientRequest, { body, extra = 0 }: Outgoing, waits: Patience): Promise<IncomingMessage> {
  const { clock } = waits
  const patience = waits.answer + extra
  // Signs of life put off the other limit: those of one who never comes to an answer must not do so for ever.
  const longest = patience + lengthOf(body?.pieces ?? []) / SLOWEST
  return new Promise((resolve, reject) => {
    let connected = (): void => undefined
    // From here on: it may be a while until a connection is free.
    const answered = after(clock, longest, () => request.destroy(new TimedOut('no answer', longest)))
    request.on('socket', (socket) => {
      socket.setNoDelay(true)
      if (!socket.connecting) return
      connected = after(clock, waits.connect, () => request.destroy(new TimedOut('no connection', waits.connect)))
      socket.once('connect', connected)
    })
    request.setTimeout(patience, () => request.destroy(new TimedOut('no answer', patience)))
    const fail = (error: Error): void => {
      connected()
      answered()
      reject(error)
    }
    request.on('error', fail)
    // After an answer that is none, as the switch to another protocol, there is no error and no response.
    request.on('close', () => fail(new Error('the connection was closed without an answer')))
    request.on('response', (response) => {
      answered()
      // From here on only the time counts in which somebody waits for a piece.
      request.setTimeout(0)
      // Without a listener, an error of an answer that nobody reads any more would end the process.
      response.on('error', () => undefined)
      resolve(response)
    })
    request.cork()
    // One by one: put together, they would be in memory twice.
    for (const piece of body?.pieces ?? []) request.write(piece)
    request.end()
  })
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0)
}

/** Nothing came in time. */
class TimedOut extends Error {
  readonly code = 'ETIMEDOUT'

  constructor(what: string, milliseconds: number) {
    super(`${what} within ${Math.round(milliseconds / 1000)} s`)
    this.name = 'TimedOut'
  }
}

function readEnd(response: IncomingMessage, clock: Clock): void {
  if (response.readableEnded || response.destroyed) return
  response.once(
    'close',
    after(clock, LAST_PIECE, () => response.destroy()),
  )
  response.resume()
}

async function* piecesOf(
  response: IncomingMessage,
  { silence, grace, clock, finished }: Pick<Patience, 'silence' | 'grace' | 'clock'> & { finished(): boolean },
  origin: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const signals = ['readable', 'end', 'close', 'error'] as const
  let wake: () => void = () => undefined
  const onSignal = (): void => wake()
  for (const signal of signals) response.on(signal, onSignal)
  let [bytes, waited] = [0, 0]
  try {
    for (;;) {
      const piece: Buffer | null = response.read()
      if (piece !== null) {
        bytes += piece.length
        yield piece
        continue
      }
      if (response.readableEnded) break
      if (response.destroyed) throw response.errored ?? new Error('the connection was closed')
      const started = clock.elapsed()
      if (!(await woken(silence))) throw new TimedOut('nothing more of the answer', silence)
      waited += clock.elapsed() - started
      if (waited > grace && bytes / waited < SLOWEST) throw new TimedOut('no more than drops of the answer', waited)
    }
    if (!response.complete) throw new Error('the answer was cut short')
  } catch (error) {
    throw unreachable(error, origin)
  } finally {
    for (const signal of signals) response.off(signal, onSignal)
    // Where the reader stopped early, the rest is not worth reading.
    if (finished()) readEnd(response, clock)
    else if (!response.readableEnded) response.destroy()
  }

  function woken(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = after(clock, milliseconds, () => resolve(false))
      wake = () => {
        cancel()
        resolve(true)
      }
    })
  }
}
