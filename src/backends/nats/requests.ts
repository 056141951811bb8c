import {
  createInbox,
  headers as makeHeaders,
  PermissionViolationError,
  type Msg,
  type NatsConnection,
} from '@nats-io/transport-node'
import type { Clock } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { told } from './failures.ts'

/** A request is given up after this and, twice, a round trip to the server that was started later: so slow lines get their time. */
const SILENCE = 3000
const TICK = 500

/** Requests over one connection, each with one reply: with a patience of our own, and by far cheaper than the client library's. */
export interface Requests {
  /** Throws `Unavailable` when nobody answers: then the outcome is not known, unless `isNobody`. */
  ask(subject: string, data: Uint8Array | string, headers?: Readonly<Record<string, string>>): Promise<Msg>
  giveUpAll(reason: string): void
  /** What the server said against something that was asked. */
  refused(error: Error): void
}

interface Pending {
  readonly subject: string
  readonly resolve: (reply: Msg) => void
  readonly reject: (error: BlobsError) => void
  since: number
  passes: number
}

class Nobody extends BlobsError {}

/** True if no server had anyone for a request: it did not happen. */
export function isNobody(error: unknown): boolean {
  return error instanceof Nobody
}

export function openRequests(
  connection: NatsConnection,
  { text, clock, closing }: { readonly text: string; readonly clock: Clock; readonly closing: AbortSignal },
): Requests {
  const pending = new Map<string, Pending>()
  const inbox = createInbox()
  const settle = (token: string): Pending | undefined => {
    const one = pending.get(token)
    pending.delete(token)
    return one
  }
  const giveUpAll = (reason: string): void => {
    for (const token of pending.keys()) settle(token)?.reject(silence(text, reason))
  }
  connection.subscribe(`${inbox}.*`, {
    callback: (error, message) => {
      if (error) return giveUpAll(error.message)
      const one = settle(message.subject.slice(inbox.length + 1))
      if (message.data.length === 0 && message.headers?.code === 503) one?.reject(nobody(text, one.subject))
      else one?.resolve(message)
    },
  })
  const watch = openWatch(connection, pending, clock, closing, {
    broken: () => giveUpAll('the connection broke'),
    silent: (token) => settle(token)?.reject(silence(text, 'it may be choosing a new leader')),
  })
  let count = 0
  return {
    giveUpAll,
    refused: (error) => {
      const { operation, subject } = error instanceof PermissionViolationError ? error : {}
      for (const [token, one] of pending)
        if (operation === 'subscription' ? subject?.startsWith(inbox) : one.subject === subject)
          settle(token)?.reject(told(text, error))
    },
    ask: (subject, data, fields = {}) =>
      new Promise((resolve, reject) => {
        const token = (count++).toString(36)
        pending.set(token, { subject, resolve, reject, since: clock.elapsed(), passes: 0 })
        const headers = makeHeaders()
        for (const name in fields) headers.append(name, fields[name] ?? '')
        try {
          connection.publish(subject, data, { reply: `${inbox}.${token}`, headers })
        } catch (error) {
          pending.delete(token)
          return reject(told(text, error))
        }
        watch()
      }),
  }
}

interface Outcomes {
  broken(): void
  silent(token: string): void
}

/** Gives up requests to which the server stays silent, though it answers otherwise: their stream has lost its leader. */
function openWatch(
  connection: NatsConnection,
  pending: ReadonlyMap<string, Pending>,
  clock: Clock,
  closing: AbortSignal,
  outcomes: Outcomes,
): () => void {
  let watching = false
  const look = async (): Promise<void> => {
    const asked = clock.elapsed()
    const waiting = [...pending].filter(([, { since }]) => asked - since >= SILENCE)
    if (waiting.length === 0) return
    try {
      // What the server had to say before its answer to this has arrived with it.
      await connection.flush()
    } catch {
      return outcomes.broken()
    }
    for (const [token, one] of waiting) {
      one.since = clock.elapsed()
      if (++one.passes === 2) outcomes.silent(token)
    }
  }
  const watch = async (): Promise<void> => {
    while (pending.size > 0 && !closing.aborted) {
      await clock.sleep(TICK, closing)
      await look()
    }
    watching = false
  }
  return () => {
    if (watching) return
    watching = true
    void watch()
  }
}

function silence(text: string, reason: string): BlobsError {
  return new BlobsError('Unavailable', `${text} gave no answer: ${reason}`, { hint: 'it is tried again' })
}

function nobody(text: string, subject: string): BlobsError {
  return new Nobody('Unavailable', `${text}: nobody answers to ${subject} now`, {
    hint: 'is JetStream on, and its stream there? it is tried again',
  })
}
