import type { Clock } from '../../platform/ports.ts'
import type { Database } from '../../platform/sqlite.ts'
import { getMeta, setMeta } from '../state/open.ts'

/** A time in which nothing is done by itself. */
export interface Pause {
  /** Milliseconds since 1970; null: until someone resumes it. */
  readonly until: number | null
}
/** Whether a folder is paused; kept with its state, so that it outlasts whoever syncs it. */
export interface Pauses {
  /** Null when it is not paused, or not any more. */
  current(): Pause | null
  /** Null ends it. */
  set(pause: Pause | null): void
  /** Aborts when a pause begins after this call. */
  next(): AbortSignal
  /** Resolves when there is no pause any more, or the signal aborts. */
  end(signal: AbortSignal): Promise<void>
}

/** A clock that is set, or a machine that slept, is noticed so soon. */
const LOOK = 30_000

export function openPauses(db: Database, clock: Clock): Pauses {
  let begin = new AbortController()
  let wake = new AbortController()
  const current = (): Pause | null => {
    const kept = getMeta(db, 'paused')
    if (kept === null) return null
    const until = kept === '' ? null : Number(kept)
    return until === null || clock.now() < until ? { until } : null
  }
  return {
    current,
    set: (pause) => {
      setMeta(db, 'paused', pause === null ? null : String(pause.until ?? ''))
      wake.abort()
      wake = new AbortController()
      if (pause === null) return
      begin.abort()
      begin = new AbortController()
    },
    next: () => begin.signal,
    end: async (signal) => {
      for (let pause = current(); pause !== null && !signal.aborted; pause = current()) {
        const left = pause.until === null ? LOOK : Math.min(LOOK, pause.until - clock.now())
        await clock.sleep(Math.max(1, left), AbortSignal.any([signal, wake.signal]))
      }
    },
  }
}
