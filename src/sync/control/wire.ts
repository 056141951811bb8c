import type { Socket } from 'node:net'

/** What an agent says first to whoever connects. */
export interface Hello {
  readonly pid: number
  /** Absolute. */
  readonly folder: string
  /** Device and inode of the folder, decimal. */
  readonly dev: string
  readonly ino: string
  /** It is the background agent's. */
  readonly background?: boolean
}
export interface Request {
  readonly id: number
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
}
export type Response =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string; readonly hint?: string } }

/** Longest line that is taken from the other side, in characters. */
const LONGEST_LINE = 64 * 1024 * 1024

export function sendLine(socket: Socket, value: unknown): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(value)}\n`)
}

/** Calls back with each JSON line. A line that is none, or is too long, ends the connection. */
export function onLines(socket: Socket, onLine: (value: unknown) => void): void {
  let rest = ''
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > LONGEST_LINE) socket.destroy()
    for (const line of lines) {
      let value: unknown
      try {
        value = JSON.parse(line)
      } catch {
        socket.destroy()
        return
      }
      onLine(value)
    }
  })
}
