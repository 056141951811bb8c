import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { makePrivate } from '../platform/directories.ts'
import type { Clock } from '../platform/ports.ts'

/** A line of the log: when, what, and where that is told, in which folder. */
export interface LogLine {
  /** RFC 3339. */
  readonly time: string
  readonly event: string
  /** Absolute. */
  readonly folder?: string
  readonly [field: string]: unknown
}
export interface AgentLog {
  /** Durable enough to tell of a crash: it is with the system before this returns. Never throws. */
  write(event: string, fields?: Readonly<Record<string, unknown>>): void
}
export interface LogOptions {
  readonly directory: string
  readonly clock: Clock
  /** Bytes of a file, about. */
  readonly maxBytes?: number
}

const MAX_BYTES = 4 * 1024 * 1024
/** Older files beside the one that is written to. */
const KEPT = 4

/** One JSON object a line, in a file that only its owner may read; a file that is full becomes `agent.1.log`, and so on. */
export function openLog({ directory, clock, maxBytes = MAX_BYTES }: LogOptions): AgentLog {
  const path = logFile(makePrivate(directory), 0)
  let bytes = sizeOf(path)
  return {
    write: (event, fields = {}) => {
      const line = `${JSON.stringify({ time: new Date(clock.now()).toISOString(), event, ...fields })}\n`
      try {
        if (bytes > 0 && bytes + line.length > maxBytes) {
          rotate(directory)
          bytes = 0
        }
        appendFileSync(path, line, { mode: 0o600 })
        bytes += Buffer.byteLength(line)
      } catch {
        // A full disk must not end what goes on without a log.
      }
    },
  }
}

/** The last lines, oldest first, of those that `wanted` takes. */
export function readLog(directory: string, most: number, wanted: (line: LogLine) => boolean): readonly LogLine[] {
  const found: LogLine[] = []
  for (let number = 0; number <= KEPT && found.length < most; number++) {
    const lines = linesOf(textOf(logFile(directory, number))).filter(wanted)
    found.unshift(...lines.slice(Math.max(0, lines.length - (most - found.length))))
  }
  return found
}

/** Lines as they are written from now on, until the signal aborts. */
export async function* followLog(
  directory: string,
  wanted: (line: LogLine) => boolean,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<LogLine, void, undefined> {
  const path = logFile(directory, 0)
  let seen = sizeOf(path)
  while (!signal.aborted) {
    await clock.sleep(LOOK, signal)
    const bytes = readOr(path)
    // Another file has its place: what the old one got last is in `agent.1.log`.
    const rotated = bytes.length < seen
    const rest = rotated ? readOr(logFile(directory, 1)).subarray(seen) : bytes.subarray(seen)
    const text = rotated ? Buffer.concat([rest, bytes]).toString('utf8') : rest.toString('utf8')
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    seen = bytes.length - Buffer.byteLength(text.slice(whole.length))
    yield* linesOf(whole).filter(wanted)
  }
}

const LOOK = 300

function logFile(directory: string, number: number): string {
  return join(directory, number === 0 ? 'agent.log' : `agent.${number}.log`)
}

function rotate(directory: string): void {
  rmSync(logFile(directory, KEPT), { force: true })
  for (let number = KEPT - 1; number >= 0; number--) {
    if (existsSync(logFile(directory, number))) renameSync(logFile(directory, number), logFile(directory, number + 1))
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function readOr(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}

function textOf(path: string): string {
  return readOr(path).toString('utf8')
}

function linesOf(text: string): LogLine[] {
  return text.split('\n').flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line)
      return isLine(value) ? [value] : []
    } catch {
      // A line that a crash cut short.
      return []
    }
  })
}

function isLine(value: unknown): value is LogLine {
  const { time, event } = Object(value) as Record<string, unknown>
  return typeof time === 'string' && typeof event === 'string'
}
