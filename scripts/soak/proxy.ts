import { connect, createServer, type Socket } from 'node:net'

/** A TCP proxy on loopback that can lose the network. */
export interface Proxy {
  readonly port: number
  /** `up`: as a wire; `down`: connections are reset and new ones refused; `stalled`: they stay open and nothing goes through. */
  set(state: ProxyState): void
  close(): Promise<void>
}
export type ProxyState = 'up' | 'down' | 'stalled'

export async function openProxy(target: { readonly host: string; readonly port: number }): Promise<Proxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let state: ProxyState = 'up'
  const server = createServer((near) => {
    if (state === 'down') return void near.resetAndDestroy()
    const far = connect(target)
    const pair = [near, far] as const
    pairs.add(pair)
    for (const [one, other] of [pair, [far, near] as const]) {
      one.on('error', () => other.destroy())
      one.on('close', () => {
        other.destroy()
        pairs.delete(pair)
      })
      one.pipe(other)
    }
    if (state === 'stalled') stall(pair)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    port: address.port,
    set: (next) => {
      state = next
      for (const pair of pairs) {
        if (next === 'down') for (const socket of pair) socket.resetAndDestroy()
        else if (next === 'stalled') stall(pair)
        else resume(pair)
      }
    },
    close: async () => {
      for (const pair of pairs) for (const socket of pair) socket.destroy()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
    },
  }
}

function stall([near, far]: readonly [Socket, Socket]): void {
  near.unpipe(far)
  far.unpipe(near)
  near.pause()
  far.pause()
}

function resume([near, far]: readonly [Socket, Socket]): void {
  near.pipe(far)
  far.pipe(near)
}
