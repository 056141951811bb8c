import { setImmediate } from 'node:timers/promises'

/** Work that waits to be done together with others of its kind. */
export interface Group<Job, Result> {
  /** Resolves when the group that took the job along is done. `weight` is its share of a group, in bytes. */
  add(job: Job, weight: number): Promise<Result>
  /** Waits for everything added so far. */
  drain(): Promise<void>
}

interface Waiting<Job, Result> {
  readonly job: Job
  readonly weight: number
  readonly done: (result: Result | PromiseLike<Result>) => void
  readonly failed: (error: unknown) => void
}

/** Gives the result of one job, or throws why it alone failed. */
export type Settled<Result> = () => Result | PromiseLike<Result>

/**
 * Runs `flush` over all that was added meanwhile, one group after the other, each of at most `limit` bytes (or one job). When
 * `flush` throws, every job of that group fails with what it threw.
 */
export function groups<Job, Result>(
  limit: number,
  flush: (jobs: readonly Job[]) => Promise<readonly Settled<Result>[]>,
): Group<Job, Result> {
  const queue: Waiting<Job, Result>[] = []
  let running: Promise<void> | null = null

  const run = async (): Promise<void> => {
    // Whatever else is ready to join in this turn of the loop gets the chance.
    for (await setImmediate(); queue.length > 0; await setImmediate()) {
      const group = queue.splice(0, fitting(queue, limit))
      try {
        const results = await flush(group.map((waiting) => waiting.job))
        for (const [index, waiting] of group.entries()) settle(waiting, results[index])
      } catch (error) {
        for (const waiting of group) waiting.failed(error)
      }
    }
    running = null
  }
  const drain = async (): Promise<void> => {
    if (running === null) return
    await running
    await drain()
  }
  return {
    drain,
    add: (job, weight) =>
      new Promise((done, failed) => {
        queue.push({ job, weight, done, failed })
        running ??= run()
      }),
  }
}

function settle<Result>(waiting: Waiting<unknown, Result>, settled: Settled<Result> | undefined): void {
  try {
    if (settled === undefined) throw new Error('a job of a group got no result')
    waiting.done(settled())
  } catch (error) {
    waiting.failed(error)
  }
}

function fitting(queue: readonly { readonly weight: number }[], limit: number): number {
  let sum = 0
  const end = queue.findIndex((waiting, index) => (sum += waiting.weight) > limit && index > 0)
  return end === -1 ? queue.length : end
}
