import type { IncomingMessage } from 'node:http'
import type { Server as Engine, Socket as Connection } from 'engine.io'
import type { Budget } from '../budget.ts'
import type { Bounds } from '../times.ts'
import { cut, streamOf } from './connection.ts'

/** Packets that may come at one go, before anything else had its turn. */
const AT_ONCE = 1000
/** Bytes that are held of a packet that is not whole without being taken from the budget; of pieces in binary, which nobody needs, at most. */
const SMALL = 64 * 1024
/** Bytes of the largest packet, as of seed 000. */
export const MAX_PACKET = 1_000_000

interface ConnectionLimit {
  /** Whether one more connection may begin with this request; as `allowRequest` of the engine. */
  allow(request: IncomingMessage, answer: (reason: string | null, success: boolean) => void): void
}

interface ConnectionLimitOptions {
  readonly bounds: Pick<Bounds, 'connections' | 'connectionsPerAddress'>
  /** Memory for packets that are not whole. */
  readonly room: Budget
  /** Whether a connection has shown a good token. */
  readonly isInside: (connection: Connection) => boolean
  readonly onFull: (address: string) => void
}

/**
 * The limits of the listener, for connections that are longer than what carries them: one that polls is there between its requests.
 * And one that sends more packets at one go than anybody could mean is cut off.
 */
export function limitConnections(
  engine: Engine,
  { bounds, room, isInside, onFull }: ConnectionLimitOptions,
): ConnectionLimit {
  const { connections, connectionsPerAddress } = bounds
  const counts = new Map<string, number>()
  const add = (address: string, one: 1 | -1): void => {
    const count = (counts.get(address) ?? 0) + one
    if (count === 0) counts.delete(address)
    else counts.set(address, count)
  }
  engine.on('connection', (connection: Connection) => {
    const address = connection.remoteAddress
    add(address, 1)
    connection.once('close', () => add(address, -1))
    limitPackets(connection)
    const take = (): (() => void) | null => (isInside(connection) ? tryTake(room, address) : null)
    limitHeld(connection, take)
    connection.on('upgrade', () => limitHeld(connection, take))
  })
  return {
    allow: (request, answer) => {
      const address = request.socket.remoteAddress ?? ''
      const full = engine.clientsCount >= connections || (counts.get(address) ?? 0) >= connectionsPerAddress
      if (full) onFull(address)
      answer(full ? 'too many connections' : null, !full)
    },
  }
}

function limitPackets(connection: Connection): void {
  let count = 0
  let binary = 0
  connection.on('packet', ({ data }: { readonly data?: unknown }) => {
    if (count === 0) setImmediate(() => (count = 0))
    count += 1
    // Pieces in binary are held until all that were promised are there.
    binary = data instanceof Uint8Array ? binary + data.length : 0
    if (count > AT_ONCE || binary > SMALL) cut(connection)
  })
}

/** Takes memory for a packet that comes over a WebSocket slowly; a connection for which there is none left is cut off. */
function limitHeld(connection: Connection, take: () => (() => void) | null): void {
  const { transport } = connection
  const stream = streamOf(transport)
  if (stream === null) return
  let held = 0
  let release: (() => void) | null = null
  const whole = (): void => {
    held = 0
    release?.()
    release = null
  }
  // Before it is taken apart: what completes a packet ends the count.
  stream.prependListener('data', (piece: Buffer) => {
    held += piece.length
    if (held <= SMALL * 2 || release !== null) return
    release = take()
    if (release === null) cut(connection)
  })
  transport.on('packet', whole)
  stream.once('close', whole)
}

/** Null when there is no room. */
function tryTake(room: Budget, address: string): (() => void) | null {
  try {
    return room.take(address, MAX_PACKET)
  } catch {
    return null
  }
}
