import type * as fc from 'fast-check'
import type { Clock } from '../../../src/platform/ports.ts'
import type { BucketPorts } from '../../../src/store/ports.ts'

/** Ports whose calls, and whose batches, happen in the order that a scheduler gives them. */
export function interleaved({ log, content }: BucketPorts, scheduler: fc.Scheduler): BucketPorts {
  const turn = (name: string): Promise<unknown> => scheduler.schedule(Promise.resolve(), name)
  const before =
    <Args extends unknown[], Result>(name: string, act: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      await turn(name)
      return act(...args)
    }
  const batches = async function* <T>(name: string, all: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const batch of all) {
      await turn(name)
      yield batch
    }
  }
  const { sweeping } = content
  const { appendAt } = log
  return {
    log: {
      ...log,
      append: before('append', log.append),
      ...(appendAt ? { appendAt: before('appendAt', appendAt) } : {}),
      read: (options) => batches('read', log.read(options)),
    },
    content: {
      ...content,
      put: before('put', content.put),
      missing: before('missing', content.missing),
      ...(sweeping === undefined
        ? {}
        : {
            sweeping: {
              ...sweeping,
              chunks: () => batches('chunks', sweeping.chunks()),
              remove: before('remove', sweeping.remove),
            },
          }),
    },
  }
}

/** Time that goes on only when it is told to. */
export type HandClock = Clock & { forward(milliseconds: number): void }
export function handClock(): HandClock {
  let now = 1_700_000_000_000
  return {
    now: () => now,
    elapsed: () => now,
    sleep: async () => undefined,
    forward: (milliseconds) => {
      now += milliseconds
    },
  }
}
