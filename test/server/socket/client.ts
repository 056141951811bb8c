import { randomBytes } from 'node:crypto'
import { connect as dialStream, type Socket } from 'node:net'
import { io, type Socket as LiveSocket } from 'socket.io-client'

type Transport = 'websocket' | 'polling'

/** A client of seed 000's protocol, as its apps use it. */
export interface Client extends Disposable {
  readonly socket: LiveSocket
  /** How often it was told that its blob changed. */
  changes(): number
  /** Resolves when it was told so often; throws after two seconds. */
  changed(times: number): Promise<void>
  /** What an event is answered with; throws when there is no answer. */
  ask(event: string, ...values: readonly unknown[]): Promise<readonly unknown[]>
  /** Why the connection ended. */
  readonly ended: Promise<string>
}

interface Options {
  readonly transports?: readonly Transport[]
  readonly reconnection?: boolean
}

/** Resolves when it is connected; throws what the server says instead. */
export async function connect(url: string, token: unknown, options: Options = {}): Promise<Client> {
  const client = open(url, token, options)
  await new Promise<void>((resolve, reject) => {
    client.socket.once('connect', resolve)
    client.socket.once('connect_error', (error) => {
      client.socket.close()
      reject(error)
    })
  })
  return client
}

export function open(
  url: string,
  token: unknown,
  { transports = ['websocket'], reconnection = false }: Options = {},
): Client {
  const auth = token === undefined ? {} : { token }
  const socket = io(url, { transports: [...transports], auth, reconnection, forceNew: true })
  let count = 0
  let news = (): void => undefined
  socket.on('changed', (...payload) => {
    if (payload.length > 0) throw new Error('changed tells something')
    count += 1
    news()
  })
  return {
    socket,
    changes: () => count,
    changed: (times) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`told ${count} times, not ${times}`)), 2000)
        news = () => {
          if (count < times) return
          clearTimeout(late)
          resolve()
        }
        news()
      }),
    ask: (event, ...values) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${event} was not answered`)), 10_000)
        socket.once('disconnect', (reason) => reject(new Error(`disconnected: ${reason}`)))
        socket.emit(event, ...values, (...answer: readonly unknown[]) => {
          clearTimeout(late)
          resolve(answer)
        })
      }),
    ended: new Promise((resolve) => socket.once('disconnect', resolve)),
    [Symbol.dispose]: () => void socket.close(),
  }
}

/** One connection without any Socket.IO: `frames` are what came. */
export interface Raw extends Disposable {
  readonly frames: string[]
  send(frame: string | Uint8Array<ArrayBuffer>): void
  /** The next frame that was not looked at yet, without pings. */
  next(): Promise<string>
  readonly ended: Promise<void>
}

export async function openRaw(url: string, query = 'EIO=4&transport=websocket'): Promise<Raw> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?${query}`)
  const frames: string[] = []
  let seen = 0
  let news = (): void => undefined
  const ended = new Promise<void>((resolve) => {
    socket.addEventListener('close', () => {
      news()
      resolve()
    })
  })
  socket.addEventListener('message', ({ data }) => {
    frames.push(String(data))
    news()
  })
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve())
    socket.addEventListener('error', () => reject(new Error('no WebSocket')))
  })
  return {
    frames,
    ended,
    send: (frame) => socket.send(frame),
    next: async () => {
      while (seen >= frames.length) {
        if (socket.readyState === WebSocket.CLOSED) throw new Error('the connection has ended')
        await new Promise<void>((resolve) => (news = resolve))
      }
      return frames[seen++] ?? ''
    },
    [Symbol.dispose]: () => socket.close(),
  }
}

/** A WebSocket by hand, for one who does what no library does. */
export interface Dialled extends Disposable {
  readonly stream: Socket
  /** A whole message. */
  send(text: string): void
  /** The head of a message of so many bytes, whose bytes are sent by the caller. */
  begin(bytes: number): void
  /** Resolves when the server has said that. */
  said(text: string): Promise<void>
  readonly ended: Promise<void>
}

export async function dial(url: string): Promise<Dialled> {
  const { hostname, port } = new URL(url)
  const stream = dialStream({ host: hostname, port: Number(port) })
  stream.on('error', () => undefined)
  const ended = new Promise<void>((resolve) => stream.once('close', () => resolve()))
  const fields = ['host: h', 'connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13']
  const key = `sec-websocket-key: ${randomBytes(16).toString('base64')}`
  stream.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n${[...fields, key].join('\r\n')}\r\n\r\n`)
  let all = ''
  let news = (): void => undefined
  stream.on('data', (piece: Buffer) => {
    all += piece.toString('latin1')
    news()
  })
  const said = (text: string): Promise<void> =>
    new Promise((resolve) => {
      news = () => (all.includes(text) ? resolve() : undefined)
      news()
    })
  await said('pingInterval')
  const begin = (bytes: number): void => {
    // A text of that length, masked by nothing.
    const head = Buffer.alloc(14)
    head.writeUInt16BE(0x81ff)
    head.writeBigUInt64BE(BigInt(bytes), 2)
    stream.write(head)
  }
  return {
    stream,
    ended,
    said,
    begin,
    send: (text) => {
      begin(Buffer.byteLength(text))
      stream.write(text)
    },
    [Symbol.dispose]: () => void stream.destroy(),
  }
}
