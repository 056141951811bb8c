import type { Clock } from '../../platform/ports.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Placed, Position, RawEntry, Trimming } from '../ports.ts'
import { decodeFrame, encodeFrame, FRAME_ENTRIES } from './frame.ts'
import { nameOf, numberOf } from './names.ts'
import type { Objects } from './objects.ts'
import { openSignal } from './signal.ts'
import { openTrimming } from './trimming.ts'

/** Frames that are read at the same time by who is far behind. */
const READ_AHEAD = 16
/** Frames whose place is remembered. */
const REMEMBERED = 4096
/** Looks at the end of a log in a row after which it is asked whether its bucket is still there, and where its floor is. */
const LOOKS = 8
/** Milliseconds after which that is asked in any case: who slept may find that the log was trimmed far beyond what it had read. */
const DOUBT_EVERY = 10_000

export interface FramesOptions {
  readonly objects: Objects
  /** What the names of this bucket's objects start with; ends with a slash. */
  readonly root: string
  /** Throws `NotFound` once the bucket is removed, `Unavailable` when its place is another. Gives those of some names that are missing. */
  readonly checkPresent: (names?: readonly string[]) => Promise<readonly string[]>
  readonly clock: Clock
}

/** The frames of a log, as far as this process has read them. */
export interface Frames {
  /** Appends one frame behind all there are; gives the position of its first entry. Throws `CursorExpired` when what was read last is trimmed away. */
  append(entries: readonly RawEntry[]): Promise<Position>
  /** Appends one frame right behind a position; false if another is there. Throws as `append`. */
  appendAt(entries: readonly RawEntry[], after: Position): Promise<boolean>
  read(after: Position): AsyncGenerator<readonly Placed[]>
  /** True if there may be an entry behind this position. */
  goesBeyond(after: Position): Promise<boolean>
  /** Resolves when this process appends, or the signal aborts. */
  grown(signal: AbortSignal): Promise<void>
  readonly trimming: Trimming
}

export function openFrames({ objects, root, checkPresent, clock }: FramesOptions): Frames {
  const shelf = openShelf({ objects, root, checkPresent, clock })
  const { frameAt, nameAt, known, trimming, expired } = shelf
  const growth = openSignal()
  /** The last position that is known to be taken; null before the first look. It may be behind, and ahead of a log that went back. */
  let end: Position | null = null
  /** What was appended last; read once without asking for it. */
  let own: readonly Placed[] = []
  const read = async function* (after: Position): AsyncGenerator<readonly Placed[]> {
    const start = await shelf.startBehind(after)
    const isOwn = start !== null && own[0]?.position === start
    const first = isOwn ? own : start === null ? null : await shelf.frameHeld(start)
    own = []
    if (first === null || start === null) {
      if (start !== null) end = start - 1
      return await shelf.doubtEnd(after)
    }
    if (!isOwn) await expired(start - 1)
    const rest = first.filter(({ position }) => position > after)
    if (rest.length > 0) yield rest
    end = start + first.length - 1
    // Mostly nothing follows, or one: only then is it worth a listing.
    const second = await frameAt(end + 1)
    if (second === null) return
    yield second
    end += second.length
    for await (const frame of follow(shelf, end + 1)) {
      end += frame.length
      yield frame
    }
  }
  const appendAt = async (entries: readonly RawEntry[], after: Position): Promise<boolean> => {
    const previous = after === 0 ? [] : await shelf.endingAt(after)
    if (previous === null) return false
    const bytes = encodeFrame(entries)
    const name = nameAt(after + 1)
    const ours = (await objects.create(name, bytes)) || (await isOurs(objects, name, bytes))
    const there = ours ? null : await frameAt(after + 1)
    if (there !== null) end = after + there.length
    if (!ours) return false
    // Whoever trims forgets frames; one that was made again in their place did not happen.
    const [gone] = await Promise.all([checkPresent(previous), expired(after)])
    if (gone.length > 0) {
      // The place went back in time, to a backup perhaps: there must be no hole.
      await objects.remove([name])
      known.clear()
      own = []
      end = null
      return false
    }
    known.add(after + 1, entries.length)
    end = after + entries.length
    own = entries.map((entry, index) => ({ ...entry, position: after + 1 + index }))
    growth.wake()
    return true
  }
  const append = async (entries: readonly RawEntry[]): Promise<Position> => {
    for (;;) {
      const after: Position = (end ??= await findEnd(shelf))
      if (await appendAt(entries, after)) return after + 1
      if (end === after) end = null
    }
  }
  return {
    append,
    appendAt,
    read,
    goesBeyond: async (after) => {
      const start = await shelf.startBehind(after)
      if (start !== null && start <= after) return true
      if (start !== null && (await objects.missing([nameAt(start)])).length === 0) return true
      await shelf.doubtEnd(after)
      return false
    },
    grown: growth.wait,
    trimming,
  }
}

interface Shelf {
  readonly objects: Objects
  readonly root: string
  readonly known: Known
  readonly trimming: Trimming
  nameAt(start: Position): string
  /** Throws `CursorExpired` if the entries behind a position were trimmed. */
  expired(after: Position): Promise<void>
  /** Null if there is none. */
  frameAt(start: Position): Promise<readonly Placed[] | null>
  /** As `frameAt`; a frame that was only just read to learn where it ends is not read again. */
  frameHeld(start: Position): Promise<readonly Placed[] | null>
  /** Where the frame begins that holds the entry behind `after`, or will; null if nothing is known to be at `after`. */
  startBehind(after: Position): Promise<Position | null>
  /** Name of the frame that ends at a position, as a list; null if none does. */
  endingAt(position: Position): Promise<readonly string[] | null>
  /** Now and then: whether what is not there is still to come. */
  doubtEnd(after: Position): Promise<void>
}

