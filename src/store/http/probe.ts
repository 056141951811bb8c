import type { Clock } from '../../platform/ports.ts'
import { discard } from './failures.ts'
import { openTransport, type TransportOptions } from './transport.ts'

/** What a server says to anybody. */
export interface Probe {
  /** True if it can take writes now. */
  readonly ready: boolean
  /** Milliseconds that its clock is ahead of ours; null: it does not tell the time. */
  readonly ahead: number | null
  /** Milliseconds until it answered. */
  readonly took: number
}

/** Asks a server how it is, without a token. Throws `Unavailable` when it cannot be reached, `Refused` when it is not trusted. */
export async function probe({
  token: _token,
  ...options
}: TransportOptions & { readonly clock: Clock }): Promise<Probe> {
  const { clock } = options
  const transport = await openTransport(options)
  try {
    // The first one opens the connection.
    await discard(await transport.send({ method: 'GET', path: '/live' }))
    const [sent, started] = [clock.now(), clock.elapsed()]
    const answer = await transport.send({ method: 'GET', path: '/ready' })
    await discard(answer)
    const took = clock.elapsed() - started
    const told = Date.parse(answer.headers.date ?? '')
    // It tells whole seconds.
    const ahead = Number.isNaN(told) ? null : told + 500 - (sent + took / 2)
    return { ready: answer.status === 200, ahead, took }
  } finally {
    transport.close()
  }
}
