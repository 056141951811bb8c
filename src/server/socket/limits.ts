import type { IncomingMessage } from 'node:http'
import type { Server as Engine, Socket as Connection } from 'engine.io'
import type { Bounds } from '../times.ts'
import { cut } from './connection.ts'

/** Packets that may come at one go, before anything else had its turn. */
const AT_ONCE = 1000

interface ConnectionLimit {
  /** Whether one more connection may begin with this request; as `allowRequest` of the engine. */
  allow(request: IncomingMessage, answer: (reason: string | null, success: boolean) => void): void
}

/**
 * The limits of the listener, for connections that are longer than what carries them: one that polls is there between its requests.
 * And one that sends more packets at one go than anybody could mean is cut off.
 */
export function limitConnections(
  engine: Engine,
  { connections, connectionsPerAddress }: Pick<Bounds, 'connections' | 'connectionsPerAddress'>,
  onFull: (address: string) => void,
): ConnectionLimit {
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
  connection.on('packet', () => {
    if (count === 0) setImmediate(() => (count = 0))
    count += 1
    if (count > AT_ONCE) cut(connection)
  })
}
