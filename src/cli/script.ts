import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { BlobsError } from '../store/contract/errors.ts'

/** A command of a script. */
export interface ScriptLine {
  /** From 1. */
  readonly number: number
  readonly words: readonly string[]
}

/**
 * The commands of a file (`-`: stdin), one a line, as they are read; lines without one are left out. Throws `InvalidRequest` with the number
 * of a line that cannot be read, and what the system says of the file.
 */
export async function* readScript(path: string, stdin: NodeJS.ReadableStream): AsyncGenerator<ScriptLine> {
  const input: NodeJS.ReadableStream = path === '-' ? stdin : createReadStream(path)
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
  // Without a listener an error of the file would not end the loop.
  const failed = new Promise<never>((_, reject) => input.once('error', reject))
  failed.catch(() => undefined)
  const iterator = lines[Symbol.asyncIterator]()
  let number = 0
  for (;;) {
    const next = await Promise.race([iterator.next(), failed])
    if (next.done) return
    number += 1
    const words = splitWords(next.value)
    if (typeof words === 'string') {
      throw new BlobsError('InvalidRequest', `line ${number} ${words}`, {
        hint: 'quote as in a shell; nothing is expanded',
      })
    }
    if (words.length > 0) yield { number, words }
  }
}

/**
 * The words of a line as a shell would read them, without any expansion: quotes `'…'` and `"…"`, a backslash before a character, `#` at the
 * beginning of a word for a comment. A text: what is wrong with the line.
 */
export function splitWords(line: string): readonly string[] | string {
  const words: string[] = []
  let word: string | null = null
  for (let at = 0; at < line.length; at++) {
    const char = line[at] ?? ''
    if (/\s/.test(char)) {
      if (word !== null) words.push(word)
      word = null
    } else if (char === '#' && word === null) break
    else if (char === "'") {
      const end = line.indexOf("'", at + 1)
      if (end === -1) return "has a ' without its end"
      word = (word ?? '') + line.slice(at + 1, end)
      at = end
    } else if (char === '"') {
      const quoted = /^"((?:[^"\\]|\\.)*)"/.exec(line.slice(at))
      if (!quoted) return 'has a " without its end'
      word = (word ?? '') + (quoted[1] ?? '').replaceAll(/\\(["\\$`])/g, '$1')
      at += quoted[0].length - 1
    } else if (char === '\\') {
      at += 1
      if (at >= line.length) return 'ends with a backslash: a command is one line'
      word = (word ?? '') + (line[at] ?? '')
    } else word = (word ?? '') + char
  }
  if (word !== null) words.push(word)
  return words
}

/** The words of a line that is being typed, up to the cursor; the last one is being typed, '' when none was begun. */
export function wordsToCursor(line: string): readonly string[] {
  const whole = splitWords(`${line}\u0001`)
  const words = typeof whole === 'string' ? (splitOpen(line) ?? []) : whole
  return words.map((word, index) => (index === words.length - 1 ? word.replace('\u0001', '') : word))
}

/** The words of a line with a quote that is still open. */
function splitOpen(line: string): readonly string[] | null {
  for (const end of ["'", '"', ' ']) {
    const words = splitWords(`${line}\u0001${end}`)
    if (typeof words !== 'string') return words
  }
  return null
}
