import { once } from 'node:events'
import type { Socket as Stream } from 'node:net'
import type { Socket } from 'socket.io'
import type { Clock } from '../../platform/ports.ts'
import { after } from '../../platform/timer.ts'

type Connection = Socket['conn']

/** Packets that wait for a client: who takes them more slowly than they come is cut off. */
const MOST_WAITING = 1000
/** Milliseconds that a connection has to end as it should. */
const FAREWELL = 1000

export function isFull(connection: Connection): boolean {
  return connection['writeBuffer'].length >= MOST_WAITING
}

/** Resolves with true when the client's side has all that was sent, with false when it took too long (milliseconds); true if it is gone. */
export async function taken(connection: Connection, patience: number, clock: Clock): Promise<boolean> {
  const end = clock.elapsed() + patience
  while (isPending(connection)) {
    const left = end - clock.elapsed()
    if (left <= 0) return false
    await change(connection, Math.min(left, 1000), clock)
  }
  return true
}

/** A poll takes what is there when it comes; a WebSocket is writable when the system has what was written. */
function isPending(connection: Connection): boolean {
  const { readyState, transport } = connection
  if (readyState !== 'open' && readyState !== 'closing') return false
  return connection['writeBuffer'].length > 0 || (transport.name === 'websocket' && !transport.writable)
}

async function change(connection: Connection, patience: number, clock: Clock): Promise<void> {
  const waiting = new AbortController()
  const { signal } = waiting
  await Promise.race([
    clock.sleep(patience, signal),
    once(connection.transport, 'ready', { signal }),
    once(connection, 'close', { signal }),
  ]).catch(() => undefined)
  waiting.abort()
}

/**
 * Ends a connection by its transport, so that the client takes it for a failure and comes again by itself; a parting word would make it
 * stay away for good.
 */
export function end(connection: Connection, clock: Clock): void {
  connection.close()
  const cancel = after(clock, FAREWELL, () => cut(connection))
  connection.once('close', cancel)
}

/** The same at once, whatever is still to be sent or to come: a WebSocket would wait for the other side's word of farewell. */
export function cut(connection: Connection): void {
  const { transport } = connection
  connection.close(true)
  streamOf(transport)?.destroy()
}

/** What carries a WebSocket; null for what is none. */
export function streamOf(transport: Connection['transport']): Stream | null {
  if (transport.name !== 'websocket') return null
  return (transport as unknown as { readonly socket: { readonly _socket: Stream | null } }).socket._socket
}
