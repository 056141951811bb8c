import { sha256 } from '../../content/hash.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { decodeFrame, encodeFrame } from '../../store/objects/frame.ts'
import type { Placed, Position, RawEntry } from '../../store/ports.ts'
import type { Refs, Value } from './refs.ts'

/** Name, in a frame, of the position of its first entry. */
const START = 'start'
/** Places whose first position is remembered. */
const REMEMBERED = 4096

/** What stands at a place of the log: entries of a commit or several. */
export interface Frame {
  /** 1 for the first, without gaps. */
  readonly place: number
  readonly entries: readonly Placed[]
  /** Position behind its last entry. */
  readonly next: Position
}
/** The last frame, as far as it is known; place 0 of an empty log. */
export type End = Pick<Frame, 'place' | 'next'>

/** The numbered places of a bucket's log, each written once. */
export interface Places {
  refOf(place: number): string
  /** Null if nothing is there. Throws `Corrupt`, `NotSupported`. */
  read(place: number): Promise<Frame | null>
  /** Of a place where something was: throws `Corrupt` if nothing is there any more. */
  readKnown(place: number): Promise<Frame>
  /** Position of the first entry of a place where something was. Throws as `readKnown`. */
  startOf(place: number): Promise<Position>
  isTaken(place: number): Promise<boolean>
  /** Takes the place behind the end for these entries; null if it is taken by others' now: then `there` is what stands there. */
  take(end: End, entries: readonly RawEntry[]): Promise<{ readonly ours: boolean; readonly frame: Frame }>
}

/** `remedy` says what helps when a frame is lost. */
export function openPlaces(refs: Refs, bucketId: string, remedy: string): Places {
  const starts = new Map<number, Position>()
  const refOf = (place: number): string => sha256(Buffer.from(`blobs log 1\n${bucketId}\n${place}\n`))
  const keep = (frame: Frame): Frame => {
    starts.set(frame.place, frame.next - frame.entries.length)
    const [oldest] = starts.keys()
    if (starts.size > REMEMBERED && oldest !== undefined) starts.delete(oldest)
    return frame
  }
  const decode = (place: number, { version, bytes }: Value): Frame => {
    const name = `place ${place} of the log, ${refOf(place)},`
    if (version !== 1) throw damaged(`${name} was overwritten: it is at version ${version}`, remedy)
    if (bytes === null) throw damaged(`${name} holds no data`, remedy)
    const [head, ...rest] = decodeFrame(name, bytes)
    const start = head?.id === START ? Number(Buffer.from(head.data).toString('latin1')) : Number.NaN
    if (!Number.isSafeInteger(start) || start < 1) throw damaged(`${name} does not say where it begins`, remedy)
    const entries = rest.map((entry, index) => ({ ...entry, position: start + index }))
    return keep({ place, entries, next: start + entries.length })
  }
  const readKnown = async (place: number): Promise<Frame> => {
    const value = await refs.readKnown(refOf(place))
    if (value === null) throw damaged(`the server has lost place ${place} of the log, which was there`, remedy)
    return decode(place, value)
  }
  return {
    refOf,
    readKnown,
    read: async (place) => {
      const value = await refs.read(refOf(place))
      return value === null ? null : decode(place, value)
    },
    startOf: async (place) => {
      const start = starts.get(place)
      if (start !== undefined) return start
      const { next, entries } = await readKnown(place)
      return next - entries.length
    },
    isTaken: async (place) => (await refs.probe(refOf(place))) !== null,
    take: async ({ place: last, next: start }, entries) => {
      const place = last + 1
      const bytes = encodeFrame([{ id: START, data: Buffer.from(String(start)) }, ...entries])
      const there = await refs.create(refOf(place), bytes)
      // What is there may have been set by this very call, on a connection that ended before its answer.
      if (there !== null && !(there.bytes !== null && Buffer.from(bytes).equals(there.bytes))) {
        return { ours: false, frame: decode(place, there) }
      }
      const placed = entries.map((entry, index) => ({ ...entry, position: start + index }))
      return { ours: true, frame: keep({ place, entries: placed, next: start + entries.length }) }
    },
  }
}

export function damaged(what: string, hint: string): BlobsError {
  return new BlobsError('Corrupt', what, { hint })
}
