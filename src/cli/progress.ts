import type { Clock } from '../platform/ports.ts'
import { count, duration, grouped, size } from './format.ts'
import type { Output } from './output.ts'

/** How far a long task is. Calls are cheap: drawing is throttled to 10 Hz. */
export interface Progress extends AsyncDisposable {
  /** True where someone watches: then it is worth finding out how much there is to do. */
  readonly watched: boolean
  /** What there is to do in all, as far as it is known; may be called again as more is found. */
  expect(total: { readonly bytes?: number; readonly items?: number }): void
  add(bytes: number, items?: number): void
  /** Replaces the counts, for a source that reports totals. */
  set(bytes: number, items: number): void
  /** Ends the drawing and leaves nothing behind. Idempotent. */
  end(): Promise<void>
}

export interface State {
  readonly bytes: number
  readonly items: number
  readonly totalBytes: number | null
  readonly totalItems: number | null
}

const DRAW_EVERY_MS = 100
const PLAIN_EVERY_MS = 10_000
const SHOW_AFTER_MS = 300

/** Animated on a terminal, a plain line each 10 s elsewhere, nothing with --quiet. Nothing is loaded or drawn for what ends at once. */
export function openProgress(title: string, output: Output, stderr: NodeJS.WriteStream, clock: Clock): Progress {
  let state: State = { bytes: 0, items: 0, totalBytes: null, totalItems: null }
  const meter = openMeter(clock)
  const describe = (): string => `${title}  ${describeProgress(state, meter.speed(state.bytes))}`
  const drawing = output.quiet
    ? null
    : stderr.isTTY
      ? animate(title, describe, output, stderr)
      : plainLines(describe, output)
  return {
    watched: !output.quiet && stderr.isTTY,
    expect: (total) => {
      state = { ...state, totalBytes: total.bytes ?? state.totalBytes, totalItems: total.items ?? state.totalItems }
    },
    add: (bytes, items = 0) => {
      state = { ...state, bytes: state.bytes + bytes, items: state.items + items }
    },
    set: (bytes, items) => {
      state = { ...state, bytes, items }
    },
    end: async () => drawing?.(),
    [Symbol.asyncDispose]: async () => drawing?.(),
  }
}

/** How fast bytes move, and for how long they have been. */
interface Speed {
  /** Bytes a second; null: too early to tell. */
  readonly rate: number | null
  readonly seconds: number
}

/** `1.2 GB of 5 GB · 24% · 310 MB/s · 12 s left`; how much is left is told once it can be guessed. */
export function describeProgress(state: State, { rate, seconds }: Speed): string {
  const parts: string[] = []
  if (state.totalItems !== null && state.totalItems > 1) {
    parts.push(`${grouped(state.items)} of ${count(state.totalItems, 'file')}`)
  } else if (state.items > 1) parts.push(count(state.items, 'file'))
  if (state.totalBytes !== null && state.totalBytes > 0) {
    parts.push(`${size(state.bytes)} of ${size(state.totalBytes)}`)
    parts.push(`${Math.min(100, Math.floor((100 * state.bytes) / state.totalBytes))}%`)
  } else parts.push(size(state.bytes))
  if (rate !== null && rate > 0) {
    parts.push(`${size(Math.round(rate))}/s`)
    const total = state.totalBytes
    if (total !== null && total > state.bytes && seconds >= 2 && state.bytes >= total / 100) {
      parts.push(`${remaining((total - state.bytes) / rate)} left`)
    }
  }
  return parts.join(' · ')
}

function remaining(seconds: number): string {
  return seconds > 86_400 ? 'more than a day' : duration(seconds)
}

// The rate of the last seconds, not of the whole: it should tell when a link slows down.
export function openMeter(clock: Pick<Clock, 'elapsed'>): { speed(bytes: number): Speed } {
  let start = clock.elapsed()
  let samples: { at: number; bytes: number }[] = [{ at: start, bytes: 0 }]
  return {
    speed: (bytes) => {
      const now = clock.elapsed()
      // The time before the first byte, and what another count was before, say nothing of the speed.
      if (bytes === 0 || bytes < (samples.at(-1)?.bytes ?? 0)) {
        start = now
        samples = []
      }
      samples.push({ at: now, bytes })
      while (samples.length > 2 && now - (samples[0]?.at ?? now) > 5000) samples.shift()
      const first = samples[0]
      const seconds = (now - start) / 1000
      if (!first || now - first.at < 200) return { rate: null, seconds }
      return { rate: ((bytes - first.bytes) * 1000) / (now - first.at), seconds }
    },
  }
}

function plainLines(describe: () => string, output: Output): () => Promise<void> {
  const timer = setInterval(() => output.message(describe()), PLAIN_EVERY_MS)
  timer.unref()
  return async () => clearInterval(timer)
}

// Loaded only when a task lasts: the renderer costs more than most commands.
function animate(
  title: string,
  describe: () => string,
  output: Output,
  stderr: NodeJS.WriteStream,
): () => Promise<void> {
  const stopping = Promise.withResolvers<void>()
  let running: Promise<unknown> | null = null
  let ended = false
  const timer = setTimeout(() => {
    running = (async () => {
      const { DefaultRenderer, Listr, ListrLogger, ProcessOutput, createWritable } = await import('listr2')
      if (ended) return
      output.hold()
      class TerminalRenderer extends DefaultRenderer {
        static override nonTTY = true
      }
      const dark = createWritable(() => {}) as unknown as NodeJS.WriteStream
      const processOutput = new ProcessOutput(stderr, dark)
      const logger = new ListrLogger({ useIcons: true, toStderr: [], processOutput })
      const task = {
        title,
        task: async (_: unknown, wrapper: { title: string }) => {
          const draw = setInterval(() => {
            wrapper.title = describe()
          }, DRAW_EVERY_MS)
          await stopping.promise
          clearInterval(draw)
        },
      }
      const options = {
        renderer: TerminalRenderer,
        rendererOptions: { logger, clearOutput: true },
        registerSignalListeners: false,
      }
      await new Listr([task], options as never).run()
    })()
  }, SHOW_AFTER_MS)
  return async () => {
    if (ended) return
    ended = true
    clearTimeout(timer)
    stopping.resolve()
    await running
    output.release()
  }
}
