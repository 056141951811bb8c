/** So many bytes are written between two flushes. */
const FLUSH = 32 * 1024 * 1024

/** Brings what is written to the disk while more comes: what is left to the end is then soon done. */
export interface Flusher {
  wrote(bytes: number): void
  /**
   * Resolves when no flush is under way. Throws what one threw, once: the system tells of lost writes to the first that asks, so nobody else
   * would learn of it.
   */
  settled(): Promise<void>
}

export function openFlusher(flush: () => Promise<void>): Flusher {
  let unflushed = 0
  let flushing: Promise<void> | null = null
  let failures: unknown[] = []
  const run = async (): Promise<void> => {
    try {
      await flush()
    } catch (error) {
      failures.push(error)
    } finally {
      flushing = null
    }
  }
  return {
    wrote: (bytes) => {
      unflushed += bytes
      if (unflushed < FLUSH || flushing !== null) return
      unflushed = 0
      flushing = run()
    },
    settled: async () => {
      await flushing
      if (failures.length === 0) return
      const [failure] = failures
      failures = []
      throw failure
    },
  }
}
