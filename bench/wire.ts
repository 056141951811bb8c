/** A proxy between a client and a server that counts what the client sends. */
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Wire {
  readonly url: string
  /** Bytes that clients sent since the last call, heads and all; and those of them that were content. */
  take(): { readonly sent: number; readonly content: number }
  close(): void
}

export async function openWire(target: string): Promise<Wire> {
  const agent = new Agent({ keepAlive: true })
  let content = 0
  let gone = 0
  let taken = 0
  const sockets = new Set<{ readonly bytesRead: number }>()
  const server = createServer((incoming, outgoing) => {
    const { method, url = '/', headers } = incoming
    const isContent = url.endsWith('/chunks') || (method === 'PUT' && url.includes('/blobs/'))
    if (isContent) incoming.on('data', (bytes: Buffer) => (content += bytes.length))
    const onward = request(new URL(url, target), { method, headers, agent }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => {
      sockets.delete(socket)
      gone += socket.bytesRead
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take: () => {
      const all = [...sockets].reduce((sum, { bytesRead }) => sum + bytesRead, gone)
      const result = { sent: all - taken, content }
      taken = all
      content = 0
      return result
    },
    close: () => {
      server.close()
      server.closeAllConnections()
      agent.destroy()
    },
  }
}
