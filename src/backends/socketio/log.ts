import type { Clock } from '../../platform/ports.ts'
import { eachOf } from '../../store/objects/each.ts'
import { splitFrames, type FrameLimits } from '../../store/objects/frame.ts'
import { openSignal } from '../../store/objects/signal.ts'
import type { Log, Placed, Position, RawEntry } from '../../store/ports.ts'
import { damaged, type End, type Frame, type Places } from './places.ts'
import type { Watcher } from './watcher.ts'

/** Places that are read at the same time by who is far behind. */
const READ_AHEAD = 12
/** How far behind the end who has never seen this log looks whether it goes on. */
const BEYOND = [2, 3, 4, 6, 8, 16, 64, 256, 1024]
/** Milliseconds after which the next place is looked at although nobody told of it. */
const LOOK = 15_000
/** The same, while nobody can tell. */
const LOOK_ALONE = 1_000

export interface LogOptions extends FrameLimits {
  readonly places: Places
  readonly watcher: Watcher
  readonly clock: Clock
  /** What this machine saw last, if it did. */
  readonly seen: End | null
  /** Told what this machine saw last, when the log is closed. */
  readonly onClose: (end: End) => Promise<void>
  /** What helps when the log is damaged. */
  readonly remedy: string
}

/**
 * A log of numbered places. Frame N stands at place N, tells the position of its first entry, and is written by who has read all places
 * before it: so positions are 1, 2, 3, …, places can be read at the same time, and the end is found by halving.
 */
export function openLog(options: LogOptions): Log {
  const { places, watcher, onClose } = options
  const closing = new AbortController()
  const tip = openTip(options)
  const appendAt = async (part: readonly RawEntry[], end: End): Promise<readonly Position[] | null> => {
    const { ours, frame } = await places.take(end, part)
    if (frame.next - frame.entries.length !== end.next) throw misplaced(frame.place, options.remedy)
    tip.advance(frame)
    if (!ours) return null
    tip.keep(frame)
    return frame.entries.map(({ position }) => position)
  }
  return {
    append: async (entries) => {
      const positions: Position[] = []
      for (const part of splitFrames(entries, options)) {
        let made: readonly Position[] | null = null
        while (made === null) made = await appendAt(part, await tip.end())
        positions.push(...made)
      }
      return positions
    },
    appendAt: async (entries, { after }) => {
      const [part = []] = splitFrames(entries, options)
      if (part.length === 0) return []
      const end = await tip.end()
      return end.next - 1 === after ? appendAt(part, end) : null
    },
    read: ({ after }) => readFrom(options, tip, after),
    wait: ({ after, signal }) => waitFor(options, tip, after, AbortSignal.any([signal, closing.signal])),
    close: async () => {
      closing.abort()
      watcher.close()
      const end = tip.known()
      if (end !== null) await onClose(end)
    },
  }
}

interface Tip {
  /** Where the log ended at least, found at the first call. */
  end(): Promise<End>
  known(): End | null
  /** The last place that is known to be taken. */
  lastPlace(): number
  advance(frame: End): void
  /** Keeps what was written last, for who reads it right then, once. */
  keep(frame: Frame): void
  taken(place: number): Frame | null
  /** Resolves when the end moves. */
  moved(signal: AbortSignal): Promise<void>
}

function openTip({ places, seen }: LogOptions): Tip {
  let known: End | null = null
  let finding: Promise<End> | null = null
  let kept: Frame | null = null
  const news = openSignal()
  const advance = ({ place, next }: End): void => {
    if (known !== null && place <= known.place) return
    known = { place, next }
    news.wake()
  }
  const find = async (): Promise<End> => {
    const from = seen === null || seen.place === 0 ? null : await places.readKnown(seen.place)
    // Another frame stands there: the server was brought back from a backup, and went on.
    const start = from !== null && from.next === seen?.next ? seen.place : 0
    advance(await lastOf(places, start))
    // A place that the server has lost is no end.
    await checkBeyond(places, known?.place ?? 0, start === 0 ? BEYOND : BEYOND.slice(0, 1))
    return known ?? { place: 0, next: 1 }
  }
  return {
    end: async () => {
      if (known !== null) return known
      finding ??= find().finally(() => {
        finding = null
      })
      await finding
      return known ?? { place: 0, next: 1 }
    },
    known: () => known,
    lastPlace: () => known?.place ?? 0,
    advance,
    keep: (frame) => {
      kept = frame
    },
    taken: (place) => {
      const frame = kept?.place === place ? kept : null
      if (frame !== null) kept = null
      return frame
    },
    moved: news.wait,
  }
}

