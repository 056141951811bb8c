import type { Clock } from '../platform/ports.ts'
import { isBlobsError } from '../store/contract/errors.ts'
import type { Agent, AgentStatus, SyncEvent } from '../sync/agent.ts'
import type { AgentLog } from './log.ts'
import type { KeptFolder } from './registry.ts'

/** A folder's agent, with what was opened for it. */
export interface OpenedAgent {
  readonly agent: Agent
  close(): Promise<void>
}
/** What the background agent knows of one of its folders. */
export interface FolderReport {
  /** Absolute. */
  readonly folder: string
  /** Null while its agent does not run. */
  readonly status: AgentStatus | null
  /** Why it does not run, and when it is tried again (RFC 3339); null while it runs. */
  readonly problem: { readonly message: string; readonly hint: string; readonly retry: string } | null
}
/** Keeps one folder in sync, whatever happens to it. */
export interface Keeper {
  report(): FolderReport
  stop(): Promise<void>
}
export interface KeeperOptions {
  readonly kept: KeptFolder
  readonly open: (kept: KeptFolder, onEvent: (event: SyncEvent) => void) => Promise<OpenedAgent>
  readonly clock: Clock
  readonly log: AgentLog
  readonly onEvent: (event: SyncEvent) => void
}

const FIRST_RETRY = 1_000
const LONGEST_RETRY = 300_000
/** Who has the folder may keep it for long. */
const HELD_RETRY = 15_000
/** Whoever ran so long starts anew with the first pause. */
const CALM = 60_000

/** Begins at once. A folder that fails is tried again after a while that doubles; others know nothing of it. */
export function openKeeper({ kept, open, clock, log, onEvent }: KeeperOptions): Keeper {
  const stopping = new AbortController()
  const { signal } = stopping
  const { folder } = kept
  let agent: Agent | null = null
  let problem: FolderReport['problem'] = null

  const once = async (): Promise<void> => {
    const opened = await open(kept, onEvent)
    try {
      problem = null
      agent = opened.agent
      await agent.watch(signal)
    } finally {
      agent = null
      await opened.close()
    }
  }
  const run = async (): Promise<void> => {
    let tries = 0
    while (!signal.aborted) {
      const started = clock.elapsed()
      try {
        await once()
      } catch (error) {
        if (clock.elapsed() - started > CALM) tries = 0
        const pause = pauseAfter(error, tries++)
        const told = tellOf(error)
        // The same again and again is told once.
        if (problem?.message !== told.message) log.write('failed', { folder, ...told })
        problem = { ...told, retry: new Date(clock.now() + pause).toISOString() }
        await clock.sleep(pause, signal)
      }
    }
  }
  const running = run()
  return {
    report: () => ({ folder, status: agent?.status() ?? null, problem }),
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}

function pauseAfter(error: unknown, tries: number): number {
  return isBlobsError(error, 'Refused') ? HELD_RETRY : Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** tries)
}

function tellOf(error: unknown): { readonly message: string; readonly hint: string } {
  const message = error instanceof Error ? error.message : String(error)
  return { message, hint: isBlobsError(error) ? (error.hint ?? '') : '' }
}
