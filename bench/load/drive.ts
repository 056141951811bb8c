import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from './connection.ts'
import { openHistogram, type Histogram } from './histogram.ts'

/** One thing to ask of a server. */
export interface Operation {
  readonly kind: 'put' | 'get'
  readonly request: Uint8Array
}
/** What came of all requests of a kind. */
interface Tally {
  readonly times: Histogram
  /** Answers other than success, and requests without an answer, by what they said. */
  readonly failures: Map<string, number>
}
export interface Load {
  readonly connections: readonly Connection[]
  /** The next thing to ask over the connection of this number. */
  readonly next: (connection: number) => Operation
  readonly milliseconds: number
  /** Requests a second, over all connections; null: as many as are answered. */
  readonly rate: number | null
}
export interface Driven {
  readonly tallies: ReadonlyMap<Operation['kind'], Tally>
  readonly milliseconds: number
}

/** A connection that was lost is tried again after so many milliseconds. */
const AGAIN = 50

/**
 * Asks over all connections at once until the time is over. With a rate, requests are due at even times whether or not those before
 * them were answered, and the time of each counts from when it was due: a server that stands still is seen as long as it does.
 */
export async function drive({ connections, next, milliseconds, rate }: Load): Promise<Driven> {
  const tallies = new Map<Operation['kind'], Tally>()
  const tallyOf = (kind: Operation['kind']): Tally => {
    const tally = tallies.get(kind) ?? { times: openHistogram(), failures: new Map<string, number>() }
    tallies.set(kind, tally)
    return tally
  }
  const started = performance.now()
  const end = started + milliseconds
  let asked = 0
  const due = (): number => (rate === null ? performance.now() : started + (asked++ * 1000) / rate)
  const work = async (connection: Connection, number: number): Promise<void> => {
    for (let at = due(); at < end; at = due()) {
      const early = at - performance.now()
      if (early > 0) await sleep(early)
      const { kind, request } = next(number)
      const outcome = await connection.ask(request).catch((error: Error) => error.message)
      const { times, failures } = tallyOf(kind)
      if (typeof outcome === 'number' && outcome < 300) times.add(performance.now() - at)
      else failures.set(String(outcome), (failures.get(String(outcome)) ?? 0) + 1)
      if (typeof outcome === 'string') await sleep(AGAIN)
      // Who is behind by the whole rest of the time has seen enough.
      if (performance.now() > end) return
    }
  }
  await Promise.all(connections.map(work))
  return { tallies, milliseconds: performance.now() - started }
}
