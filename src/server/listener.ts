import { createServer, type RequestListener, type Server as HttpServer, STATUS_CODES } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { limits } from '../protocol/limits.ts'
import { PROBLEM_TYPE } from '../protocol/routes.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { problemOf } from './problems.ts'
import type { Bounds } from './times.ts'

export interface Tls {
  /** PEM. */
  readonly cert: string
  /** PEM. */
  readonly key: string
}

/** A server whose every wait has an end. It does not listen yet. */
export function createListener(handler: RequestListener, bounds: Bounds, tls: Tls | undefined): HttpServer {
  const options = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: bounds.headers,
    // A body may take long; how long it may is watched where it is read.
    requestTimeout: 0,
    keepAliveTimeout: bounds.keepAlive,
    connectionsCheckingInterval: Math.min(bounds.headers / 2, 5000),
    noDelay: true,
  }
  const server = tls === undefined ? createServer(options, handler) : createTlsServer({ ...options, ...tls }, handler)
  server.setTimeout(bounds.silence)
  server.maxConnections = bounds.connections
  return server
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [status: number, detail: string]>> = {
  HPE_HEADER_OVERFLOW: [431, `the head of the request has more than ${limits.headerBytes} bytes`],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the head of the request did not come in time'],
}

/** Answers what is not even a request, and ends its connection. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, detail] = CLIENT_ERRORS[error.code ?? ''] ?? [400, 'this is not a request of HTTP/1.1']
  const code = status === 431 ? 'TooLarge' : status === 408 ? 'Unavailable' : 'InvalidRequest'
  const body = JSON.stringify({ ...problemOf(new BlobsError(code, detail)), status })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `content-type: ${PROBLEM_TYPE}`,
    `x-blobs-code: ${code}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}

/** Throws `Refused` where tokens would travel in the clear beyond this machine. */
export function checkExposure(host: string, tls: Tls | undefined): void {
  if (tls !== undefined || /^(localhost|127(\.\d{1,3}){3}|::1)$/.test(host)) return
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
export async function stopListening(server: HttpServer, patience: number): Promise<void> {
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  const limit = setTimeout(() => server.closeAllConnections(), patience)
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
  })
  clearInterval(sweep)
  clearTimeout(limit)
}

/** How long the rest of a body is read for which the answer is out already, so that its sender sees the answer and not a reset. */
const LINGER = 2000

export function lingerAfter(request: { readonly complete: boolean; resume(): unknown; readonly socket: Socket }): void {
  if (request.complete) return
  request.resume()
  setTimeout(() => {
    if (!request.complete) request.socket.destroy()
  }, LINGER).unref()
}
