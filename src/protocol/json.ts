import { type Check, Malformed } from './schema.ts'

/** How much of a JSON text there may be. */
export interface JsonBounds {
  /** Values of any kind, roughly. */
  readonly values: number
  /** Items of one list. */
  readonly items: number
  /** Names of one object. */
  readonly names: number
  readonly depth: number
}

/** Of an answer: more than any server gives. */
const ANSWER: JsonBounds = { values: 2_000_000, items: 100_000, names: 10_000, depth: 16 }

/** Parses JSON within the bounds and checks it; throws `Malformed` for either. */
export function parseJson<T>(text: string, check: Check<T>, bounds: JsonBounds = ANSWER): T {
  checkDensity(text, bounds)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Malformed('', error instanceof RangeError ? 'nested too deeply' : 'not JSON')
  }
  return check(value, '')
}

/** Texts up to this length cannot do harm. */
const SMALL = 64 * 1024
const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c

/**
 * Throws `Malformed` for a text that would take long to parse, or much memory, without being longer than others: thousands of
 * brackets, millions of names. Says nothing of whether it is JSON.
 */
function checkDensity(text: string, bounds: JsonBounds): void {
  if (text.length <= SMALL) return
  let values = 0
  const open: { count: number; readonly most: number; readonly what: string }[] = []
  for (let at = 0; at < text.length; at++) {
    const sign = text.charCodeAt(at)
    if (sign === QUOTE) {
      at = endOfText(text, at)
    } else if (sign === COMMA) {
      const inner = open.at(-1)
      if (++values > bounds.values) throw new Malformed('', `more than ${bounds.values} values`)
      if (inner && ++inner.count > inner.most) throw new Malformed('', `more than ${inner.most} ${inner.what}`)
    } else if (sign === 0x5b || sign === 0x7b) {
      if (open.length >= bounds.depth) throw new Malformed('', 'nested too deeply')
      if (++values > bounds.values) throw new Malformed('', `more than ${bounds.values} values`)
      const list = sign === 0x5b
      open.push({ count: 1, most: list ? bounds.items : bounds.names, what: list ? 'items' : 'names' })
    } else if (sign === 0x5d || sign === 0x7d) {
      open.pop()
    }
  }
}

/** Where the text that begins at a quote ends; the end of all when it does not. */
function endOfText(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return end
  }
  return text.length
}
