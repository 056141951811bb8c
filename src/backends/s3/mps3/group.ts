import type { ManifestLog, Placed } from './log.ts'
import type { Files, Update } from './state.ts'

type Decide = (files: Files) => Update

interface Job {
  readonly decide: Decide
  readonly settle: (error?: unknown) => void
}

/** Writes of callers at the same time go into one entry. */
export interface Group {
  /** `decide` sees what stands there right before, with what others of the same entry do to it; what it throws is its caller's alone. */
  write(decide: Decide): Promise<void>
}

/** `written` is called after each entry, before those who wrote it are told. */
export function openGroup(log: ManifestLog, written: (entry: Placed) => Promise<void>): Group {
  let waiting: Job[] = []
  let working = false
  const writeTogether = async (jobs: readonly Job[]): Promise<void> => {
    const failures = new Map<Job, unknown>()
    try {
      const entry = await log.write((files) => {
        failures.clear()
        return merged(files, jobs, failures)
      })
      for (const job of jobs) if (failures.has(job)) job.settle(failures.get(job))
      if (entry !== null) await written(entry)
      for (const job of jobs) if (!failures.has(job)) job.settle()
    } catch (error) {
      for (const job of jobs) job.settle(error)
    }
  }
  const work = async (): Promise<void> => {
    while (waiting.length > 0) {
      const jobs = waiting
      waiting = []
      await writeTogether(jobs)
    }
    working = false
  }
  return {
    write: (decide) =>
      new Promise((resolve, reject) => {
        waiting.push({ decide, settle: (error) => (error === undefined ? resolve() : reject(error)) })
        if (working) return
        working = true
        void work()
      }),
  }
}

function merged(files: Files, jobs: readonly Job[], failures: Map<Job, unknown>): Update {
  const standing = new Map(files)
  const update = new Map<string, string | null>()
  for (const job of jobs) {
    try {
      for (const [ref, version] of job.decide(standing)) {
        update.set(ref, version)
        if (version === null) standing.delete(ref)
        else standing.set(ref, version)
      }
    } catch (error) {
      failures.set(job, error)
    }
  }
  return update
}
