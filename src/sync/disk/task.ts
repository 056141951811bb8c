import type { Content, Path, Reason } from '../core/types.ts'
import type { Ended, Seen } from './act.ts'
import { codeOf, reasonOf } from './failure.ts'
import type { Observation } from './observed.ts'
import type { Staged } from './staging.ts'
import type { DiskResult, DiskWork } from './transition.ts'

/** One piece of work on its way through a batch. */
export interface Task {
  readonly work: DiskWork
  readonly path: Path
  /** Names its files in the temporary folder. */
  readonly op: string
  staged: Staged | null
  seen: Seen | null
  sibling: Path | null
  ended: Ended | null
  readonly now: Observation[]
}

export function taskOf(work: DiskWork, op: string): Task {
  return { work, path: work.step.path, op, staged: null, seen: null, sibling: null, ended: null, now: [] }
}

export function fail(task: Task, reason: Reason, error: unknown = null): void {
  task.ended = { type: 'failed', reason, error }
}

/** An error of the system ends this task alone; any other is a bug, or a crash, and ends all. */
export async function attempt(task: Task, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    failBy(task, error)
  }
}

/** The same at once. */
export function attemptNow(task: Task, work: () => void): void {
  try {
    work()
  } catch (error) {
    failBy(task, error)
  }
}

function failBy(task: Task, error: unknown): void {
  if (codeOf(error) === null) throw error
  fail(task, reasonOf(error) ?? 'not-writable', error)
}

/** What is to be at the path afterwards; null: nothing. */
export function contentOf({ work: { step } }: Task): Content | null {
  return step.type === 'delete-local' ? null : step.remote
}

/** What has to be there at the last look; null: nothing. */
export function replacedBy({ work: { step } }: Task): Content | null {
  return step.type === 'conflict' ? step.local : step.replaces
}

export function isModeOnly({ work: { step } }: Task): boolean {
  return step.type === 'download' && step.replaces?.kind === 'file' && step.replaces.hash === step.remote.hash
}

export function resultOf({ ended, now, sibling }: Task): DiskResult {
  if (ended === null) return { type: 'dropped', sibling }
  if (ended.type === 'failed') return ended
  const kept = ended.kept?.path ?? sibling
  return ended.type === 'done' ? { type: 'done', now, sibling: kept } : { type: 'dropped', sibling: kept }
}
