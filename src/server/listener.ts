import type { IncomingMessage, RequestListener, Server as HttpServer, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../platform/ports.ts'
import { after } from '../platform/timer.ts'
import { limits } from '../protocol/limits.ts'
import { PROBLEM_TYPE } from '../protocol/routes.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { problemOf } from './problems.ts'
import type { Bounds } from './times.ts'
import type { Traffic } from './traffic.ts'

export interface Tls {
  /** PEM. */
  readonly cert: string
  /** PEM. */
  readonly key: string
}

interface ListenerOptions {
  readonly bounds: Bounds
  readonly tls: Tls | undefined
  /** Every connection is put in here. */
  readonly traffic: Traffic
  /** Told of a connection that was refused because there are too many. */
  readonly onFull: (address: string) => void
  readonly upgrades: Upgrades
}

/** Connections that want to be something else than HTTP. */
interface Upgrades {
  /** Others are answered as if they had not asked. */
  takes(request: IncomingMessage): boolean
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
}

/** A server whose every wait has an end. It does not listen yet. */
export function createListener(handler: RequestListener, options: ListenerOptions): HttpServer {
  const { bounds, tls, upgrades } = options
  const settings = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: bounds.headers,
    // A body may take long; how long it may is watched where it is read.
    requestTimeout: 0,
    keepAliveTimeout: bounds.keepAlive,
    connectionsCheckingInterval: Math.min(bounds.headers / 2, 5000),
    noDelay: true,
    // What the head lacks, or asks for in vain, is told as any other problem.
    requireHostHeader: false,
    shouldUpgradeCallback: (request: IncomingMessage) => upgrades.takes(request),
  }
  const server =
    tls === undefined
      ? nodeHttp().createServer(settings, handler)
      : process
          .getBuiltinModule('node:https')
          .createServer({ ...settings, ...tls, handshakeTimeout: bounds.headers }, handler)
  server.on('checkExpectation', handler)
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node before 24.9 does not ask whether it may.
    if (upgrades.takes(request)) upgrades.upgrade(request, socket, head)
    else socket.end('HTTP/1.1 501 Not Implemented\r\nconnection: close\r\n\r\n')
  })
  server.setTimeout(bounds.silence)
  // Their bytes are counted, so that each of them is seen.
  server.maxHeadersCount = 0
  limitConnections(server, options)
  spareUnsent(server)
  return server
}

/**
 * Node takes a connection for idle once its answer is ended, though its last bytes may not have left, and a server that stops destroys
 * what is idle: so none is closed while an answer is on its way. Those that wait for nothing are closed at the next look.
 */
function spareUnsent(server: HttpServer): void {
  const answers = new Set<ServerResponse>()
  const note = (_request: IncomingMessage, answer: ServerResponse): void => {
    answers.add(answer)
    answer.once('close', () => answers.delete(answer))
  }
  server.prependListener('request', note)
  server.prependListener('checkExpectation', note)
  const close = server.closeIdleConnections.bind(server)
  server.closeIdleConnections = () => {
    for (const { writableEnded, writableFinished } of answers) if (writableEnded && !writableFinished) return
    close()
  }
}

function limitConnections(server: HttpServer, { bounds, traffic, onFull }: ListenerOptions): void {
  const counts = new Map<string, number>()
  server.maxConnections = bounds.connections
  server.on('drop', (dropped) => onFull(dropped?.remoteAddress ?? ''))
  // Before the TLS handshake, where there is one.
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? ''
    const count = (counts.get(address) ?? 0) + 1
    counts.set(address, count)
    traffic.add(socket)
    socket.once('close', () => {
      const left = (counts.get(address) ?? 1) - 1
      if (left === 0) counts.delete(address)
      else counts.set(address, left)
    })
    if (count <= bounds.connectionsPerAddress) return
    onFull(address)
    socket.destroy()
  })
}

/** An `import` would evaluate all that the module names, a WebSocket client among it: 14 MiB and 50 ms for nothing. */
function nodeHttp() {
  return process.getBuiltinModule('node:http')
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [status: number, detail: string]>> = {
  HPE_HEADER_OVERFLOW: [431, `the head of the request has more than ${limits.headerBytes} bytes`],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the head of the request did not come in time'],
}

/** Answers what is not even a request, and ends its connection. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  // Only one who speaks HTTP can be answered: on a TLS connection that never came about, an answer would wait for ever.
  const isHttp = error.code?.startsWith('HPE_') || error.code?.startsWith('ERR_HTTP_')
  if (!isHttp || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, detail] = CLIENT_ERRORS[error.code ?? ''] ?? [400, 'this is not a request of HTTP/1.1']
  const code = status === 431 ? 'TooLarge' : status === 408 ? 'Unavailable' : 'InvalidRequest'
  const body = JSON.stringify({ ...problemOf(new BlobsError(code, detail)), status })
  const head = [
    `HTTP/1.1 ${status} ${nodeHttp().STATUS_CODES[status] ?? ''}`,
    `content-type: ${PROBLEM_TYPE}`,
    `x-blobs-code: ${code}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

const OWN_HOST = /^(localhost|127(\.\d{1,3}){3}|::1)$/

/** Throws `Refused` where whoever comes from another machine could do all that a face without tokens allows. */
export function checkFaces(faces: readonly { readonly name: string }[], host: string): void {
  const open = faces.find(({ name }) => name !== 'containers')
  if (open === undefined || OWN_HOST.test(host)) return
  throw new BlobsError(
    'Refused',
    `the face ${open.name} knows no tokens: it is served on this machine only, not on ${host}`,
    {
      hint: 'leave the host at 127.0.0.1, or serve without this face',
    },
  )
}

/** Throws `Refused` where tokens would travel in the clear beyond this machine. */
export function checkExposure(host: string, tls: Tls | undefined): void {
  if (tls !== undefined || OWN_HOST.test(host)) return
  throw new BlobsError('Refused', `without TLS the server listens on this machine only, not on ${host}`, {
    hint: 'give a certificate and its key, or leave the host at 127.0.0.1 behind a proxy that speaks TLS',
  })
}

/** Resolves with the port. Throws `Unavailable` when it is taken. */
export async function listen(server: HttpServer, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EADDRINUSE') throw cause
    throw new BlobsError('Unavailable', `port ${port} on ${host} is in use`, {
      cause,
      hint: 'stop the other server, or choose another port; port 0 takes a free one',
    })
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

/** Stops accepting, waits for the connections to end, and ends those that are left after `patience` milliseconds. */
export async function stopListening(server: HttpServer, sockets: ReadonlySet<Socket>, patience: number): Promise<void> {
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  const limit = setTimeout(() => sockets.forEach((socket) => socket.destroy()), patience)
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
  })
  clearInterval(sweep)
  clearTimeout(limit)
}

/** How long the rest of a body is read for which the answer is out already, so that its sender sees the answer and not a reset. */
const LINGER = 2000

export function lingerAfter(request: IncomingMessage, clock: Clock): void {
  if (request.complete) return
  request.resume()
  const cancel = after(clock, LINGER, () => request.socket.destroy())
  request.once('end', cancel).once('close', cancel)
}
