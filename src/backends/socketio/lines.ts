import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { openLine, type Line, type LineOptions } from './line.ts'

/** Connections at the same time, beside those that wait for news. */
export const MOST_LINES = 12

/** Connections that are shared: each is one caller's at a time, because it has one reference. */
export interface Lines {
  /** Acts on a connection that has this reference. Throws what opening and selecting throw, and what `act` throws. */
  use<T>(ref: string, act: (line: Line) => Promise<T>): Promise<T>
  /** One that is the caller's alone, who closes it. Throws as `openLine`. */
  dial(): Promise<Line>
  close(): void
}

export function openLines(options: LineOptions): Lines {
  const idle: Line[] = []
  const queue: (() => void)[] = []
  let busy = 0
  let closed = false
  /** One that has the reference already, or that was not used for the longest time. */
  const take = async (ref: string): Promise<Line> => {
    while (idle.length > 0) {
      const [line] = idle.splice(
        Math.max(
          0,
          idle.findIndex((one) => one.ref === ref),
        ),
        1,
      )
      if (line?.alive() === true) return line
    }
    return openLine(options)
  }
  const give = (line: Line, good: boolean): void => {
    if (good && !closed && line.alive()) idle.push(line)
    else line.close()
  }
  const checkOpen = (): void => {
    if (closed) throw new BlobsError('InvalidRequest', 'this place was closed by the program that uses it')
  }
  const act = async <T>(ref: string, what: (line: Line) => Promise<T>): Promise<T> => {
    const line = await take(ref)
    try {
      await line.select(ref)
      const result = await what(line)
      give(line, true)
      return result
    } catch (error) {
      give(line, !isBlobsError(error, 'Unavailable'))
      throw error
    }
  }
  return {
    use: async (ref, what) => {
      checkOpen()
      if (busy === MOST_LINES) await new Promise<void>((resolve) => queue.push(resolve))
      else busy += 1
      try {
        return await act(ref, what)
      } finally {
        const next = queue.shift()
        if (next === undefined) busy -= 1
        else next()
      }
    },
    dial: () => {
      checkOpen()
      return openLine(options)
    },
    close: () => {
      closed = true
      for (const line of idle.splice(0)) line.close()
    },
  }
}
