import type { Clock } from '../platform/ports.ts'
import { after } from '../platform/timer.ts'
import type { Problem } from '../protocol/problems.ts'
import type { FeedItem } from '../store/contract/types.ts'

/** How the lines of a feed are written. */
export interface FeedFormat {
  readonly item: (item: FeedItem) => string
  /** Says nothing but that the connection lives. */
  readonly pulse: string
  readonly problem: (problem: Problem) => string
}

export const ndjsonFormat: FeedFormat = {
  item: (item) => `${JSON.stringify(item)}\n`,
  pulse: '\n',
  problem: (problem) => `${JSON.stringify({ ...problem, type: 'problem' })}\n`,
}

/** Only a bookmark carries an id: a reader that goes on after the first change of an entry would miss the others. */
export const eventsFormat: FeedFormat = {
  item: (item) =>
    `event: ${item.type}\n${item.type === 'bookmark' ? `id: ${item.cursor}\n` : ''}data: ${JSON.stringify(item)}\n\n`,
  pulse: ':\n\n',
  problem: (problem) => `event: problem\ndata: ${JSON.stringify({ ...problem, type: 'problem' })}\n\n`,
}

/** Text is sent on when it is this long, or when the feed has caught up. */
const PIECE = 32 * 1024

interface FeedOptions {
  readonly format: FeedFormat
  /** After so many milliseconds without text, the last bookmark is repeated, or a pulse sent. */
  readonly heartbeat: number
  readonly clock: Clock
  /** Called when the source ended or failed; what it gives is the last line. */
  readonly end: (error: unknown) => Problem | null
}

/** A feed as text, in pieces that are worth sending. Ends with the source; its errors become the last line. */
export async function* feedText(
  source: AsyncIterator<FeedItem, unknown>,
  { format, heartbeat, clock, end }: FeedOptions,
): AsyncGenerator<string, void, undefined> {
  let text = ''
  let last: FeedItem | null = null
  const items = ticking(source, heartbeat, clock)
  try {
    for await (const item of items) {
      if (item === null) {
        yield text + (last?.type === 'bookmark' ? format.item(last) : format.pulse)
        text = ''
        continue
      }
      text += format.item(item)
      last = item
      if (item.type !== 'bookmark' && text.length < PIECE) continue
      yield text
      text = ''
    }
    const problem = end(null)
    yield problem === null ? text : text + format.problem(problem)
  } catch (error) {
    const problem = end(error)
    yield problem === null ? text : text + format.problem(problem)
  }
}

/** The source's items, and null whenever it was silent for so long. */
async function* ticking<T>(
  source: AsyncIterator<T, unknown>,
  interval: number,
  clock: Clock,
): AsyncGenerator<T | null, void, undefined> {
  type Step = IteratorResult<T, unknown> | { readonly failed: unknown }
  let step: Step | null = null
  let wake: () => void = () => undefined
  const arrive = (arrived: Step): void => {
    step = arrived
    wake()
  }
  let since = clock.elapsed()
  let [armed, cancel] = [false, (): void => undefined]
  // One that is set stays set while items come: a timer for each would cost more than the items.
  const setTimer = (): void => {
    if (armed) return
    armed = true
    cancel = after(clock, Math.max(0, since + interval - clock.elapsed()), () => {
      armed = false
      wake()
    })
  }
  /** Null when nothing came for an interval. */
  const next = async (): Promise<Step | null> => {
    for (;;) {
      if (step !== null) return step
      if (clock.elapsed() - since >= interval) return null
      await new Promise<void>((resolve) => {
        wake = resolve
        setTimer()
      })
    }
  }
  try {
    for (;;) {
      step = null
      source.next().then(arrive, (failed: unknown) => arrive({ failed }))
      let arrived = await next()
      for (; arrived === null; arrived = await next()) {
        since = clock.elapsed()
        yield null
      }
      if ('failed' in arrived) throw arrived.failed
      if (arrived.done) return
      since = clock.elapsed()
      yield arrived.value
    }
  } finally {
    cancel()
    await source.return?.()
  }
}
