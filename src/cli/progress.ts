import type { Clock } from '../platform/ports.ts'
import { count, duration, size } from './format.ts'
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
  const describe = (): string => `${title}  ${describeProgress(state, meter.rate(state.bytes))}`
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

/** `1.2 GB of 5 GB · 24% · 310 MB/s · 12 s left` */
export function describeProgress(state: State, rate: number | null): string {
  const parts: string[] = []
  if (state.totalItems !== null && state.totalItems > 1) {
    parts.push(`${state.items.toLocaleString('en-US')} of ${count(state.totalItems, 'file')}`)
  } else if (state.items > 1) parts.push(count(state.items, 'file'))
  if (state.totalBytes !== null && state.totalBytes > 0) {
    parts.push(`${size(state.bytes)} of ${size(state.totalBytes)}`)
    parts.push(`${Math.min(100, Math.floor((100 * state.bytes) / state.totalBytes))}%`)
  } else parts.push(size(state.bytes))
  if (rate !== null && rate > 0) {
    parts.push(`${size(Math.round(rate))}/s`)
    if (state.totalBytes !== null && state.totalBytes > state.bytes) {
      parts.push(`${duration((state.totalBytes - state.bytes) / rate)} left`)
    }
  }
  return parts.join(' · ')
}

// The rate of the last seconds, not of the whole: it should tell when a link slows down.
function openMeter(clock: Clock): { rate(bytes: number): number | null } {
  const samples: { at: number; bytes: number }[] = [{ at: clock.elapsed(), bytes: 0 }]
  return {
    rate: (bytes) => {
      const now = clock.elapsed()
      samples.push({ at: now, bytes })
      while (samples.length > 2 && now - (samples[0]?.at ?? now) > 5000) samples.shift()
      const first = samples[0]
      if (!first || now - first.at < 200) return null
      return ((bytes - first.bytes) * 1000) / (now - first.at)
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
