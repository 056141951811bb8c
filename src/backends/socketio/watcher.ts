import { isBlobsError } from '../../store/contract/errors.ts'
import { openSignal } from '../../store/objects/signal.ts'
import type { Line } from './line.ts'
import type { Lines } from './lines.ts'

/** Tells of changes of one reference at a time, on a connection of its own. */
export interface Watcher {
  /**
   * Once it resolves, changes are told: `told` resolves with the next one, when the connection ends, or when the signal aborts. Null when
   * the server cannot be reached.
   */
  watch(ref: string, signal: AbortSignal): Promise<{ readonly told: Promise<void> } | null>
  close(): void
}

export function openWatcher(lines: Pick<Lines, 'dial'>): Watcher {
  const news = openSignal()
  let line: Line | null = null
  let turn: Promise<unknown> = Promise.resolve()
  let closed = false
  const ready = async (): Promise<Line> => {
    if (line?.alive() === true) return line
    const fresh = await lines.dial()
    if (closed) fresh.close()
    fresh.onNews(news.wake)
    line = fresh
    return fresh
  }
  const select = async (ref: string): Promise<boolean> => {
    try {
      await (await ready()).select(ref)
      return true
    } catch (error) {
      if (!isBlobsError(error, 'Unavailable')) throw error
      return false
    }
  }
  return {
    watch: async (ref, signal) => {
      const told = news.wait(signal)
      // One after the other: the connection has one reference.
      const selected = turn.then(() => select(ref))
      turn = selected.catch(() => undefined)
      return (await selected) ? { told } : null
    },
    close: () => {
      closed = true
      line?.close()
      news.wake()
    },
  }
}