/** Throws `Corrupt` if places are taken behind one that is free, so many further on. */
async function checkBeyond(places: Places, last: number, further: readonly number[]): Promise<void> {
  const taken = await eachOf(further, further.length, (distance) => places.isTaken(last + distance))
  // Others may have gone on meanwhile.
  if (taken.includes(true)) await places.readKnown(last + 1)
}

/** The last place that is taken, of those behind one that is (0: the first): in steps that double, then by halves. */
async function lastOf(places: Places, start: number): Promise<End> {
  let taken = start
  let free = 0
  for (let step = 1; free === 0; step *= 2) {
    if (await places.isTaken(start + step)) taken = start + step
    else free = start + step
  }
  while (free - taken > 1) {
    const middle = Math.floor((taken + free) / 2)
    if (await places.isTaken(middle)) taken = middle
    else free = middle
  }
  return taken === 0 ? { place: 0, next: 1 } : places.readKnown(taken)
}

async function* readFrom(options: LogOptions, tip: Tip, after: Position): AsyncGenerator<readonly Placed[]> {
  const { places, remedy } = options
  const end = await tip.end()
  let place = await placeBehind(places, end, after)
  let next: Position | null = place > end.place ? end.next : null
  for (const first = place; ;) {
    // Beyond what is known, no further than what was found lets hope for.
    const ahead = Math.max(1, tip.lastPlace() - place + 1, Math.floor((place - first) / 2))
    const wanted = Array.from({ length: Math.min(ahead, READ_AHEAD) }, (_, index) => place + index)
    const found = await eachOf(wanted, READ_AHEAD, async (one) => tip.taken(one) ?? places.read(one))
    for (const [index, there] of found.entries()) {
      // What was not there is, if something stands behind it, or did before.
      const must = place <= tip.lastPlace() || found.slice(index + 1).some((frame) => frame !== null)
      const frame = there ?? (must ? await places.readKnown(place) : null)
      if (frame === null) return
      const start = frame.next - frame.entries.length
      if (next !== null && start !== next) throw misplaced(place, remedy)
      const rest = frame.entries.filter(({ position }) => position > after)
      tip.advance(frame)
      if (rest.length > 0) yield rest
      next = frame.next
      place += 1
    }
  }
}

/** The place that holds the entry behind `after`, or will. */
async function placeBehind(places: Places, end: End, after: Position): Promise<number> {
  if (after === 0) return 1
  if (after >= end.next - 1) return end.place + 1
  let [low, high] = [1, end.place]
  // Mostly it is near the end.
  for (let step = 1; high - step > low; step *= 2) {
    const middle = high - step
    if ((await places.startOf(middle)) <= after + 1) {
      low = middle
      break
    }
    high = middle
  }
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((await places.startOf(middle)) <= after + 1) low = middle
    else high = middle - 1
  }
  return low
}

async function waitFor(
  { places, watcher, clock }: LogOptions,
  tip: Tip,
  after: Position,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const end = await tip.end()
    if (end.next - 1 > after) return
    const look = new AbortController()
    const woken = AbortSignal.any([signal, look.signal])
    const moved = tip.moved(woken)
    const watched = await watcher.watch(places.refOf(end.place + 1), woken)
    const next = signal.aborted ? null : await places.read(end.place + 1)
    if (next !== null) tip.advance(next)
    else await Promise.race([moved, watched?.told ?? clock.sleep(LOOK_ALONE, woken), clock.sleep(LOOK, woken)])
    look.abort()
  }
}

function misplaced(place: number, remedy: string): Error {
  return damaged(`place ${place} of the log does not go on where the one before it ends`, remedy)
}
