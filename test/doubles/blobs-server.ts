import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { jwtVerify, SignJWT } from 'jose'
import { Server, type Socket } from 'socket.io'
import { validate, ValidationError } from './blobs-server-values.ts'

/** What a file of the server holds, one line of JSON. */
interface Stored {
  readonly data?: string
  readonly version: number
  readonly created: number
  readonly updated?: number
  readonly ip: string
}

/** What happens to the next `set` instead of what should. */
type SetFault = 'line ends before' | 'line ends after' | 'no answer'

/** A server as that of andrew-markin/blobs, with its bugs; its files are in memory. */
export interface BlobsServer {
  readonly url: string
  /** Name of a file, as below its storage directory, to its text. */
  readonly files: Map<string, string>
  /** What it died of: since then it serves nobody. */
  crashed(): string | null
  /** As if the process had been killed in the middle of writing this blob: its backup is there, its file is cut. */
  crashWhileWriting(bucket: string, ref: string): void
  /** The text of its file is cut: it reads as if it were not there. */
  corrupt(bucket: string, ref: string): void
  /** Once. */
  failNextSet(fault: SetFault): void
  /** Ends every connection, as a restart does. */
  dropAll(): void
  /** How often an event came. */
  count(event: string): number
  stop(): Promise<void>
}

interface State {
  readonly io: Server
  readonly files: Map<string, string>
  readonly queues: Map<string, Promise<unknown>>
  readonly counts: Map<string, number>
  fault: SetFault | null
  died: string | null
}

const DEFAULT_SECRET = 'DEFAULT_SECRET'
type Ack = (...values: unknown[]) => void

/** Starts one on a port of loopback that is free; with `tls`, as behind a proxy. */
export async function startBlobsServer(
  tls: { readonly cert: string; readonly key: string } | null = null,
): Promise<BlobsServer> {
  const http = tls === null ? createServer() : createTlsServer(tls)
  const io = new Server(http, { cors: { origin: true } })
  const files = new Map<string, string>()
  const state: State = { io, files, queues: new Map(), counts: new Map(), fault: null, died: null }
  const secret = Buffer.from(DEFAULT_SECRET)
  io.use((socket, next) => void admit(socket, secret, next))
  io.on('connection', (socket) => serve(state, socket))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  const fileOf = (bucket: string, ref: string): string => `${bucket}/${ref.slice(0, 2)}/${ref}.json`
  const cut = (name: string): void => {
    files.set(name, (files.get(name) ?? '').slice(0, 10))
  }
  return {
    url: `${tls === null ? 'http' : 'https'}://127.0.0.1:${port}`,
    files,
    crashed: () => state.died,
    crashWhileWriting: (bucket, ref) => {
      const name = fileOf(bucket, ref)
      files.set(`${name}.backup`, files.get(name) ?? '')
      cut(name)
    },
    corrupt: (bucket, ref) => cut(fileOf(bucket, ref)),
    failNextSet: (fault) => {
      state.fault = fault
    },
    dropAll: () => {
      for (const socket of io.sockets.sockets.values()) socket.conn.close()
    },
    count: (event) => state.counts.get(event) ?? 0,
    stop: () => io.close(),
  }
}

/** A token as `npm run token BUCKET` prints it. */
export async function blobsServerToken(bucket: string, secret = DEFAULT_SECRET): Promise<string> {
  return new SignJWT({ bucket })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuedAt()
    .sign(Buffer.from(secret))
}

async function admit(socket: Socket, secret: Uint8Array, next: (error?: Error) => void): Promise<void> {
  try {
    socket.data = { bucket: await bucketOf(socket.handshake.auth['token'], secret), ref: null }
  } catch {
    return next(new Error('Access denied'))
  }
  next()
}

async function bucketOf(token: unknown, secret: Uint8Array): Promise<string> {
  const { payload } = await jwtVerify(String(token), secret, { algorithms: ['HS256'] })
  if (typeof payload['bucket'] !== 'string' || payload['bucket'] === '') throw new Error('no bucket')
  return payload['bucket']
}

