import type { Path } from '../core/types.ts'
import { openSending, prepare, type Batch, type Prepared } from './prepare.ts'
import type { PushOptions, PushWork } from './push-work.ts'
import { send, type Parcel } from './send.ts'

const BATCH_ENTRIES = 1000
const BATCH_BYTES = 8 * 1024 * 1024
/** Batches that were read and wait for their commit, while the next is read: this bounds memory. */
const AHEAD = 2

/**
 * Sends steps to the bucket in batches, see `openPusher`. The two halves of a move are one entry, so that nobody sees a state between them; a
 * bucket that refuses it as such gets the delete after the put, and else not at all, without a result.
 */
export async function push(options: PushOptions, steps: readonly PushWork[]): Promise<void> {
  const moved = new Map<Path, PushWork>()
  for (const work of steps) {
    const to = movedTo(work)
    if (to !== null) moved.set(to, work)
  }
  const pusher = openPusher(options, moved)
  try {
    await pusher.add(steps.filter((work) => movedTo(work) === null))
  } finally {
    await pusher.end()
  }
}

/** Steps on their way to the bucket. One call at a time. */
export interface Pusher {
  /** Resolves when the files of the steps were read; while they are staged and committed, more may be added. Throws as `end`. */
  add(steps: readonly PushWork[]): Promise<void>
  /**
   * Resolves when all is done. Throws an error of the whole bucket (unreachable, signed out), with what was known by then reported; nothing
   * goes on after it.
   */
  end(): Promise<void>
}

/**
 * While a batch is committed the next is staged and the one behind it is read. Each write is conditional and an intent of it is saved before.
 * Failures of single paths are results.
 */
export function openPusher(options: PushOptions, moved: ReadonlyMap<Path, PushWork> = new Map()): Pusher {
  const sending = openSending()
  const waiting: Promise<void>[] = []
  let last: Promise<void> = Promise.resolve()
  return {
    add: async (steps) => {
      for (const works of batches(steps)) {
        if (options.signal?.aborted) return
        if (waiting.length >= AHEAD) await waiting.shift()
        last = sendAfter(last, options, await prepare(options, works, sending), moved)
        // Thrown where it is waited for.
        last.catch(() => undefined)
        waiting.push(last)
      }
    },
    end: () => last,
  }
}

/** Commits in the order of the steps. */
async function sendAfter(
  before: Promise<void>,
  options: PushOptions,
  batch: Batch,
  moved: ReadonlyMap<Path, PushWork>,
): Promise<void> {
  const [sent, staged] = await Promise.allSettled([before, batch.staged()])
  if (sent.status === 'rejected') throw sent.reason
  if (staged.status === 'rejected') throw staged.reason
  await send(
    options,
    staged.value.map((item) => withOtherHalf(item, moved)),
  )
}

function movedTo({ step }: PushWork): Path | null {
  return step.type === 'delete-remote' ? (step.movedTo ?? null) : null
}

function withOtherHalf(item: Prepared, moved: ReadonlyMap<Path, PushWork>): Parcel {
  const from = moved.get(item.work.step.path)
  return from === undefined || item.change === null ? [item] : [item, { work: from, change: null }]
}

function* batches(steps: readonly PushWork[]): Iterable<readonly PushWork[]> {
  let batch: PushWork[] = []
  let bytes = 0
  for (const work of steps) {
    const size = work.step.type === 'upload' && work.step.copyOf === null ? work.step.local.size : 0
    if (batch.length > 0 && (batch.length >= BATCH_ENTRIES || bytes + size > BATCH_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(work)
    bytes += size
  }
  if (batch.length > 0) yield batch
}
