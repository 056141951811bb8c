import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { type Agent, type IncomingMessage, request as open } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Secrets } from '../../src/access/secrets.ts'
import { mintToken, type TokenRequest } from '../../src/access/tokens.ts'
import { openLocal } from '../../src/backends/local/local.ts'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { type RunningServer, type ServerOptions, startServer } from '../../src/server/serve.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { Buckets } from '../../src/store/contract/blob-store.ts'

export const SECRETS: Secrets = { current: 'a secret for tests', previous: null }

/** A real server on loopback, on a port of its own. */
export interface Running extends AsyncDisposable {
  readonly server: RunningServer
  readonly url: string
  /** The same buckets without the server. */
  readonly buckets: Buckets
  /** What it wrote to its log. */
  readonly log: string[]
  token(request: Partial<TokenRequest>): Promise<string>
}

export type Overrides = Partial<ServerOptions> & { readonly on?: 'memory' | 'disk' }

export async function running({ on = 'memory', ...overrides }: Overrides = {}): Promise<Running> {
  const directory = on === 'disk' ? await mkdtemp(join(tmpdir(), 'blobs-server-')) : null
  const backend = directory === null ? openMemory() : await openLocal({ directory, clock })
  const buckets = overrides.buckets ?? openBuckets({ backend, clock, ids })
  const log: string[] = []
  const server = await startServer({
    buckets,
    secrets: SECRETS,
    port: 0,
    log: (line) => log.push(line),
    now: () => clock.now(),
    newId: () => ids.next(),
    ...overrides,
    // Most of what is tried here is tried in vain.
    bounds: { badTokens: 1_000_000, ...overrides.bounds },
  })
  return {
    server,
    url: server.url,
    buckets,
    log,
    token: (request) => mintToken({ bucket: 'team', ...request }, SECRETS, { now: clock.now(), id: ids.next() }),
    async [Symbol.asyncDispose]() {
      await server.close()
      await buckets.close()
      if (directory !== null) await rm(directory, { recursive: true })
    },
  }
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly bytes: Buffer
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of any form
  readonly json: any
}

export interface Asked {
  readonly method?: string
  readonly token?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly agent?: Agent
}

/** One request over node:http, with its path as it is. */
export function ask(
  url: string,
  path: string,
  { method = 'GET', token, headers, body, agent }: Asked = {},
): Promise<Reply> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const request = open({
      hostname,
      port,
      path,
      method,
      agent: agent ?? false,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
        ...headers,
      },
    })
    request.on('error', reject)
    request.on('response', (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', reject)
      response.on('end', () => resolve(replyOf(response, Buffer.concat(pieces))))
    })
    request.end(body)
  })
}

function replyOf({ statusCode, headers }: IncomingMessage, bytes: Buffer): Reply {
  const text = bytes.toString()
  const json: unknown = headers['content-type']?.includes('json') && text.startsWith('{') ? jsonOf(text) : undefined
  return { status: statusCode ?? 0, headers, bytes, text, json }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A connection to the server without any HTTP of ours; `all` is what came until it ended. */
export async function raw(url: string): Promise<{ readonly socket: Socket; readonly all: Promise<string> }> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  let text = ''
  socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')))
  // A reset is an end like any other here.
  socket.on('error', () => undefined)
  const all = new Promise<string>((resolve) => socket.once('close', () => resolve(text)))
  return { socket, all }
}

export const newId = (): string => randomBytes(16).toString('hex')
