import { Interrupted } from './errors.ts'

export interface Signals {
  /** Aborts at the first SIGINT or SIGTERM; the reason is an `Interrupted`. */
  readonly signal: AbortSignal
  /** Aborts it for another reason: the reader of stdout has gone. */
  stop(): void
  /** Stops listening. */
  release(): void
}

/**
 * Listens for SIGINT and SIGTERM. The first one asks the command to stop; a second one, or `graceMs` without an end, calls
 * `end`, which ends the process at once.
 */
export function listenForSignals(graceMs: number, end: (interrupted: Interrupted) => void): Signals {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const on = (name: 'SIGINT' | 'SIGTERM'): void => {
    const reason = new Interrupted(name)
    if (controller.signal.aborted) return end(reason)
    controller.abort(reason)
    timer = setTimeout(() => end(reason), graceMs)
    timer.unref()
  }
  const interrupt = (): void => on('SIGINT')
  const terminate = (): void => on('SIGTERM')
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', terminate)
  return {
    signal: controller.signal,
    stop: () => controller.abort(),
    release: () => {
      clearTimeout(timer)
      process.off('SIGINT', interrupt)
      process.off('SIGTERM', terminate)
    },
  }
}
