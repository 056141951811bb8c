import { styleText } from 'node:util'

/** Where a command's results and messages go. stdout carries data only; everything else goes to stderr. */
export interface Output {
  readonly json: boolean
  readonly quiet: boolean
  /** A line of results for people; nothing under --json. */
  line(text: string): void
  /** One NDJSON line under --json (`type` first); else `text`, when given, as a line. */
  item(type: string, fields: object, text?: string): void
  /** The one document of a command under --json; else `text` as lines. */
  document(value: object, text: string): void
  /** The last line of a stream under --json; else `text`, when given, as a message. */
  summary(fields: object, text?: string): void
  /** A message for people on stderr; silent with --quiet. */
  message(text: string): void
  /** A line on stderr that --quiet does not silence: an error. */
  alert(text: string): void
  /** Raw bytes to stdout; resolves when more are welcome. */
  bytes(chunk: Uint8Array): Promise<void>
  /** Holds lines and messages back while something animated owns the terminal. */
  hold(): void
  release(): void
  /** Resolves when all that was written has left the process. */
  flush(): Promise<void>
  /** True once the reader of stdout has gone away (`| head`). */
  readonly closed: boolean
  /** True once stdout carries raw bytes: nothing else may be written to it. */
  readonly streamed: boolean
  /** Lets go of the streams, which stay open. */
  dispose(): void
}

/** Text is sent on when it is this long. */
const PIECE = 64 * 1024

interface Streams {
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
}

/** `mode` may change later: `--quiet` is known only once the flags are parsed. `lines`: a document, too, is one line with a type. */
export function openOutput(
  mode: { readonly json: boolean; readonly quiet: boolean; readonly lines?: boolean },
  streams: Streams,
  onClosed: () => void,
): Output {
  let closed = false
  let streamed = false
  const lost = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error
    if (closed) return
    closed = true
    onClosed()
  }
  streams.stdout.on('error', lost)
  const ignore = (): void => {}
  streams.stderr.on('error', ignore)
  const writer = openWriter(streams, () => closed)
  const { write, send } = writer
  const out = (text: string): void => write(streams.stdout, text)
  const output: Output = {
    json: mode.json,
    get quiet() {
      return mode.quiet
    },
    get closed() {
      return closed
    },
    get streamed() {
      return streamed
    },
    line: (text) => {
      if (!mode.json) out(text)
    },
    item: (type, fields, text) => {
      if (mode.json) out(JSON.stringify({ type, ...fields }))
      else if (text !== undefined) out(text)
    },
    document: (value, text) => {
      if (mode.json && mode.lines) out(JSON.stringify({ type: 'result', ...value }))
      else out(mode.json ? JSON.stringify(value, null, 2) : text)
    },
    summary: (fields, text) => {
      if (mode.json) out(JSON.stringify({ type: 'summary', ...fields }))
      else if (text !== undefined) output.message(text)
    },
    message: (text) => {
      if (!mode.quiet) write(streams.stderr, text)
    },
    alert: (text) => write(streams.stderr, text),
    bytes: async (chunk) => {
      streamed = true
      send()
      if (!closed) await writeTo(streams.stdout, chunk)
    },
    hold: writer.hold,
    release: writer.release,
    dispose: () => {
      send()
      streams.stdout.off('error', lost)
      streams.stderr.off('error', ignore)
    },
    flush: async () => {
      send()
      await Promise.all(
        [streams.stdout, streams.stderr].map((stream) => new Promise<void>((done) => stream.write('', () => done()))),
      )
    },
  }
  return output
}

interface Writer {
  write(stream: NodeJS.WriteStream, text: string): void
  /** Writes what was gathered for stdout. */
  send(): void
  hold(): void
  release(): void
}

/** Lines for stdout that come at once leave at once: a call to the system for each would cost more than the line. */
function openWriter(streams: Streams, isClosed: () => boolean): Writer {
  let held: (() => void)[] | null = null
  let gathered = ''
  const send = (): void => {
    const text = gathered
    gathered = ''
    if (text !== '' && !isClosed()) streams.stdout.write(text)
  }
  const gather = (line: string): void => {
    if (gathered === '') queueMicrotask(send)
    gathered += line
    if (gathered.length >= PIECE) send()
  }
  return {
    send,
    write: (stream, text) => {
      const line = `${text}\n`
      if (stream === streams.stdout && isClosed()) return
      if (held && stream.isTTY) return void held.push(() => stream.write(line))
      if (stream === streams.stdout) return gather(line)
      send()
      stream.write(line)
    },
    hold: () => {
      held ??= []
    },
    release: () => {
      const waiting = held ?? []
      held = null
      for (const act of waiting) act()
    },
  }
}

/** Resolves when more are welcome, or nobody reads any more. */
async function writeTo(stream: NodeJS.WriteStream, chunk: Uint8Array): Promise<void> {
  if (stream.write(chunk)) return
  await new Promise<void>((resolve) => {
    stream.once('drain', resolve)
    stream.once('error', () => resolve())
    stream.once('close', resolve)
  })
}

/** Bold red on a terminal that shows colours (NO_COLOR and friends respected), else as it is. */
export function emphasize(text: string, stream: NodeJS.WriteStream): string {
  return styleText(['bold', 'red'], text, { stream, validateStream: true })
}
