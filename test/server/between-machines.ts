import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { createServer as createHttp, request } from 'node:http'

/** A way to another machine that may be blocked: then nothing passes, in either direction, and nobody is told. */
export interface Way {
  /** `127.0.0.1:port` */
  readonly address: string
  blocked: boolean
  close(): void
}

export async function openWay(target: string): Promise<Way> {
  const [host = '', port = ''] = target.split(':')
  const sockets = new Set<Socket>()
  let blocked = false
  const server = createServer((near) => {
    const far = connect(Number(port), host)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      if (blocked) from.pause()
      from.on('data', (bytes) => to.write(bytes))
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get blocked() {
      return blocked
    },
    set blocked(now) {
      blocked = now
      for (const socket of sockets)
        if (now) socket.pause().unref()
        else socket.resume()
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** A load balancer that sends each request to the next of its servers, whoever asks. */
export interface Turns {
  readonly url: string
  /** How many requests each server got. */
  readonly counts: readonly number[]
  close(): void
}

export async function openTurns(urls: readonly string[]): Promise<Turns> {
  const counts = urls.map(() => 0)
  let next = 0
  const server = createHttp((incoming, outgoing) => {
    const turn = next++ % urls.length
    counts[turn] = (counts[turn] ?? 0) + 1
    const { hostname, port } = new URL(urls[turn] ?? '')
    const { method = '', url = '', headers } = incoming
    const asked = request({ hostname, port, method, path: url, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.on('error', () => outgoing.destroy()).pipe(outgoing)
    })
    asked.on('error', () => outgoing.destroy())
    outgoing.on('close', () => asked.destroy())
    incoming.pipe(asked)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