function serve(state: State, socket: Socket): void {
  // Who gives no acknowledgement function is thrown out.
  const handle = (event: string, act: (value: unknown) => Promise<readonly unknown[]>): void => {
    socket.on(event, (...values: unknown[]) => {
      state.counts.set(event, (state.counts.get(event) ?? 0) + 1)
      const ack = values.pop()
      if (typeof ack !== 'function') return void socket.disconnect(true)
      act(values[0]).then(
        (answer) => (ack as Ack)(...answer),
        (error: unknown) => {
          if (error instanceof ValidationError) (ack as Ack)({ error: error.message })
          else if (!(error instanceof Silence)) crash(state, error)
        },
      )
    })
  }
  handle('now', async () => [{ timestamp: Date.now() }])
  handle('ref', async (ref) => {
    await select(socket, ref)
    return []
  })
  handle('get', async (wanted) => {
    const { known } = destructured(wanted)
    const name = selected(socket)
    validate('version', known)
    const stored = await inTurn(state, name, () => read(state.files, name))
    if (stored === null) return [null]
    return [stored.version === known ? { version: stored.version } : tell(stored)]
  })
  handle('set', async (wanted) => {
    const { data, version } = destructured(wanted)
    const name = selected(socket)
    validate('data', data)
    validate('version', version)
    return [await set(state, socket, { name, data: data as string | undefined, version })]
  })
}

/** Its handlers take their first object apart before they look at it: null is the end of the process. */
function destructured(value: unknown): { data?: unknown; version?: unknown; known?: unknown } {
  if (value === null || value === undefined) throw new TypeError('Cannot destructure property of null or undefined')
  return value
}

function crash(state: State, error: unknown): void {
  state.died = String(error)
  void state.io.close()
}

async function select(socket: Socket, ref: unknown): Promise<void> {
  if (ref !== null && ref !== undefined) validate('ref', ref)
  const old: unknown = socket.data.ref
  if (typeof old === 'string') await socket.leave(old)
  const name = typeof ref === 'string' ? `${socket.data.bucket}/${ref.slice(0, 2)}/${ref}.json` : null
  socket.data.ref = name
  if (name !== null) await socket.join(name)
}

function selected(socket: Socket): string {
  const name: unknown = socket.data.ref
  if (typeof name === 'string') return name
  throw new ValidationError('Reference is not provided')
}

async function set(
  state: State,
  socket: Socket,
  { name, data, version }: { readonly name: string; readonly data: string | undefined; readonly version: unknown },
): Promise<unknown> {
  const { fault } = state
  state.fault = null
  if (fault === 'line ends before') throw ended(socket)
  const answer = await inTurn(state, name, async () => {
    const current = await read(state.files, name)
    if (current !== null && current.version !== version) return { success: false, ...tell(current) }
    const now = Date.now()
    const next: Stored = {
      ...(data === undefined ? {} : { data }),
      version: (current?.version ?? 0) + 1,
      created: current?.created ?? now,
      ...(current === null ? {} : { updated: now }),
      ip: 'unknown',
    }
    state.files.set(name, `${JSON.stringify(next)}\n`)
    socket.to(name).emit('changed')
    return { success: true, version: next.version }
  })
  if (fault === 'line ends after') throw ended(socket)
  if (fault === 'no answer') throw new Silence()
  return answer
}

class Silence extends Error {}

function ended(socket: Socket): Silence {
  socket.conn.close()
  return new Silence()
}

/** Brings a backup back without waiting for it, so that whoever asks first reads what the crash left; what is no JSON is not there. */
async function read(files: Map<string, string>, name: string): Promise<Stored | null> {
  const backup = files.get(`${name}.backup`)
  if (backup !== undefined) {
    setImmediate(() => {
      files.set(name, backup)
      files.delete(`${name}.backup`)
    })
  }
  try {
    return JSON.parse(files.get(name) ?? '') as Stored
  } catch {
    return null
  } finally {
    await Promise.resolve()
  }
}

function tell({ data, version }: Stored): Pick<Stored, 'data' | 'version'> {
  return { ...(data === undefined ? {} : { data }), version }
}

/** One after the other for each blob, as with its lock. */
function inTurn<T>({ queues }: State, name: string, act: () => Promise<T>): Promise<T> {
  const turn = (queues.get(name) ?? Promise.resolve()).then(act, act)
  queues.set(name, turn)
  const leave = (): void => {
    if (queues.get(name) === turn) queues.delete(name)
  }
  turn.then(leave, leave)
  return turn
}
