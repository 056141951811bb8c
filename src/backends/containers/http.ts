import type { ClientRequest, IncomingMessage } from 'node:http'
import { BlobsError } from '../../store/contract/errors.ts'

/** Milliseconds without any progress: the server prepares a whole blob before it answers. */
const SILENCE = 300_000
const CONNECT = 15_000
/** Most bytes of an answer that is read as a whole: a list of blobs may be long. */
const LARGEST = 256 * 1024 * 1024
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/

export interface HttpOptions {
  /** `http://host:8080`, perhaps with a path, without a slash at its end. */
  readonly base: string
  /** PEM of authorities to trust besides the usual. */
  readonly ca?: string | undefined
  /** URL of an HTTP proxy, or null. */
  readonly proxy: string | null
}
export interface Request {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** With its query. */
  readonly path: string
  readonly token?: string
  readonly body?: { readonly type: string; readonly pieces: readonly Uint8Array[] }
}
/** Requests over connections that are kept; failures of the network are `Unavailable`. */
export interface Http {
  /** Any answer, whatever its status. What is not read of it must be given up by `drop`. */
  send(request: Request): Promise<Answer>
  close(): void
}
export interface Answer {
  readonly status: number
  /** Throws `Unavailable` if it is cut short. */
  readonly pieces: AsyncIterable<Uint8Array>
  drop(): void
}

export async function openHttp({ base, ca, proxy }: HttpOptions): Promise<Http> {
  const url = new URL(base)
  const { Agent, request } =
    url.protocol === 'https:' ? process.getBuiltinModule('node:https') : process.getBuiltinModule('node:http')
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 8,
    ...(proxy === null ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
  })
  const trusted = ca === undefined ? {} : { ca: [...(await import('node:tls')).getCACertificates('default'), ca] }
  const fail = (cause: unknown): BlobsError => unreachable(url, cause)
  return {
    send: ({ method, path, token, body }) =>
      new Promise((resolve, reject) => {
        const length = (body?.pieces ?? []).reduce((sum, piece) => sum + piece.length, 0)
        const outgoing: ClientRequest = request(`${base}${path}`, {
          method,
          agent,
          ...trusted,
          headers: {
            'content-length': length,
            ...(body === undefined ? {} : { 'content-type': body.type }),
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
        })
        const connecting = setTimeout(() => outgoing.destroy(new Error('no connection within 15 s')), CONNECT)
        outgoing.once('socket', (socket) => {
          if (!socket.connecting) clearTimeout(connecting)
          else socket.once('connect', () => clearTimeout(connecting))
        })
        outgoing.setTimeout(SILENCE, () => outgoing.destroy(new Error('no sign of life for 5 min')))
        outgoing.once('close', () => clearTimeout(connecting))
        outgoing.once('error', (error) => reject(fail(error)))
        outgoing.once('response', (incoming) => resolve(answerOf(incoming, fail)))
        for (const piece of body?.pieces ?? []) outgoing.write(piece)
        outgoing.end()
      }),
    close: () => agent.destroy(),
  }
}

function answerOf(incoming: IncomingMessage, fail: (cause: unknown) => BlobsError): Answer {
  const pieces = async function* (): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const piece of incoming) yield piece as Uint8Array
    } catch (error) {
      throw fail(error)
    }
    if (!incoming.complete) throw fail(new Error('the answer was cut short'))
  }
  return { status: incoming.statusCode ?? 0, pieces: pieces(), drop: () => void incoming.destroy() }
}

/** The whole of an answer. */
export async function readAnswer({ pieces }: Answer): Promise<string> {
  const all: Uint8Array[] = []
  let size = 0
  for await (const piece of pieces) {
    size += piece.length
    if (size > LARGEST) throw new BlobsError('Unavailable', 'an answer of the server does not end')
    all.push(piece)
  }
  return Buffer.concat(all).toString()
}

function unreachable({ host }: URL, cause: unknown): BlobsError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (CERTIFICATE.test(code)) {
    return new BlobsError('Refused', `the certificate of ${host} is not trusted: ${why}`, {
      cause,
      hint: 'if it is yours, name it: --ca-cert FILE',
    })
  }
  return new BlobsError('Unavailable', `${host} cannot be reached: ${why}`, {
    cause,
    hint: 'is the server running, and the address right? it is tried again',
  })
}
