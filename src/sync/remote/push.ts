import type { Path } from '../core/types.ts'
import { prepare, type Prepared } from './prepare.ts'
import type { PushOptions, PushWork } from './push-work.ts'
import { send, type Parcel } from './send.ts'

const BATCH_ENTRIES = 1000
const BATCH_BYTES = 8 * 1024 * 1024

/**
 * Sends steps to the bucket in batches: while one is committed the next is read and staged. Each write is conditional and an intent of it is
 * saved before. The two halves of a move are one entry, so that nobody sees a state between them; a bucket that refuses it as such gets the
 * delete after the put, and else not at all, without a result. Failures of single paths are results; an error of the whole bucket
 * (unreachable, signed out) is thrown, with what was known by then reported.
 */
export async function push(options: PushOptions, steps: readonly PushWork[]): Promise<void> {
  const moved = new Map<Path, PushWork>()
  for (const work of steps) {
    const to = movedTo(work)
    if (to !== null) moved.set(to, work)
  }
  let underWay: Promise<void> = Promise.resolve()
  for (const batch of batches(steps.filter((work) => movedTo(work) === null))) {
    if (options.signal?.aborted) break
    let prepared: readonly Prepared[]
    try {
      prepared = await prepare(options, batch)
    } catch (error) {
      await underWay
      throw error
    }
    await underWay
    underWay = send(
      options,
      prepared.map((item) => withOtherHalf(item, moved)),
    )
    // Thrown by the next `await`; until then nobody waits for it.
    underWay.catch(() => undefined)
  }
  await underWay
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
