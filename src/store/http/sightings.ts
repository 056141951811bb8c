import { SEEN, STALE, STANDS } from '../../protocol/sight-headers.ts'
import { isBlobsError } from '../contract/errors.ts'
import type { Cursor } from '../contract/types.ts'
import { parseCursor, type Place } from '../cursor.ts'
import type { Answer, Transport } from './transport.ts'

/**
 * How far a program has seen the history of each bucket of a server. Each request says so: where several servers share a place, one
 * that has not come as far does not answer.
 */
export interface Sightings {
  /** Notes what was told, unless more was seen before. */
  saw(bucket: string, cursor: Cursor): void
  /** The transport for requests about a bucket. */
  over(transport: Transport, bucket: string): Transport
}

/** `onStale` is told once, each time answers begin to be stale: for how many seconds they have been. */
export function openSightings(onStale: (seconds: number) => void = () => undefined): Sightings {
  const seen = new Map<string, Cursor>()
  let stale = false
  const saw = (bucket: string, cursor: Cursor): void => {
    const [before, told] = [placeOf(seen.get(bucket)), placeOf(cursor)]
    if (told === null || (before?.epoch === told.epoch && before.position >= told.position)) return
    seen.set(bucket, cursor)
  }
  const answered = (bucket: string, asked: Cursor | undefined, { status, headers }: Answer): void => {
    const { [STANDS]: stands, [STALE]: age } = headers
    if (typeof stands !== 'string') return
    // A server that has less, and answers nevertheless, knows that the history went back.
    const [before, told] = [placeOf(asked), placeOf(stands)]
    const wentBack = before !== null && told !== null && told.position < before.position
    if (wentBack && status < 500 && seen.get(bucket) === asked) seen.delete(bucket)
    saw(bucket, stands)
    if (typeof age === 'string' && !stale) onStale(Number(age))
    stale = typeof age === 'string'
  }
  return {
    saw,
    over: (transport, bucket) => ({
      ...transport,
      send: async (outgoing) => {
        const asked = seen.get(bucket)
        const headers = asked === undefined ? outgoing.headers : { ...outgoing.headers, [SEEN]: asked }
        const answer = await transport.send({ ...outgoing, ...(headers === undefined ? {} : { headers }) })
        answered(bucket, asked, answer)
        return answer
      },
    }),
  }
}

/** Null for what is none: whatever a server says, it is only said back to it. */
function placeOf(cursor: Cursor | undefined): Place | null {
  if (cursor === undefined || cursor.length > 256) return null
  try {
    return parseCursor(cursor)
  } catch (error) {
    if (isBlobsError(error)) return null
    throw error
  }
}
