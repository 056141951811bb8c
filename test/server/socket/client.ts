import { io, type Socket } from 'socket.io-client'

type Transport = 'websocket' | 'polling'

/** A client of seed 000's protocol, as its apps use it. */
export interface Client extends Disposable {
  readonly socket: Socket
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
