import { join } from 'node:path'
import { Counter, Gauge, Registry } from 'prom-client'
import { writeAtomically } from '../platform/atomic-write.ts'
import type { Clock, FileSystem, Ids } from '../platform/ports.ts'
import type { AgentStatus, SyncEvent } from '../sync/agent.ts'
import type { FolderReport } from './keeper.ts'

/** What the background agent did and what waits, as a file that Prometheus' node exporter reads. */
export interface AgentMetrics {
  event(folder: string, event: SyncEvent): void
  /** Removes the file: what does not run tells nothing. */
  close(): Promise<void>
}
interface AgentMetricsOptions {
  /** Where node exporter looks. */
  readonly directory: string
  /** Told of a failure to write the file; of the same one once. Folders are kept in sync nevertheless. */
  readonly onProblem: (message: string) => void
  readonly reports: () => readonly FolderReport[]
  readonly fs: FileSystem
  readonly clock: Clock
  readonly ids: Ids
}

const NAME = 'blobs-agent.prom'
/** Milliseconds between two writes: as often as Prometheus usually looks. */
const EVERY = 15_000
/** The first comes soon. */
const FIRST = 1000
const COUNTED: ReadonlySet<SyncEvent['type']> = new Set([
  'uploaded',
  'downloaded',
  'deleted-local',
  'deleted-remote',
  'renamed',
  'mode',
  'conflict',
  'resurrected',
  'failed',
  'offline',
])

/** Writes the file soon, and again and again. */
export function openAgentMetrics(options: AgentMetricsOptions): AgentMetrics {
  const { directory, reports, onProblem, fs, clock, ids } = options
  const registry = new Registry()
  const counts = openCounts(registry)
  const look = openLook(registry)
  const path = join(directory, NAME)
  const closing = new AbortController()
  let problem = ''
  const write = async (): Promise<void> => {
    look(reports())
    await writeAtomically(fs, ids, path, pieces(await registry.metrics()), { mode: 0o644 })
    problem = ''
  }
  const run = async (): Promise<void> => {
    for (let pause = FIRST; ; pause = EVERY) {
      await clock.sleep(pause, closing.signal)
      if (closing.signal.aborted) return
      await write().catch((error: NodeJS.ErrnoException) => {
        // The whole message names a temporary file that is another one each time.
        const message = `${path} cannot be written: ${error.code ?? error.message}`
        if (message !== problem) onProblem(message)
        problem = message
      })
    }
  }
  const running = run()
  return {
    event: counts,
    close: async () => {
      closing.abort()
      await running
      if (fs.lstat(path) !== null) fs.unlink(path)
    },
  }
}

function openCounts(registry: Registry): AgentMetrics['event'] {
  const registers = [registry]
  const labelNames = ['folder']
  const events = new Counter({
    name: 'blobs_agent_events_total',
    help: 'What the agent did, and what happened to it.',
    labelNames: ['folder', 'event'],
    registers,
  })
  const sent = new Counter({
    name: 'blobs_agent_uploaded_bytes_total',
    help: 'Bytes of the files that were uploaded.',
    labelNames,
    registers,
  })
  const fetched = new Counter({
    name: 'blobs_agent_downloaded_bytes_total',
    help: 'Bytes of the files that were downloaded.',
    labelNames,
    registers,
  })
  return (folder, event) => {
    if (COUNTED.has(event.type)) events.inc({ folder, event: event.type })
    if (event.type === 'uploaded') sent.inc({ folder }, event.size)
    if (event.type === 'downloaded') fetched.inc({ folder }, event.size)
  }
}

/** What each folder's status says in one number. */
const GAUGES: readonly (readonly [name: string, help: string, of: (status: AgentStatus) => number | null])[] = [
  ['synced_paths', 'Paths that are in sync.', ({ synced }) => synced],
  ['pending_paths', 'Paths that are to be synced.', ({ pending }) => pending.files],
  ['pending_bytes', 'Bytes that are to be synced.', ({ pending }) => pending.bytes],
  ['unsynced_paths', 'Paths that cannot be synced.', ({ unsynced }) => unsynced.length],
  ['conflicts', 'Conflicts that wait for a person.', ({ waiting }) => conflictsIn(waiting)],
  ['held_deletes', 'Deletes that wait for a person.', ({ waiting }) => deletesIn(waiting)],
  [
    'last_verified_timestamp_seconds',
    'When a full look last found both sides in sync, in seconds since 1970.',
    ({ lastVerified }) => (lastVerified === null ? null : Date.parse(lastVerified) / 1000),
  ],
]

function openLook(registry: Registry): (reports: readonly FolderReport[]) => void {
  const registers = [registry]
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> =>
    new Gauge({ name: `blobs_agent_${name}`, help, labelNames, registers })
  const running = gauge('folder_running', '1 while a folder is kept in sync, 0 while that fails.', ['folder'])
  const state = gauge('state', '1 for the state that a folder is in.', ['folder', 'state'])
  const gauges = GAUGES.map(([name, help, of]) => ({ one: gauge(name, help, ['folder']), of }))
  return (reports) => {
    for (const one of [running, state, ...gauges.map((each) => each.one)]) one.reset()
    for (const { folder, status } of reports) {
      running.set({ folder }, status === null ? 0 : 1)
      if (status === null) continue
      state.set({ folder, state: status.state }, 1)
      for (const { one, of } of gauges) {
        const value = of(status)
        if (value !== null) one.set({ folder }, value)
      }
    }
  }
}

function conflictsIn(waiting: AgentStatus['waiting']): number {
  return waiting.filter((one) => one.type === 'conflict').length
}

function deletesIn(waiting: AgentStatus['waiting']): number {
  return waiting.reduce((sum, one) => sum + (one.type === 'approval' ? one.count : 0), 0)
}

async function* pieces(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}
