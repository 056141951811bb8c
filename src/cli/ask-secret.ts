import type { ReadStream } from 'node:tty'
import { Interrupted } from './errors.ts'

/** Asks on the terminal for a line that is not shown. Throws `Interrupted` for Ctrl-C; Ctrl-D, and the terminal's end, end the line. */
export async function askSecret(question: string, signal: AbortSignal): Promise<string> {
  const stdin: ReadStream = process.stdin
  process.stderr.write(question)
  stdin.setRawMode(true)
  stdin.resume()
  try {
    return await readLine(stdin, signal)
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    process.stderr.write('\n')
  }
}

function readLine(stdin: ReadStream, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let line = ''
    const finish = (act: () => void): void => {
      stdin.off('data', take)
      stdin.off('end', end)
      signal.removeEventListener('abort', abort)
      act()
    }
    const end = (): void => finish(() => resolve(line))
    const abort = (): void => finish(() => reject(signal.reason))
    const take = (part: Buffer): void => {
      for (const sign of part.toString('utf8')) {
        if (sign === '\r' || sign === '\n' || sign === '\u0004') return end()
        if (sign === '\u0003') return finish(() => reject(new Interrupted('SIGINT')))
        line = sign === '\u007F' || sign === '\b' ? line.slice(0, -1) : line + sign
      }
    }
    stdin.on('data', take)
    stdin.on('end', end)
    signal.addEventListener('abort', abort)
  })
}
