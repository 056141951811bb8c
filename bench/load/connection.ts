import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** One connection that asks one thing at a time. It knows just enough of HTTP/1.1 to take little of a processor that the server shares. */
export interface Connection {
  /** Sends a request and gives the status of the answer, once all of that is there. Connects anew after the connection was lost. */
  ask(request: Uint8Array): Promise<number>
  close(): void
}

interface Waiting {
  readonly resolve: (status: number) => void
  readonly reject: (error: Error) => void
}

const END_OF_HEAD = '\r\n\r\n'

export function openConnection(server: URL): Connection {
  const port = Number(server.port || (server.protocol === 'https:' ? 443 : 80))
  let socket: Socket | null = null
  let waiting: Waiting | null = null
  let head: Buffer = Buffer.alloc(0)
  /** Bytes of the body that are still to come; null: the head is not there yet. */
  let left: number | null = null
  let status = 0
  const settle = (act: (one: Waiting) => void): void => {
    const one = waiting
    waiting = null
    if (one !== null) act(one)
  }
  const take = (bytes: Buffer): void => {
    let body = bytes
    if (left === null) {
      head = head.length === 0 ? bytes : Buffer.concat([head, bytes])
      const end = head.indexOf(END_OF_HEAD)
      if (end === -1) return
      const text = head.toString('latin1', 0, end)
      body = head.subarray(end + END_OF_HEAD.length)
      head = Buffer.alloc(0)
      status = Number(text.slice(9, 12))
      left = bodyLength(text, status)
    }
    left -= body.length
    if (left > 0) return
    left = null
    settle(({ resolve }) => resolve(status))
  }
  const open = (): Socket => {
    const host = server.hostname.replace(/^\[|\]$/g, '')
    // It measures; whom it talks to is no secret.
    const fresh =
      server.protocol === 'https:'
        ? connectTls({ host, port, rejectUnauthorized: false })
        : connectPlain({ host, port, noDelay: true })
    fresh.on('data', take)
    fresh.on('error', (error) => settle(({ reject }) => reject(error)))
    fresh.on('close', () => {
      if (socket === fresh) socket = null
      left = null
      settle(({ reject }) => reject(new Error('the server closed the connection')))
    })
    return fresh
  }
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        socket ??= open()
        socket.write(request)
      }),
    close: () => socket?.destroy(),
  }
}

function bodyLength(head: string, status: number): number {
  const found = /\r\ncontent-length: *(\d+)/i.exec(head)
  if (found !== null) return Number(found[1])
  if (status === 204 || status === 304) return 0
  throw new Error(`an answer without a length: ${head}`)
}
