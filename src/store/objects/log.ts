import type { Clock } from '../../platform/ports.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Log, Position, RawEntry } from '../ports.ts'
import { FRAME_ENTRIES, frameBytes } from './frame.ts'
import { openFrames, type FramesOptions } from './frames.ts'

export interface ObjectLogOptions extends FramesOptions {
  readonly clock: Clock
  readonly maxEntryBytes: number
  /** Most bytes of a frame's entries; at least `maxEntryBytes`. */
  readonly maxFrameBytes: number
  /** Milliseconds between two looks: at first, and after nothing has come for a while. */
  readonly looks: readonly [first: number, longest: number]
}

interface Part {
  readonly entries: readonly RawEntry[]
  readonly settle: (positions: readonly Position[] | null, error?: unknown) => void
}

/**
 * A log of frames: the object `log/N` holds the entries at N, N + 1, …, and the next frame is called after the position behind them, so
 * that whoever makes it has seen all before it. Positions are 1, 2, 3, … without gaps. Appends at the same time share a frame.
 */
export function openObjectLog(options: ObjectLogOptions): Log {
  const frames = openFrames(options)
  const closing = new AbortController()
  const enqueue = openQueue(options.maxFrameBytes, (entries) => frames.append(entries))
  return {
    append: async (entries) => {
      const large = entries.find(({ data }) => data.length > options.maxEntryBytes)
      if (large !== undefined) throw new BlobsError('TooLarge', `entry ${large.id} has ${large.data.length} bytes`)
      const parts = splitParts(entries, options.maxFrameBytes)
      return (await Promise.all(parts.map(enqueue))).flat()
    },
    read: ({ after }) => frames.read(after),
    wait: ({ after, signal }) => waitFor(frames, after, AbortSignal.any([signal, closing.signal]), options),
    trimming: frames.trimming,
    close: async () => closing.abort(),
  }
}

/** One frame at a time; what is asked for meanwhile goes into the next together. */
function openQueue(
  maxBytes: number,
  append: (entries: readonly RawEntry[]) => Promise<Position>,
): (entries: readonly RawEntry[]) => Promise<readonly Position[]> {
  let waiting: Part[] = []
  let working = false
  const work = async (): Promise<void> => {
    while (waiting.length > 0) {
      const together = waiting.slice(0, fitting(waiting, maxBytes))
      waiting = waiting.slice(together.length)
      await append(together.flatMap(({ entries }) => entries)).then(
        (first) => settleAll(together, first),
        (error: unknown) => together.forEach(({ settle }) => settle(null, error)),
      )
    }
    working = false
  }
  return (entries) =>
    new Promise((resolve, reject) => {
      waiting.push({ entries, settle: (positions, error) => (positions === null ? reject(error) : resolve(positions)) })
      if (working) return
      working = true
      void work()
    })
}

function settleAll(parts: readonly Part[], first: Position): void {
  let position = first
  for (const { entries, settle } of parts) settle(entries.map(() => position++))
}

/** How many of the parts, at least one, go into one frame. */
function fitting(parts: readonly Part[], maxBytes: number): number {
  let [count, bytes] = [0, 0]
  for (const [index, { entries }] of parts.entries()) {
    count += entries.length
    for (const entry of entries) bytes += frameBytes(entry)
    if (index > 0 && (count > FRAME_ENTRIES || bytes > maxBytes)) return index
  }
  return parts.length
}

function splitParts(entries: readonly RawEntry[], maxBytes: number): readonly (readonly RawEntry[])[] {
  const parts: RawEntry[][] = []
  let bytes = 0
  for (const entry of entries) {
    const last = parts.at(-1)
    bytes += frameBytes(entry)
    if (last !== undefined && last.length < FRAME_ENTRIES && bytes <= maxBytes) {
      last.push(entry)
      continue
    }
    parts.push([entry])
    bytes = frameBytes(entry)
  }
  return parts
}

async function waitFor(
  frames: ReturnType<typeof openFrames>,
  after: Position,
  signal: AbortSignal,
  { clock, looks, objects, root }: ObjectLogOptions,
): Promise<void> {
  for (let pause = looks[0]; !signal.aborted; pause = Math.min(pause * 1.5, looks[1])) {
    if (await frames.goesBeyond(after)) return
    const look = new AbortController()
    const woken = AbortSignal.any([signal, look.signal])
    const ways = [clock.sleep(pause, woken), frames.grown(woken)]
    if (objects.wait) ways.push(objects.wait({ prefix: `${root}log/`, signal: woken }))
    await Promise.race(ways)
    look.abort()
  }
}
