import { Agent as HttpAgent, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { Readable } from 'node:stream'
import { authoritiesWith, isUntrusted } from '../../platform/network.ts'
import { BlobsError } from '../../store/contract/errors.ts'

/** Milliseconds without any progress: the server prepares a whole blob before it answers. */
const SILENCE = 300_000
const CONNECT = 15_000
/** Most bytes of an answer that is read as a whole: a list of blobs may be long. */
const LARGEST = 256 * 1024 * 1024

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
  const { default: got } = await import('got')
  const connections = {
    keepAlive: true,
    maxSockets: 8,
    ...(proxy === null ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
  }
  const agents = { http: new HttpAgent(connections), https: new HttpsAgent(connections) }
  const trusted = ca === undefined ? undefined : await authoritiesWith(ca)
  const client = got.extend({
    agent: agents,
    ...(trusted === undefined ? {} : { https: { certificateAuthority: trusted } }),
    timeout: { connect: CONNECT, socket: SILENCE },
    // Callers know what may be asked again.
    retry: { limit: 0 },
    throwHttpErrors: false,
    followRedirect: false,
    decompress: false,
  })
  const fail = (cause: unknown): BlobsError => unreachable(url, cause)
  return {
    send: ({ method, path, token, body }) =>
      new Promise((resolve, reject) => {
        const length = (body?.pieces ?? []).reduce((sum, piece) => sum + piece.length, 0)
        const answer = client.stream(`${base}${path}`, {
          method,
          headers: {
            'content-length': String(length),
            ...(body === undefined ? {} : { 'content-type': body.type }),
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
          ...(body === undefined ? {} : { body: Readable.from(body.pieces) }),
        })
        if (body === undefined && method !== 'GET') answer.end()
        answer.once('error', (error) => reject(fail(error)))
        answer.once('response', ({ statusCode }: IncomingMessage) =>
          resolve({ status: statusCode ?? 0, pieces: piecesOf(answer, fail), drop: () => void answer.destroy() }),
        )
      }),
    close: () => {
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}

async function* piecesOf(
  answer: AsyncIterable<unknown>,
  fail: (cause: unknown) => BlobsError,
): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const piece of answer) yield piece as Uint8Array
  } catch (error) {
    throw fail(error)
  }
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
  if (isUntrusted(code)) {
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
