import type { Socket } from 'socket.io'
import type { Grant } from '../../access/grant.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import type { Clock } from '../../platform/ports.ts'
import type { Context } from '../call.ts'
import { problemOf } from '../problems.ts'
import { cut, taken } from './connection.ts'

/** What a client has asked for and has no answer to: who asks for more is cut off. */
const WAITING = 256
/** Milliseconds between two tries to get memory. */
const AGAIN = 20

/** Takes memory for an answer, and waits for it when there is none; it is given back when the client has the answer. Throws `Unavailable`. */
export type Hold = (bytes: number) => Promise<void>

/** The values to answer with. What it throws is answered too. */
type Act = (hold: Hold) => Promise<readonly unknown[]>
interface Asked {
  readonly name: string
  /** What the client sent in the place of its way to be answered. */
  readonly ack: unknown
  /** Bytes in memory until it is answered. */
  readonly bytes?: number
  readonly act: Act
}
interface Answered {
  readonly name: string
  readonly ms: number
  /** Why the answer is an error; null when it is none. */
  readonly error: unknown
}

/** The events of one connection, answered one after the other. */
export interface Line {
  isClosed(): boolean
  /** Acts in its turn and answers. Who gives no way to be answered, or asks for too much, is cut off. */
  add(asked: Asked): void
  /** What has not begun is dropped; resolves when what has is answered. */
  close(): Promise<void>
}
interface LineOptions {
  readonly socket: Socket
  readonly context: Pick<Context, 'bounds' | 'budget' | 'shares' | 'clock'>
  readonly grant: Grant
  readonly onAnswer: (answered: Answered) => void
}

export function openLine({ socket, context, grant, onAnswer }: LineOptions): Line {
  const { bounds, budget, shares, clock } = context
  let waiting = 0
  let closed = false
  let tail = Promise.resolve()
  const take = (bytes: number): (() => void) => budget.take(grant.id, bytes)
  const answer = async ({ name, act }: Asked, ack: Ack): Promise<void> => {
    const started = clock.elapsed()
    const held: (() => void)[] = []
    const hold: Hold = async (bytes) => void held.push(await patiently(clock, bounds.stagingWait, () => take(bytes)))
    let error: unknown = null
    const values = await act(hold).catch((caught: unknown) => {
      error = caught
      return [{ error: problemOf(caught).detail }]
    })
    ack(...values)
    onAnswer({ name, ms: clock.elapsed() - started, error })
    const read = await taken(socket.conn, bounds.unread, clock)
    for (const release of held) release()
    if (!read) cut(socket.conn)
  }
  const refuse = (asked: Asked, error: unknown): Asked => ({ ...asked, act: () => Promise.reject(error) })
  return {
    isClosed: () => closed,
    add: (asked) => {
      const { ack, bytes = 0 } = asked
      if (closed) return
      if (!isAck(ack)) return void socket.disconnect()
      if (waiting >= WAITING) return cut(socket.conn)
      waiting += 1
      const { release, error } = attempt(() => {
        const leave = shares.enter(`${grant.id} events`)
        try {
          const giveBack = take(bytes)
          return () => [leave, giveBack].forEach((end) => end())
        } catch (failure) {
          leave()
          throw failure
        }
      })
      const turn = async (): Promise<void> => {
        if (!closed) await answer(release === null ? refuse(asked, error) : asked, ack)
        waiting -= 1
        release?.()
      }
      tail = tail.then(turn)
    },
    close: () => {
      closed = true
      return tail
    },
  }
}

type Ack = (...values: readonly unknown[]) => void

function isAck(value: unknown): value is Ack {
  return typeof value === 'function'
}

function attempt(take: () => () => void): { readonly release: (() => void) | null; readonly error: unknown } {
  try {
    return { release: take(), error: null }
  } catch (error) {
    return { release: null, error }
  }
}

async function patiently(clock: Clock, patience: number, take: () => () => void): Promise<() => void> {
  const end = clock.elapsed() + patience
  for (;;) {
    try {
      return take()
    } catch (error) {
      if (!isBlobsError(error, 'Unavailable') || clock.elapsed() > end) throw error
    }
    await clock.sleep(AGAIN)
  }
}
