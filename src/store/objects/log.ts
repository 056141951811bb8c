import { chanceBy } from '../../platform/chance.ts'
import type { Clock, Ids } from '../../platform/ports.ts'
import type { Log, Position, RawEntry } from '../ports.ts'
import { splitFrames, type FrameLimits } from './frame.ts'
import { openFrames, type FramesOptions } from './frames.ts'

export interface ObjectLogOptions extends FramesOptions, FrameLimits {
  readonly clock: Clock
  readonly ids: Ids
  /** Milliseconds between two looks: at first, and after nothing has come for a while. */
  readonly looks: readonly [first: number, longest: number]
}

/**
 * A log of frames: the object `log/N` holds the entries at N, N + 1, …, and the next frame is called after the position behind them, so
 * that whoever makes it has seen all before it. Positions are 1, 2, 3, … without gaps.
 */
export function openObjectLog(options: ObjectLogOptions): Log {
  const frames = openFrames(options)
  const closing = new AbortController()
  const stepBack = openTurns(options, closing.signal)
  return {
    append: async (entries) => {
      const positions: Position[] = []
      for (const part of splitFrames(entries, options)) positions.push(...positionsOf(part, await frames.append(part)))
      return positions
    },
    appendAt: async (entries, { after }) => {
      const [part = []] = splitFrames(entries, options)
      if (part.length === 0) return []
      const appended = await stepBack(() => frames.appendAt(part, after))
      return appended ? positionsOf(part, after + 1) : null
    },
    read: ({ after }) => frames.read(after),
    wait: ({ after, signal }) => waitFor(frames, after, AbortSignal.any([signal, closing.signal]), options),
    trimming: frames.trimming,
    close: async () => closing.abort(),
  }
}

/** Milliseconds that one who lost waits at most. */
const LONGEST_TURN = 1000

/**
 * Who loses a race for the end of the log waits, longer with each loss, before it looks again: if all who lost came back at once, all but one
 * would lose again. The measure is what the race itself took, so that a fast place stays fast.
 */
function openTurns(
  { clock, ids }: Pick<ObjectLogOptions, 'clock' | 'ids'>,
  signal: AbortSignal,
): (race: () => Promise<boolean>) => Promise<boolean> {
  let losses = 0
  return async (race) => {
    const started = clock.elapsed()
    const won = await race()
    losses = won ? 0 : losses + 1
    if (won) return true
    const chance = chanceBy(ids)
    await clock.sleep(chance * Math.min(LONGEST_TURN, (clock.elapsed() - started) * 4 ** losses), signal)
    return false
  }
}

function positionsOf(entries: readonly RawEntry[], first: Position): readonly Position[] {
  return entries.map((_, index) => first + index)
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
