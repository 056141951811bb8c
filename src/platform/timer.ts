import type { Clock } from './ports.ts'

/** Calls `act` after so many milliseconds, unless what it gives is called before. */
export function after(clock: Clock, milliseconds: number, act: () => void): () => void {
  const cancelled = new AbortController()
  const wait = async (): Promise<void> => {
    await clock.sleep(milliseconds, cancelled.signal)
    if (!cancelled.signal.aborted) act()
  }
  void wait()
  // With a reason of ours none is made, which would cost more than the timer.
  return () => cancelled.abort('cancelled')
}
