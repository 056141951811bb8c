import type { Path } from '../core/types.ts'
import type { PullWork } from '../remote/pull.ts'
import type { PushOptions, PushStep, PushWork } from '../remote/push-work.ts'
import type { Advance } from './advance.ts'
import type { Failures } from './failures.ts'
import type { Observer } from './observe.ts'
import type { Planned } from './planning.ts'
import type { SessionPorts } from './ports.ts'
import type { Progress } from './progress.ts'
import type { Tally } from './tally.ts'

export interface RoundContext {
  readonly ports: SessionPorts
  readonly observer: Observer
  readonly failures: Failures
  readonly tally: Tally
  readonly progress: Progress
  /** How often in this cycle a path was not as planned. */
  readonly unsteady: Map<Path, number>
  readonly sendWhole: Set<Path>
  /** Skips that were told already. */
  readonly told: Set<string>
  readonly signal: AbortSignal | undefined
}

/** How steps go to the bucket, with their results written down by `results`. */
export function pushOptions({ ports, tally, progress, signal }: RoundContext, results: Advance): PushOptions {
  const { bucket, db, fs, clock, ids, root, device } = ports
  return {
    bucket,
    db,
    fs,
    clock,
    ids,
    root: root.path,
    device: device.name,
    onResults: (list) => {
      results.pushed(list)
      progress.files(list.length)
    },
    onBytes: (bytes) => {
      tally.bytesUp += bytes
      progress.bytes(bytes)
    },
    ...(signal === undefined ? {} : { signal }),
  }
}

export function pushWork({ rows }: Pick<Planned, 'rows'>, step: PushStep): PushWork {
  const row = rows.get(step.path)
  return { step, identity: row?.identity ?? '', mtimeNs: row?.localMtimeNs ?? null, extra: row?.extra ?? null }
}

/** Bytes that have to travel, as far as can be told before. */
export function bytesOf(works: readonly (PushWork | PullWork)[]): number {
  let bytes = 0
  for (const { step } of works) {
    if (step.type === 'upload' && step.copyOf === null) bytes += step.local.size
    if (step.type === 'download' && step.replaces?.hash !== step.remote.hash) bytes += step.remote.size
  }
  return bytes
}
