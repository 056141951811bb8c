import type { Socket } from 'node:net'

/** The connections of a server: before any TLS, as the network carries them. */
export interface Traffic {
  /** Those that are open, also such as have not said anything yet. */
  readonly open: ReadonlySet<Socket>
  add(socket: Socket): void
  /** Bytes that went over all that were ever added. */
  bytes(): { readonly received: number; readonly sent: number }
}

export function openTraffic(): Traffic {
  const open = new Set<Socket>()
  const closed = { received: 0, sent: 0 }
  return {
    open,
    add: (socket) => {
      open.add(socket)
      socket.once('close', () => {
        open.delete(socket)
        closed.received += socket.bytesRead
        closed.sent += socket.bytesWritten
      })
    },
    bytes: () => {
      const total = { ...closed }
      for (const { bytesRead, bytesWritten } of open) {
        total.received += bytesRead
        total.sent += bytesWritten
      }
      return total
    },
  }
}
