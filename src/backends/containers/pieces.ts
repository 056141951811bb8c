import { BlobsError } from '../../store/contract/errors.ts'

/** Something in the answer of /get_data, `{"0":{"blob_data":"BASE64","status":"success"},"1":…}`, read without holding it. */
export type Part =
  /** Bytes of a chunk; those of one chunk follow each other. */
  | { readonly index: number; readonly bytes: Uint8Array }
  /** The chunk is over. */
  | { readonly index: number; readonly bytes: null }

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x7b
const CLOSE = 0x7d
const COLON = 0x3a
const SPACES: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d, 0x2c])
/** Longest name or status. */
const LONGEST_TEXT = 200

/**
 * Chunks in the order in which they come, which need not be theirs. Throws `Corrupt` for an answer of another shape, that ends early, or with a chunk
 * that is none.
 */
export async function* readParts(source: AsyncIterable<Uint8Array>): AsyncGenerator<Part, void> {
  const reader = openReader()
  for await (const piece of source) yield* reader.take(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength))
  reader.end()
}

interface Reader {
  take(piece: Buffer): Generator<Part, void>
  end(): void
}

function openReader(): Reader {
  let depth = 0
  let over = false
  /** The string under way: of which kind, and what was read of it. */
  let string: 'name' | 'data' | 'text' | null = null
  let text = ''
  let escaped = false
  let afterColon = false
  let chunk = -1
  let field = ''
  const decoder = openDecoder()

  const endString = function* (): Generator<Part, void> {
    const kind = string
    string = null
    if (kind === 'name' && depth === 1) chunk = indexOf(text)
    else if (kind === 'name') field = text
    else if (kind === 'text' && field === 'status' && text !== 'success') throw wrong(`chunk ${chunk} is ${text}`)
    else if (kind === 'data') yield { index: chunk, bytes: decoder.end() }
    if (kind !== 'name') afterColon = false
  }
  const takeString = function* (piece: Buffer, from: number): Generator<Part, number> {
    const quote = piece.indexOf(QUOTE, from)
    const end = quote < 0 ? piece.length : quote
    const raw = piece.toString('latin1', from, end)
    if (string === 'data') {
      const bytes = decoder.take(raw.replaceAll('\\', ''))
      if (bytes.length > 0) yield { index: chunk, bytes }
    } else {
      text += raw
      if (text.length > LONGEST_TEXT) throw wrong('a name is too long')
      escaped = quote > 0 && piece[quote - 1] === BACKSLASH
    }
    if (quote < 0) return piece.length
    if (escaped) text += '"'
    else yield* endString()
    escaped = false
    return quote + 1
  }
  const takeSign = function* (sign: number): Generator<Part, void> {
    if (SPACES.has(sign)) return
    if (over) throw wrong('something follows its end')
    if (sign === QUOTE) {
      if (depth === 0 || (depth === 1 && afterColon)) throw wrong('it is no object of chunks')
      string = afterColon ? (field === 'blob_data' ? 'data' : 'text') : 'name'
      text = ''
    } else if (sign === COLON) afterColon = true
    else if (sign === OPEN && depth < 2 && (depth === 0 || afterColon)) {
      depth += 1
      afterColon = false
    } else if (sign === CLOSE && depth > 0) {
      depth -= 1
      if (depth === 1) yield { index: chunk, bytes: null }
      over = depth === 0
    } else throw wrong('it is no object of chunks')
  }
  return {
    take: function* (piece) {
      for (let at = 0; at < piece.length;) {
        if (string !== null) at = yield* takeString(piece, at)
        else yield* takeSign(piece[at++] ?? 0)
      }
    },
    end: () => {
      if (!over) throw wrong('it ends early')
    },
  }
}

/** Base64 that comes in pieces of any length. */
function openDecoder(): { take(text: string): Buffer; end(): Buffer } {
  let rest = ''
  return {
    take: (text) => {
      const all = rest + text
      const whole = all.length - (all.length % 4)
      rest = all.slice(whole)
      return Buffer.from(all.slice(0, whole), 'base64')
    },
    end: () => {
      const last = Buffer.from(rest, 'base64')
      rest = ''
      return last
    },
  }
}

function indexOf(text: string): number {
  if (/^(0|[1-9][0-9]{0,8})$/.test(text)) return Number(text)
  throw wrong(`${JSON.stringify(text)} is no number of a chunk`)
}

function wrong(why: string): BlobsError {
  return new BlobsError('Corrupt', `what the server gave is not a blob in chunks: ${why}`)
}
