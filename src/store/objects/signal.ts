/** Wakes all who wait at that moment. */
interface Signal {
  wake(): void
  /** Resolves at the next call of `wake`, or when the signal aborts. */
  wait(signal: AbortSignal): Promise<void>
}

export function openSignal(): Signal {
  const waiting = new Set<() => void>()
  return {
    wake: () => {
      for (const wake of waiting) wake()
    },
    wait: (signal) =>
      new Promise((resolve) => {
        const wake = (): void => {
          waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        waiting.add(wake)
        signal.addEventListener('abort', wake)
        if (signal.aborted) wake()
      }),
  }
}
