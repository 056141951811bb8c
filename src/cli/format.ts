import prettyBytes from 'pretty-bytes'

/** `1.2 MB`; decimal units, three significant digits. */
export function size(bytes: number): string {
  return prettyBytes(bytes)
}

/** `1,204`. Not by `toLocaleString`, which takes ten milliseconds to load the ways of all countries. */
export function grouped(n: number): string {
  return String(n).replaceAll(/\B(?=(\d{3})+$)/g, ',')
}

/** `1,204 files`, `1 file`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`
}

const STEPS: readonly (readonly [seconds: number, unit: string, plural: string])[] = [
  [31_557_600, 'year', 'years'],
  [2_629_800, 'month', 'months'],
  [86_400, 'day', 'days'],
  [3600, 'h', 'h'],
  [60, 'min', 'min'],
]

/** `2 min ago`, `just now`, `in 3 days`; both in milliseconds since 1970. */
export function relativeTime(time: number, now: number): string {
  const seconds = Math.abs(now - time) / 1000
  if (seconds < 10) return 'just now'
  const text = span(seconds)
  return time <= now ? `${text} ago` : `in ${text}`
}

/** A span of seconds in its largest fitting unit: `40 s`, `2 min`, `3 days`. */
function span(seconds: number): string {
  for (const [length, one, many] of STEPS) {
    const n = Math.floor(seconds / length)
    if (n >= 1) return `${n} ${n === 1 ? one : many}`
  }
  return `${Math.floor(seconds)} s`
}

/** Time left or spent: `1:05:09`, `2:10`, `8 s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return seconds < 10 && seconds > 0.05 ? `${seconds.toFixed(1)} s` : `${whole} s`
  const two = (n: number): string => String(n).padStart(2, '0')
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

/** `2026-07-28 14:02` in the local time zone. */
export function localTime(time: number): string {
  const date = new Date(time)
  const two = (n: number): string => String(n).padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`
}

// oxlint-disable-next-line no-control-regex -- just these must not reach a terminal
const CONTROL = /[\u0000-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** Text from a stranger made safe for a terminal: control and direction characters become escapes. */
export function plain(text: string): string {
  return text.replaceAll(CONTROL, (c) => SHORT[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

export type Align = 'left' | 'right'

/** Columns under each other, two spaces between; the last left-aligned column is not padded. No trailing spaces. */
export function table(rows: readonly (readonly string[])[], align: readonly Align[]): string[] {
  const widths = align.map((_, column) => Math.max(0, ...rows.map((row) => width(row[column] ?? ''))))
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const gap = ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell)))
        return align[column] === 'right' ? gap + cell : cell + gap
      })
      .join('  ')
      .trimEnd(),
  )
}

function width(text: string): number {
  return [...text].length
}