function openShelf({ objects, root, checkPresent, clock }: FramesOptions): Shelf {
  const { trimming, expired } = openTrimming(objects, root)
  const known = openKnown()
  const nameAt = (start: Position): string => nameOf(`${root}log/`, start)
  let looks = 0
  let doubted = Number.NEGATIVE_INFINITY
  const frameAt: Shelf['frameAt'] = async (start) => {
    const name = nameAt(start)
    const bytes = await objects.read(name)
    if (bytes === null) return null
    const entries = decodeFrame(name, bytes).map((entry, index) => ({ ...entry, position: start + index }))
    known.add(start, entries.length)
    return entries
  }
  let held: { readonly start: Position; readonly frame: readonly Placed[] | null } | null = null
  return {
    objects,
    root,
    known,
    trimming,
    nameAt,
    expired,
    frameAt,
    frameHeld: async (start) => {
      const frame = held?.start === start ? held.frame : null
      held = null
      return frame ?? frameAt(start)
    },
    startBehind: async (after) => {
      const start = after === 0 ? 1 : known.behind(after)
      if (start !== null) return start
      const last = await lastStart(objects, `${root}log/`, after)
      if (last === null) await expired(after)
      if (last === null || last === after + 1) return last
      held = { start: last, frame: await frameAt(last) }
      return known.behind(after)
    },
    endingAt: async (position) => {
      const start = known.endingAt(position)
      if (start !== null) return [nameAt(start)]
      const last = await lastStart(objects, `${root}log/`, position - 1)
      const frame = last === null ? null : await frameAt(last)
      return last !== null && frame?.at(-1)?.position === position ? [nameAt(last)] : null
    },
    doubtEnd: async (after) => {
      looks = (looks + 1) % LOOKS
      if (looks !== 1 && clock.elapsed() - doubted < DOUBT_EVERY) return
      doubted = clock.elapsed()
      await checkPresent()
      await expired(after)
    },
  }
}

/** The last frame that begins at or right behind a position; null if there is none near it. */
async function lastStart(objects: Objects, prefix: string, position: Position): Promise<Position | null> {
  let last: Position | null = null
  for await (const batch of objects.list({ prefix, after: nameOf(prefix, Math.max(0, position - FRAME_ENTRIES)) })) {
    const starts = batch.map(({ name }) => numberOf(name)).filter((start) => start <= position + 1)
    last = starts.at(-1) ?? last
    if (starts.length < batch.length) break
  }
  return last
}

async function findEnd({ objects, root, trimming, frameAt }: Shelf): Promise<Position> {
  let last: Position | null = null
  for await (const batch of objects.list({ prefix: `${root}log/` })) last = numberOf(batch.at(-1)?.name ?? '')
  if (last === null) return trimming.floor()
  return last + ((await frameAt(last))?.length ?? 0) - 1
}

/** The frames from one on, many read at the same time. */
async function* follow(shelf: Shelf, from: Position): AsyncGenerator<readonly Placed[]> {
  const { objects, root, nameAt, frameAt, expired } = shelf
  const listed = objects.list({ prefix: `${root}log/`, after: nameAt(from - 1) })[Symbol.asyncIterator]()
  const starts: Position[] = []
  for (let next = from; ;) {
    while (starts.length < READ_AHEAD) {
      const more = await listed.next()
      if (more.done === true) break
      starts.push(...more.value.map(({ name }) => numberOf(name)))
    }
    const some = starts.splice(0, READ_AHEAD)
    if (some.length === 0) return
    for (const frame of await Promise.all(some.map(frameAt))) {
      const found = frame?.[0]?.position === next ? frame : await frameAt(next)
      if (found === null) {
        await expired(next - 1)
        throw missingFrame(nameAt(next))
      }
      yield found
      next += found.length
    }
  }
}

/** A name that is taken may be so by a call of ours whose answer was lost. */
async function isOurs(objects: Objects, name: string, bytes: Uint8Array): Promise<boolean> {
  const there = await objects.read(name)
  return there !== null && Buffer.from(there).equals(bytes)
}

interface Known {
  add(start: Position, count: number): void
  /** Where the frame begins that holds the entry behind this position, or the next one if a frame ends here; null if that is not known. */
  behind(after: Position): Position | null
  /** Where the frame begins that ends at this position; null if that is not known. */
  endingAt(position: Position): Position | null
  clear(): void
}

function openKnown(): Known {
  /** Position behind a frame, by the frame's start, in the order of reading. */
  const ends = new Map<Position, Position>()
  return {
    add: (start, count) => {
      ends.set(start, start + count)
      const [oldest] = ends.keys()
      if (ends.size > REMEMBERED && oldest !== undefined) ends.delete(oldest)
    },
    clear: () => ends.clear(),
    endingAt: (position) => {
      for (let start = position; start > position - FRAME_ENTRIES && start > 0; start--) {
        const behind = ends.get(start)
        if (behind !== undefined) return behind === position + 1 ? start : null
      }
      return null
    },
    behind: (after) => {
      for (let start = after + 1; start > after - FRAME_ENTRIES && start > 0; start--) {
        const behind = ends.get(start)
        if (behind === undefined) continue
        if (behind > after) return behind === after + 1 && start <= after ? after + 1 : start
        return null
      }
      return null
    },
  }
}

function missingFrame(name: string): BlobsError {
  return new BlobsError('Corrupt', `${name} is missing: the log goes on behind it`, {
    hint: 'the place was damaged: restore it from a backup, or copy the bucket from another place',
  })
}
