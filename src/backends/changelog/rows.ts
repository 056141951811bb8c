/** A list in JSON that has not ended, or is none. */
export class BrokenList extends Error {}

const [QUOTE, BACKSLASH, OPEN, CLOSE, LIST, END] = [...'"\\{}[]'].map((char) => char.charCodeAt(0))

/**
 * The objects of a list in JSON, as they come: however long the list is, no more than one object and one piece of the stream are in memory.
 * Throws `BrokenList` if the list does not end, or holds something else.
 */
export async function* readRows(source: AsyncIterable<Uint8Array>): AsyncGenerator<readonly unknown[]> {
  const state = { depth: 0, quoted: false, escaped: false, ended: false }
  let rest: Uint8Array = Buffer.alloc(0)
  for await (const piece of source) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    const rows: unknown[] = []
    let start = 0
    for (let at = rest.length; at < bytes.length; at++) {
      if (!step(state, bytes[at] ?? 0)) continue
      rows.push(parse(bytes.subarray(start, at + 1)))
      start = at + 1
    }
    rest = bytes.subarray(start)
    if (rows.length > 0) yield rows
  }
  if (!state.ended) throw new BrokenList('the list ends in the middle')
}

interface State {
  depth: number
  quoted: boolean
  escaped: boolean
  ended: boolean
}

/** True at the end of an object of the list. */
function step(state: State, byte: number): boolean {
  if (state.quoted) {
    if (state.escaped) state.escaped = false
    else if (byte === BACKSLASH) state.escaped = true
    else if (byte === QUOTE) state.quoted = false
    return false
  }
  if (byte === QUOTE) state.quoted = true
  else if (byte === OPEN || byte === LIST) state.depth += 1
  else if (byte === CLOSE || byte === END) {
    state.depth -= 1
    state.ended = state.depth === 0
    return byte === CLOSE && state.depth === 1
  }
  return false
}

/** What comes before an object in its list belongs to no object. */
function parse(bytes: Uint8Array): unknown {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  try {
    return JSON.parse(text.replace(/^[\s,[]+/, ''))
  } catch (error) {
    throw new BrokenList('the list holds what is no object', { cause: error })
  }
}
