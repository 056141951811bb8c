import type { Duplex } from 'node:stream'
import { systemError } from '../../src/platform/native.ts'
import type { Chance } from './chance.ts'
import type { Coverage } from './coverage.ts'
import type { Life } from './life.ts'
import type { Scheduler } from './scheduler.ts'
import { End, type Carrier } from './wire-end.ts'

/** Connections between programs, which carry bytes late, in other pieces, in part, or not at all; in their order, as TCP does. */
export interface Wire {
  /** Gives the end of `from`; the other one goes to `accept`, or the connection is refused. */
  dial(from: Life): Duplex
  /** No faults come any more, and connections that have gone silent break. */
  heal(): void
}

export interface Listener {
  readonly life: Life
  accept(end: Duplex): void
}

export interface WireOptions {
  readonly chance: Chance
  readonly scheduler: Scheduler
  readonly coverage: Coverage
  /** Of all connections, how many meet with something. */
  readonly rate: () => number
  /** Null: nothing listens. */
  readonly listener: () => Listener | null
  /** Takes work that goes on by itself. */
  readonly later: (work: Promise<unknown>) => void
}

const LONGEST_DELAY = 400
/** How long a request that comes again lives. */
const ECHO = 2000

type Doom = { readonly up: boolean; readonly after: number; readonly silent: boolean } | null

export function openWire(options: WireOptions): Wire {
  const { chance, scheduler, coverage, rate } = options
  const count = (what: string): void => coverage.count(`wire: ${what}`)
  const all = new Set<Connection>()

  const doomOf = (): Doom => {
    if (!chance.often(rate() * 3)) return null
    const bytes = chance.below(chance.pick([200, 2000, 100_000]))
    return { up: chance.often(0.5), after: bytes, silent: chance.often(0.3) }
  }
  const travel = async (): Promise<void> => {
    if (chance.often(rate())) {
      count('delayed')
      await scheduler.sleep(chance.below(LONGEST_DELAY))
    } else if (chance.often(0.1)) await scheduler.turn()
  }
  const echo = async (bytes: readonly Buffer[]): Promise<void> => {
    await scheduler.sleep(chance.below(LONGEST_DELAY))
    const listener = options.listener()
    if (listener === null) return
    count('request doubled')
    const [client, server] = [new End(null, false), new End(listener.life, true)]
    client.on('error', () => undefined).resume()
    connect(client, server, null)
    listener.accept(server)
    for (const piece of bytes) client.write(piece)
    await scheduler.sleep(ECHO)
    client.destroy()
  }
  const connect = (client: End, server: End, doom: Doom): Connection => {
    const connection: Connection = { client, server, silent: false, broken: false, carried: { up: 0, down: 0 }, doom }
    all.add(connection)
    const forget = (): void => {
      if (client.closed && server.closed) all.delete(connection)
    }
    for (const end of [client, server]) end.once('close', forget)
    client.join(carrier(connection, true))
    server.join(carrier(connection, false))
    return connection
  }
  /** Breaks it for both. */
  const reset = (connection: Connection): void => {
    connection.broken = true
    all.delete(connection)
    for (const end of [connection.client, connection.server]) end.cut()
  }
  const whenDead = async (life: Life, connection: Connection): Promise<void> => {
    await life.death
    // Without power nobody is left to say that it is over.
    if (life.lostPower() && rate() > 0 && chance.often(0.5)) connection.silent = true
    else reset(connection)
  }
  /** Carries what one end says to the other. */
  const carrier = (connection: Connection, up: boolean): Carrier => {
    const queue: (Buffer | 'end' | 'gone')[] = []
    const to = up ? connection.server : connection.client
    let running = false
    let ended = false
    const carry = (piece: Buffer): boolean => {
      const { carried, doom } = connection
      if (to.destroyed) {
        // Nobody is there any more to whom it could be said.
        reset(connection)
        return false
      }
      const direction = up ? 'up' : 'down'
      const left = doom?.up === up && rate() > 0 ? doom.after - carried[direction] : Number.POSITIVE_INFINITY
      if (piece.length < left) {
        carried[direction] += piece.length
        to.receive(piece)
        return true
      }
      if (left > 0) to.receive(piece.subarray(0, left))
      count(doom?.silent ? 'went silent' : up ? 'cut while asking' : 'cut while answering')
      if (doom?.silent) connection.silent = true
      else reset(connection)
      return false
    }
    const run = async (): Promise<void> => {
      running = true
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        await travel()
        if (connection.broken || connection.silent) break
        if (next === 'gone') {
          if (!ended) reset(connection)
        } else if (next === 'end') {
          ended = true
          to.receive(null)
        } else if (next.length > 1 && chance.often(0.1)) {
          const at = 1 + chance.below(next.length - 1)
          queue.unshift(next.subarray(at))
          if (!carry(next.subarray(0, at))) break
        } else if (!carry(next)) break
      }
      running = false
    }
    return (piece) => {
      queue.push(piece)
      if (!running) void run()
    }
  }
  return {
    dial: (from) => {
      from.check()
      const client = new End(from, false)
      const doubled: Buffer[] = []
      if (chance.often(rate())) {
        client.onSaid = (piece) => void doubled.push(piece)
        client.onAnswer = () => options.later(echo(doubled))
      }
      const open = async (): Promise<void> => {
        await travel()
        if (client.destroyed) return
        const listener = options.listener()
        if (listener === null || chance.often(rate())) {
          count(listener === null ? 'nothing listens' : 'no way')
          // Nobody says no where the way is cut: who waits long enough gives up.
          if (listener === null || chance.often(0.8)) client.destroy(systemError('ECONNREFUSED', 'connect', ''))
          return
        }
        const server = new End(listener.life, true)
        const connection = connect(client, server, doomOf())
        void whenDead(from, connection)
        void whenDead(listener.life, connection)
        listener.accept(server)
        client.connected()
      }
      void open()
      return client
    },
    heal: () => {
      for (const connection of all) {
        connection.doom = null
        if (connection.silent) reset(connection)
      }
    },
  }
}

interface Connection {
  readonly client: End
  readonly server: End
  /** Nothing comes through any more. */
  silent: boolean
  broken: boolean
  readonly carried: { up: number; down: number }
  doom: Doom
}
